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
function compose(text) {
  const isComposed = text === text.normalize("NFC"), pieces = [];
  for (const character of text) {
    const last = pieces.length - 1;
    if (!isComposed && pieces.length && (isMark(character) || joins(pieces[last], character))) pieces[last] += character;
    else pieces.push(character);
  }
  const starts = [], ends = [];
  let place = 0;
  const put = (count, size) => {
    for (let i = 0; i < count; i++) starts.push(place), ends.push(place + size);
    place += size;
  };
  const composed = pieces.map((written) => {
    const piece = written.normalize("NFC");
    if (piece !== written) put(piece.length, written.length);
    else for (const { length } of written) put(length, length);
    return piece;
  });
  return { text: composed.join(""), starts, ends };
}

function lowerCase({ text, starts, ends }) {
  const found = { text: text.toLowerCase(), starts: [], ends: [] };
  let place = 0;
  for (const character of text) {
    for (let i = character.toLowerCase().length; i > 0; i--) {
      found.starts.push(starts[place]);
      found.ends.push(ends[place]);
    }
    place += character.length;
  }
  return found;
}

/** The text as a member reads it, with its spans [[start, end]] and how much of it is read. */
function readFor(member, model, written) {
  if (member.isRaw) {
    const spans = [...written.matchAll(/[^ \n\r\t\v\f\0]+/g)].map(({ 0: token, index }) => [index, index + token.length]);
    const places = Array.from(written, ({ length }) => length), starts = [], ends = [];
    places.reduce((at, size) => {
      for (let i = 0; i < size; i++) starts.push(at), ends.push(at + size);
      return at + size;
    }, 0);
    const end = spans.find((span) => written.slice(...span) === "</s>");
    return { text: written, starts, ends, spans, limit: end ? end[1] : written.length };
  }
  const isText = member.readsText, composed = compose(written);
  const own = (isText ? member.lowercase : model.data.lowercase) ? lowerCase(composed) : composed;
  const flat = findTokens(own.text, !isText && model.data.split_unspaced);
  const spans = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
  const behind = spans[member.maxTokens]?.[0] ?? Infinity;
  const limit = isText ? Math.min(behind, member.maxCharacters) : Infinity;
  return { ...own, spans, limit };
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

/** Where the tokens of another reading of the same text stand in this one. */
function spansOf(own, other) {
  let last = 0;
  return other.spans.map(([first, behind]) => {
    const start = Math.max(last, search(own.ends, other.starts[first], true));
    last = Math.max(start, search(own.starts, other.ends[behind - 1]));
    return [start, last];
  });
}

/** Where the tokens that the first member reads stand in the text as it is written: [[start, end]]. */
export function findPlaces(model, written) {
  const read = readFor(model.members[0], model, written);
  let last = 0;
  return read.spans.map(([first, behind]) => {
    const start = Math.max(last, read.starts[first]);
    last = Math.max(start, read.ends[behind - 1]);
    return [start, last];
  });
}

/** The members with the text as each reads it: score(kept) adds its logits of the text with the tokens that are kept. */
function readParts(model, written) {
  const reads = model.members.map((member) => readFor(member, model, written)), classes = model.labels.length;
  return model.members.map((member, m) => {
    const own = reads[m], spans = m ? spansOf(own, reads[0]) : own.spans;
    const isText = member.readsText, tokens = isText ? null : model.encode(own.text);
    const count = isText ? spans.filter(([start]) => start < own.limit).length : tokens.ids.length;
    const without = (kept) => {
      let text = "", last = 0;
      spans.slice(0, count).forEach(([start, end], i) => {
        text += own.text.slice(last, start) + (kept(i) ? own.text.slice(start, end) : " ");
        last = end;
      });
      return text;
    };
    const chosen = (list, kept) => list.filter((_, i) => kept(i));
    const score = (kept) => {
      const into = new Float64Array(classes);
      if (isText) member.score(without(kept), into);
      else {
        const ids = chosen(tokens.ids, kept);
        member.score({ ids, words: chosen(tokens.words, kept) }, into, Math.max(1, ids.length));
      }
      return into;
    };
    return { member, own, spans, count, tokens, score };
  });
}

/** The logits after the first 0, 1, 2, ... tokens. */
export function logitsOfBeginnings(model, written) {
  const parts = readParts(model, written), count = parts[0].spans.length, rows = [];
  const limit = Math.max(...parts.map((part) => part.count));
  for (let read = 0; read <= count; read++) {
    if (read > limit) {
      rows.push(rows[limit]);
      continue;
    }
    const scores = parts.map((part) => part.score((i) => i < read));
    rows.push(scores[0].map((_, c) => scores.reduce((sum, found) => sum + found[c], 0)));
  }
  return rows;
}

/** A member's shares of its own tokens as shares of the model's tokens, see `_to_tokens` in exact.py. */
function toTokens({ own, spans }, shares) {
  const found = new Float64Array(spans.length), starts = spans.map(([start]) => start), ends = spans.map(([, end]) => end);
  own.spans.slice(0, shares.length).forEach(([start, end], i) => {
    const first = Math.min(search(ends, start, true), found.length - 1);
    const last = Math.max(search(starts, end), first + 1);
    for (let token = first; token < last; token++) found[token] += shares[i] / (last - first);
  });
  return found;
}

function sharesOf(part, label) {
  const { member, own, spans, count, tokens, score } = part;
  if (member.exact) {
    const shares = member.exact(tokens ?? own.text, label);
    return toTokens(part, shares);
  }
  const whole = score(() => true)[label];
  return Float64Array.from(spans, (_, token) => (token < count ? whole - score((i) => i !== token)[label] : 0));
}

/** What each token of the text adds to the logit of a label. */
export function findShares(model, written, label) {
  const all = readParts(model, written).map((part) => sharesOf(part, label));
  return all[0].map((_, token) => all.reduce((sum, shares) => sum + shares[token], 0));
}
