// The hashes of n-grams. One of 64 bits is two whole numbers of 32 here; its products are put together from products of
// 16 bits, since a number of JavaScript holds 53.

const pair = (high, low) => ({ high: high | 0, low: low | 0 });

export const MIX = pair(0x9e3779b9, 0x7f4a7c15); // a step: hash = (hash ^ item) * MIX
const LAST = pair(0xff51afd7, 0xed558ccd);

/** The upper half of (high, low) times a constant, modulo 2^64; the lower half is Math.imul(low, by.low). */
export function upperHalf(high, low, by) {
  const a0 = low & 0xffff, a1 = low >>> 16, b0 = by.low & 0xffff, b1 = by.low >>> 16;
  const middle = (Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16)) | 0;
  const other = (Math.imul(a0, b1) + (middle & 0xffff)) | 0;
  const carried = (Math.imul(a1, b1) + (middle >>> 16) + (other >>> 16)) | 0;
  return (carried + Math.imul(high, by.low) + Math.imul(low, by.high)) | 0;
}

/** The key of a linear model's n-gram, from its hash. */
export const keyOf = (high, low) => upperHalf(high, low ^ high, LAST) >>> 0;

export const HASH_START = 2166136261 | 0;

/** A step of FNV-1a with the byte's sign spread over the upper bits, as in fastText. */
export const hashByte = (hash, byte) => Math.imul(hash ^ ((byte << 24) >> 24), 16777619);

/** Calls each(hash) for every run of minN to maxN characters of a word, whose bytes have "<" and ">" around them. */
export function eachRun(word, minN, maxN, each) {
  const continues = (place) => (word[place] & 0xc0) === 0x80;
  for (let first = 0; first < word.length; first++) {
    if (continues(first)) continue;
    let hash = HASH_START, last = first;
    for (let n = 1; last < word.length && n <= maxN; n++) {
      hash = hashByte(hash, word[last++]);
      while (last < word.length && continues(last)) hash = hashByte(hash, word[last++]);
      if (n >= minN && !(n === 1 && (first === 0 || last === word.length))) each(hash >>> 0);
    }
  }
}
