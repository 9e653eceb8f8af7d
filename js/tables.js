// The tensors of model.safetensors (https://github.com/huggingface/safetensors#format). A table of many rows stays as it is
// stored (src/rubrica/models/storage.py), and a row is expanded where it is used.
import { RubricaError } from "./text.js";

const TYPES = {
  F32: Float32Array, BF16: Uint16Array, U32: Uint32Array, I32: Int32Array, I64: BigInt64Array, I8: Int8Array, U8: Uint8Array,
};
const bits = new Uint32Array(1), number = new Float32Array(bits.buffer);

function fromBfloat16(half) {
  bits[0] = half << 16;
  return number[0];
}

const isFinite = { F32: Number.isFinite, BF16: (half) => (half & 0x7f80) !== 0x7f80 };

/** Three ways to take a tensor, which must have a shape: `floats`, `whole` numbers, and a `table` by its rows. */
export function openTensors(bytes) {
  const size = bytes.length < 8 ? 0 : Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));

  function take(name, shape, types) {
    const { dtype, shape: found, data_offsets: [start, end] } = header[name] ?? { data_offsets: [] };
    const Type = TYPES[dtype], length = shape.reduce((a, b) => a * b, 1);
    const fits = types.includes(dtype) && `${found}` === `${shape}` && end - start === length * Type.BYTES_PER_ELEMENT;
    if (!fits || !(start >= 0 && 8 + size + end <= bytes.length)) throw new RubricaError(`tensor ${name} is ${dtype} ${found}, expected ${types[0]} ${shape}`);
    const place = bytes.byteOffset + 8 + size + start, isAligned = place % Type.BYTES_PER_ELEMENT === 0;
    const buffer = isAligned ? bytes.buffer : bytes.buffer.slice(place, place + end - start); // not written by Rubrica
    const data = new Type(buffer, isAligned ? place : 0, length);
    if (isFinite[dtype] && !data.every(isFinite[dtype])) throw new RubricaError(`tensor ${name} holds a number that is not finite`);
    return { dtype, data };
  }

  function floats(name, ...shape) {
    const { dtype, data } = take(name, shape, ["F32", "BF16"]);
    return dtype === "F32" ? data : Float32Array.from(data, fromBfloat16);
  }

  return {
    rowsOf: (name) => header[name]?.shape[0],
    floats,
    whole: (type, name, ...shape) => take(name, shape, [type]).data,
    /** A function add(row, factor, into) that adds a row, times the factor, to `into`. */
    table(name, rows, width) {
      const isPacked = header[name]?.dtype === "U8", bytes = (width + 1) >> 1; // int4: two numbers in a byte
      const { dtype, data } = take(name, [rows, isPacked ? bytes : width], ["F32", "BF16", "I8", "U8"]);
      const scale = dtype === "I8" || isPacked ? floats(name.replace(".weight", ".scale"), rows) : null;
      const stride = isPacked ? 2 * bytes : width, read = {
        U8: (place) => ((data[place >> 1] >> (4 * (place & 1))) & 15) - 8, BF16: (place) => fromBfloat16(data[place]),
      }[dtype] ?? ((place) => data[place]);
      return (row, factor, into) => {
        const by = scale ? factor * scale[row] : factor;
        for (let j = 0, place = row * stride; j < width; j++, place++) into[j] += by * read(place);
      };
    },
  };
}
