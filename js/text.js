// Text to tokens, as src/rubrica/text/tokenizer.py does it: runs of word characters, and runs of anything else that is
// not white space. Python's \w is every letter and number and "_", without marks; its \s is listed below, since
// JavaScript's has U+FEFF and lacks U+001C to U+001F and U+0085. Which characters are letters is the browser's matter: a
// character that Unicode got after its version is punctuation, as it is to an older Python.
//
// Places in a text are those of JavaScript's strings, in UTF-16 units. A character is a code point.
import { RubricaError } from "./errors.js";

const WORD = 1, SPACE = 2, OTHER = 3, ALONE = 4; // ALONE is added to one of the others
const IS_WORD = /[\p{L}\p{N}_]/u;
const IS_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/u;
// Letters and marks of scripts without spaces, as in text/tokenizer.py.
const IS_ALONE = new RegExp("[\
\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf\
\u1000-\u103f\u1050-\u108f\u109a-\u109d\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f\
\u1780-\u17d3\u17d7\u17dc\u17dd\
\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f\u{1aff0}-\u{1b16f}\
\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{3ffff}]", "u");
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
    const met = kinds[code] || findKind(code);
    const kind = met < ALONE ? met : splitUnspaced ? ALONE : met - ALONE;
    if (kind === last && kind !== ALONE) continue;
    if (last !== SPACE && found.push(start, i) >= 2 * most) return found;
    start = i;
    last = kind;
  }
  if (last !== SPACE) found.push(start, text.length);
  return found;
}

/** The first `count` characters. */
export function firstCharacters(text, count) {
  if (text.length <= count) return text;
  let end = 0;
  for (let i = 0; i < count && end < text.length; i++) end += text.codePointAt(end) > 0xffff ? 2 : 1;
  return text.slice(0, end);
}

const encoder = new TextEncoder();

/** UTF-8, in which half of a surrogate pair is three bytes, as Python's "surrogatepass" writes it. */
export function toBytes(text) {
  if (!/\p{Surrogate}/u.test(text)) return encoder.encode(text);
  const bytes = [];
  for (const character of text) {
    const code = character.codePointAt(0);
    const isHalf = code >= 0xd800 && code < 0xe000;
    bytes.push(...(isHalf ? [0xed, 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)] : encoder.encode(character)));
  }
  return Uint8Array.from(bytes);
}

/** What `toBytes` wrote; `name` is the file that the message names. */
export function fromBytes(bytes, name) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "", done = 0;
  try {
    for (let i = bytes.indexOf(0xed); i >= 0; i = bytes.indexOf(0xed, i + 1)) {
      if (!(bytes[i + 1] >= 0xa0 && bytes[i + 2] >= 0x80)) continue;
      text += decoder.decode(bytes.subarray(done, i));
      text += String.fromCharCode(0xd000 | ((bytes[i + 1] & 63) << 6) | (bytes[i + 2] & 63));
      done = i + 3;
    }
    return text + decoder.decode(bytes.subarray(done));
  } catch {
    throw new RubricaError(`${name} is not UTF-8; copy the whole folder again`);
  }
}
