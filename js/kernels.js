// The inner loops of a recurrent network on one block of memory: WebAssembly where it is allowed, else JavaScript. The
// bytes are what `wat2wasm kernels.wat` makes. All places and strides are in numbers of four bytes.
const BYTES = "AGFzbQEAAAABEQJgB39/f39/f38AYAN/f30AAgwBAAZtZW1vcnkCAAEDAwIAAQcUAgdwcm9kdWN0AAAGc3F1YXNoAAEK3gMC5QECA38FeyAAIAFBAnRqIQkDQCAE/QAEACELIAT9AAQQIQwgBP0ABCAhDSAE/QAEMCEOIAAhByACIQgDQCAH/QkCACEKIAsgCiAI/QAEAP3mAf3kASELIAwgCiAI/QAEEP3mAf3kASEMIA0gCiAI/QAEIP3mAf3kASENIA4gCiAI/QAEMP3mAf3kASEOIAggA2ohCCAHQQRqIgcgCUkNAAsgBSAL/QsEACAFIAz9CwQQIAUgDf0LBCAgBSAO/QsEMCAEQcAAaiEEIAVBwABqIQUgAkHAAGohAiAGQRBrIgZBAEoNAAsL9AEBA3sgAkM7qri/lP0TIQUDQCAFIAD9AAQA/eYBIQMgA0MAAPxC/RP96AFDAAD8wv0T/ekBIQMgA/1qIQQgAyAE/eUBIQMgAEMAAIA/IAKT/RMgAv0TQwAAgD/9EyAE/fgBQf8A/RH9rgFBF/2rAUMAAIA//RMgA0MYcjE//RMgA0Pw/XU+/RMgA0NHWGM9/RMgA0NblR08/RMgA0P/w646/RMgA0OJhCE5/RP95gH95AH95gH95AH95gH95AH95gH95AH95gH95AH95gH95AH95gH95AH95wH95AH9CwQAIABBEGohACABQQRrIgFBAEoNAAsL";

/** How many numbers the kernels may write behind those that are asked for. */
export const SLACK = 16;

/** Memory for `count` numbers of float32, and the two loops on it. */
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

export const plainKernels = (memory) => ({
  memory,
  /** out = init + x times w (k, stride), n numbers. */
  product(x, k, w, stride, init, out, n) {
    for (let j = 0; j < n; j++) {
      let sum = memory[init + j];
      for (let i = 0, at = w + j; i < k; i++, at += stride) sum += memory[x + i] * memory[at];
      memory[out + j] = sum;
    }
  },
  /** The sigmoid of n numbers where a is 1, the hyperbolic tangent where it is 2. */
  squash(x, n, a) {
    for (let i = x; i < x + n; i++) memory[i] = a / (1 + Math.exp(-a * memory[i])) + 1 - a;
  },
});
