// The hashes of n-grams. A whole number of 64 bits is two of 32 here, and products are put together from products of 16
// bits, since a number of JavaScript holds 53.
export const MIX = { high: 0x9e3779b9 | 0, low: 0x7f4a7c15 }; // a step is (hash ^ item) * MIX
const LAST = { high: 0xff51afd7 | 0, low: 0xed558ccd | 0 };

/** The upper half of (high, low) times a constant, modulo 2^64; the lower half is Math.imul(low, by.low). */
export function upperHalf(high, low, by) {
  const a0 = low & 0xffff, a1 = low >>> 16, b0 = by.low & 0xffff, b1 = by.low >>> 16;
  const middle = (Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16)) | 0;
  const other = (Math.imul(a0, b1) + (middle & 0xffff)) | 0;
  const carried = (Math.imul(a1, b1) + (middle >>> 16) + (other >>> 16)) | 0;
  return (carried + Math.imul(high, by.low) + Math.imul(low, by.high)) | 0;
}

/** The key of a linear model's n-gram. */
export const keyOf = (high, low) => upperHalf(high, low ^ high, LAST) >>> 0;

const START = 2166136261 | 0;

/** FNV-1a with the byte's sign spread over the upper bits, as in fastText. */
const hashByte = (hash, byte) => Math.imul(hash ^ ((byte << 24) >> 24), 16777619);

export function hashOf(bytes) {
  let hash = START;
  for (let i = 0; i < bytes.length; i++) hash = hashByte(hash, bytes.charCodeAt(i));
  return hash;
}

/** Calls each(hash) for every run of minN to maxN characters of "<word>", by its start, then by its length. */
export function eachRun(word, minN, maxN, each) {
  const bytes = `<${word}>`, size = bytes.length, continues = (place) => (bytes.charCodeAt(place) & 0xc0) === 0x80;
  for (let first = 0; first < size; first++) {
    if (continues(first)) continue;
    for (let hash = START, last = first, n = 1; last < size && n <= maxN; n++) {
      do hash = hashByte(hash, bytes.charCodeAt(last++));
      while (continues(last));
      if (n >= minN && !(n === 1 && (first === 0 || last === size))) each(hash >>> 0);
    }
  }
}
