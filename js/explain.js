// Why a model answers what it answers: src/rubrica/insight/explanations. A token's share is exact where a logit is a sum
// over n-grams, else it is what the logit loses without the token.
import { findTokens } from "./text.js";

/** Whether Unicode puts a character behind the one before it: it then changes places with a mark of class 240. */
const isMark = (character) => {
  const both = `\u0345${character}`;
  return character === "\u0345" || both.normalize("NFD") !== `\u0345${character.normalize("NFD")}`;
};
const joins = (before, character) =>
  (before + character).normalize("NFC") !== before.normalize("NFC") + character.normalize("NFC");

/** A text in composed form, and where the written character of each of its units starts and ends. */
function compose(text, isRaw) {
  const isComposed = isRaw || text === text.normalize("NFC"), pieces = [], starts = [], ends = [];
  for (const character of text) {
    const before = pieces.at(-1), isPart = !isComposed && before && (isMark(character) || joins(before, character));
    pieces.push(isPart ? pieces.pop() + character : character);
  }
  let place = 0, composed = "";
  for (const written of pieces) {
    const piece = isComposed ? written : written.normalize("NFC");
    for (const part of piece === written ? written : [written]) {
      for (let i = piece === written ? part.length : piece.length; i > 0; i--) starts.push(place), ends.push(place + part.length);
      place += part.length;
    }
    composed += piece;
  }
  return { text: composed, starts, ends };
}

function lowerCase({ text, starts, ends }) {
  const places = [];
  let place = 0;
  for (const character of text) {
    places.push(...Array(character.toLowerCase().length).fill(place));
    place += character.length;
  }
  return { text: text.toLowerCase(), starts: places.map((i) => starts[i]), ends: places.map((i) => ends[i]) };
}

/** The text as a member reads it, with the spans of its tokens [[start, end]] and how much of it is read. */
function readFor(member, model, written) {
  const { isRaw, readsText } = member, composed = compose(written, isRaw);
  const own = !isRaw && (readsText ? member.lowercase : model.data.lowercase) ? lowerCase(composed) : composed;
  if (isRaw) {
    const spans = Array.from(written.matchAll(/[^ \t-\r\0]+/g), ({ 0: { length }, index }) => [index, index + length]);
    const end = spans.find((span) => written.slice(...span) === "</s>"); // of fastText's line
    return { ...own, spans, limit: end?.[1] ?? Infinity };
  }
  const flat = findTokens(own.text, !readsText && model.data.split_unspaced);
  const spans = Array.from({ length: flat.length / 2 }, (_, i) => flat.slice(2 * i, 2 * i + 2));
  return { ...own, spans, limit: Math.min(spans[member.maxTokens]?.[0] ?? Infinity, member.maxCharacters ?? Infinity) };
}

/** The first place in rising numbers where one is at least `value`, or with `above` larger. */
function search(numbers, value, above = false) {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (above ? numbers[middle] <= value : numbers[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Tokens from the places that two functions find for a span; they follow each other without overlap. */
function follow(spans, startOf, endOf) {
  let last = 0;
  return spans.map(([first, behind]) => {
    const start = Math.max(last, startOf(first));
    last = Math.max(start, endOf(behind - 1));
    return [start, last];
  });
}

/** Where the tokens of another reading of the same text stand in this one. */
const spansOf = (own, other) =>
  follow(other.spans, (first) => search(own.ends, other.starts[first], true), (last) => search(own.starts, other.ends[last]));

/** Where the tokens that the first member reads stand in the text as it is written: [[start, end]]. */
export function findPlaces(model, written) {
  const { spans, starts, ends } = readFor(model.members[0], model, written);
  return follow(spans, (first) => starts[first], (last) => ends[last]);
}

/** The members with the text as each reads it; score(isKept) finds its logits of the text with some of its tokens. */
function readParts(model, written) {
  const first = readFor(model.members[0], model, written);
  return model.members.map((member, m) => {
    const own = m ? readFor(member, model, written) : first, spans = m ? spansOf(own, first) : own.spans;
    const tokens = member.readsText ? null : model.encode(own.text);
    const count = tokens ? tokens.ids.length : spans.filter(([start]) => start < own.limit).length;
    const without = (isKept) => spans.slice(0, count).map(([start, end], i) =>
      own.text.slice(i ? spans[i - 1][1] : 0, start) + (isKept(i) ? own.text.slice(start, end) : " ")).join("");
    const score = (isKept) => {
      const into = new Float64Array(model.labels.length), [ids, words] = tokens
        ? [tokens.ids, tokens.words].map((list) => list.filter((_, i) => isKept(i))) : [];
      member.score(tokens ? { ids, words } : without(isKept), into, Math.max(1, ids?.length));
      return into;
    };
    return { member, own, spans, count, tokens, score };
  });
}

const addUp = (rows) => rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0));

/** The logits after the first 0, 1, 2, ... tokens. */
export function logitsOfBeginnings(model, written) {
  const parts = readParts(model, written), limit = Math.max(...parts.map(({ count }) => count)), rows = [];
  for (let read = 0; read <= parts[0].spans.length; read++) {
    rows.push(read > limit ? rows[limit] : addUp(parts.map(({ score }) => score((i) => i < read))));
  }
  return rows;
}

/** A member's shares of its own tokens as shares of the model's tokens, see `_to_tokens` in exact.py. */
function toTokens({ own, spans }, shares) {
  const found = new Float64Array(spans.length), [starts, ends] = [0, 1].map((side) => spans.map((span) => span[side]));
  own.spans.slice(0, shares.length).forEach(([start, end], i) => {
    const first = Math.min(search(ends, start, true), found.length - 1), last = Math.max(search(starts, end), first + 1);
    for (let token = first; token < last; token++) found[token] += shares[i] / (last - first);
  });
  return found;
}

function sharesOf(part, label) {
  const { member, own, spans, count, tokens, score } = part;
  if (member.exact) return toTokens(part, member.exact(tokens ?? own.text, label));
  const whole = score(() => true)[label];
  return Float64Array.from(spans, (_, token) => (token < count ? whole - score((i) => i !== token)[label] : 0));
}

/** What each token of the text adds to the logit of a label. */
export const findShares = (model, written, label) => addUp(readParts(model, written).map((part) => sharesOf(part, label)));
