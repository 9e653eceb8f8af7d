// Tables of many rows, of which a text needs a few: they stay as they are stored, and a row is expanded where it is used.
// The forms are those of src/rubrica/models/storage.py.

const bits = new Uint32Array(1), number = new Float32Array(bits.buffer);

function fromBfloat16(half) {
  bits[0] = half << 16;
  return number[0];
}

/** Numbers as float32, whatever float they are stored as. */
export const toFloat32 = ({ dtype, data }) => (dtype === "BF16" ? Float32Array.from(data, fromBfloat16) : data);

/** A function add(row, factor, into) that adds a row of `width` numbers, times the factor, to `into`. */
export function openTable(tensors, name, width) {
  const { dtype, data } = tensors[name];
  const scale = tensors[scaleName(name)] && toFloat32(tensors[scaleName(name)]);
  if (dtype === "U8") {
    const bytes = (width + 1) >> 1;
    return (row, factor, into) => {
      const by = factor * scale[row];
      for (let j = 0; j < width; j++) into[j] += by * (((data[row * bytes + (j >> 1)] >> (4 * (j & 1))) & 15) - 8);
    };
  }
  if (dtype === "BF16") {
    return (row, factor, into) => {
      for (let j = 0, place = row * width; j < width; j++, place++) into[j] += factor * fromBfloat16(data[place]);
    };
  }
  return (row, factor, into) => {
    const by = scale ? factor * scale[row] : factor;
    for (let j = 0, place = row * width; j < width; j++, place++) into[j] += by * data[place];
  };
}

export const scaleName = (name) => name.replace(/\.weight$/, ".scale");
