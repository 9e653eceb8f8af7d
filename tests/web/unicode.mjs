// What each code point of the first planes is to rubrica.js: JSON on stdout.
import { findTokens } from "../../js/text.js";

const kinds = [], lower = [];
for (let code = 0; code < 0x40000; code++) {
  const character = String.fromCodePoint(code), joined = findTokens(`a${character}a`, false), split = findTokens(`${character}${character}`, true);
  kinds.push(joined.length === 2 ? "word" : joined.length === 4 ? "space" : "other");
  lower.push(character.toLowerCase());
  if (split.length === 4) kinds[code] += " alone";
}
process.stdout.write(JSON.stringify({ kinds, lower }));
