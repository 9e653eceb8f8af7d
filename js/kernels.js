// The inner loops of a recurrent network on one block of memory: WebAssembly where it is allowed, else JavaScript. The
// bytes are what `wat2wasm kernels.wat` makes. Places are counted in numbers of four bytes.
const BYTES = "AGFzbQEAAAABEQJgB39/f39/f38AYAN/f30AAgwBAAZtZW1vcnkCAAEDAwIAAQcUAgdwcm9kdWN0AAAGc3F1YXNoAAEK5gQC7QICA38JeyAAIAFBAnRqIQkDQCAE/QAEACELIAT9AAQQIQwgBP0ABCAhDSAE/QAEMCEOIAT9AARAIQ8gBP0ABFAhECAE/QAEYCERIAT9AARwIRIgACEHIAIhCANAIAf9CQIAIQogCyAKIAj9AAQA/eYB/eQBIQsgDCAKIAj9AAQQ/eYB/eQBIQwgDSAKIAj9AAQg/eYB/eQBIQ0gDiAKIAj9AAQw/eYB/eQBIQ4gDyAKIAj9AARA/eYB/eQBIQ8gECAKIAj9AARQ/eYB/eQBIRAgESAKIAj9AARg/eYB/eQBIREgEiAKIAj9AARw/eYB/eQBIRIgCCADaiEIIAdBBGoiByAJSQ0ACyAFIAv9CwQAIAUgDP0LBBAgBSAN/QsEICAFIA79CwQwIAUgD/0LBEAgBSAQ/QsEUCAFIBH9CwRgIAUgEv0LBHAgBEGAAWohBCAFQYABaiEFIAJBgAFqIQIgBkEgayIGQQBKDQALC/QBAQN7IAJDO6q4v5T9EyEFA0AgBSAA/QAEAP3mASEDIANDAAD8Qv0T/egBQwAA/ML9E/3pASEDIAP9aiEEIAMgBP3lASEDIABDAACAPyACk/0TIAL9E0MAAIA//RMgBP34AUH/AP0R/a4BQRf9qwFDAACAP/0TIANDGHIxP/0TIAND8P11Pv0TIANDR1hjPf0TIANDW5UdPP0TIAND/8OuOv0TIANDiYQhOf0T/eYB/eQB/eYB/eQB/eYB/eQB/eYB/eQB/eYB/eQB/eYB/eQB/eYB/eQB/ecB/eQB/QsEACAAQRBqIQAgAUEEayIBQQBKDQALCw==";

/** How many numbers the kernels may write behind those that are asked for. */
export const SLACK = 32;

/** Memory for `count` numbers, and two loops on it. */
export function openKernels(count) {
  try {
    const memory = new WebAssembly.Memory({ initial: (count >> 14) + 1 });
    const module = new WebAssembly.Module(Uint8Array.from(atob(BYTES), (character) => character.charCodeAt(0)));
    const { product, squash } = new WebAssembly.Instance(module, { "": { memory } }).exports;
    return {
      memory: new Float32Array(memory.buffer),
      product: (x, k, w, stride, init, out, n) => product(4 * x, k, 4 * w, 4 * stride, 4 * init, 4 * out, n),
      squash: (x, n, a) => squash(4 * x, n, a),
    };
  } catch {
    return plainKernels(new Float32Array(count)); // the processor has no SIMD, or the page forbids WebAssembly
  }
}

const plainKernels = (memory) => ({
  memory,
  /** out = init + x times w (k, stride), n numbers. */
  product(x, k, w, stride, init, out, n) {
    const sums = Float64Array.from(memory.subarray(init, init + n));
    for (let i = 0; i < k; i++, w += stride) {
      const by = memory[x + i];
      for (let j = 0; j < n; j++) sums[j] += by * memory[w + j];
    }
    memory.set(sums, out);
  },
  /** The sigmoid of n numbers where a is 1, the hyperbolic tangent where it is 2. */
  squash(x, n, a) {
    for (let i = x; i < x + n; i++) memory[i] = a / (1 + Math.exp(-a * memory[i])) + 1 - a;
  },
});
