// Text to tokens as src/rubrica/text/tokenizer.py does it: runs of word characters, and runs of anything else that is not
// white space. Python's \w is letters, numbers and "_"; its \s is listed here, since JavaScript's differs. A character
// that is newer than the browser's Unicode is punctuation, as it is to an older Python. Places are in UTF-16 units.
/** A folder that cannot be read, or an argument that the model cannot take. */
export class RubricaError extends Error {
  name = "RubricaError";
}

const WORD = 1, SPACE = 2, OTHER = 3, ALONE = 4; // ALONE is added to one of the others
const IS_WORD = /[\p{L}\p{N}_]/u;
const IS_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
const IS_ALONE = new RegExp("[\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\
\u109a-\u109d\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f\u1780-\u17d3\u17d7\u17dc\u17dd\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\
\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f\u{1aff0}-\u{1b16f}\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\
\u{20000}-\u{3ffff}]", "u"); // of scripts without spaces
const kinds = new Uint8Array(0x110000); // 0 until a code point is met

function findKind(code) {
  const character = String.fromCodePoint(code);
  const kind = IS_WORD.test(character) ? WORD : IS_SPACE.test(character) ? SPACE : OTHER;
  return (kinds[code] = kind + (IS_ALONE.test(character) ? ALONE : 0));
}

/** Where the first `most` tokens start and end: [start, end, start, end, ...]. */
export function findTokens(text, splitUnspaced, most = Infinity) {
  const found = [];
  let last = SPACE, start = 0;
  for (let i = 0, code = 0; i < text.length; i += code > 0xffff ? 2 : 1) {
    code = text.codePointAt(i);
    const met = kinds[code] || findKind(code), kind = met < ALONE ? met : splitUnspaced ? ALONE : met - ALONE;
    if (kind === last && kind !== ALONE) continue;
    if (last !== SPACE && found.push(start, i) >= 2 * most) return found;
    start = i;
    last = kind;
  }
  if (last !== SPACE) found.push(start, text.length);
  return found;
}

/** UTF-8 as a string of one character for each byte. Half of a surrogate pair is three bytes, as in Python. */
export const toBytes = (text) => text.replace(/[^\0-\x7f]/gu, (character) => {
  const code = character.codePointAt(0), size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  let bytes = String.fromCharCode(((0xf00 >> size) & 0xff) | (code >> (6 * (size - 1))));
  for (let i = size - 2; i >= 0; i--) bytes += String.fromCharCode(0x80 | ((code >> (6 * i)) & 63));
  return bytes;
});

/** The text of UTF-8, which may hold such halves too. */
export function fromBytes(bytes) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "", done = 0;
  for (let i = bytes.indexOf(0xed); i >= 0; i = bytes.indexOf(0xed, i + 1)) {
    if (!(bytes[i + 1] >= 0xa0)) continue;
    text += decoder.decode(bytes.subarray(done, i)) + String.fromCharCode(0xd000 | ((bytes[i + 1] & 63) << 6) | (bytes[i + 2] & 63));
    done = i + 3;
  }
  return text + decoder.decode(bytes.subarray(done));
}
