// Opens a model folder of Rubrica and answers as Python does, in a browser, in a worker or in Node.
//
//     const model = await load("news-model");
//     model.predict(["Oil prices climb"]);  // [[{ label: "Business", score: 0.76 }]]
import { findPlaces, findShares, logitsOfBeginnings } from "./explain.js";
import { openFolder, readFiles } from "./folder.js";
import { RubricaError, findTokens } from "./text.js";

export { RubricaError };

/** Opens a folder: an address, in Node also a path, or a Map or an object with the files by name. */
export async function load(source) {
  return openModel(await openFolder(await readFiles(source)));
}

function openModel(folder) {
  const { members, labels, thresholds, isNumber, data, index, unknown, batchSize } = folder;
  const isMasked = members[0].settings.mask_padding !== false, readsWords = !members[0].readsText;
  const { isRaw, isScore } = members[0]; // fastText reads a text as it is written, and its scores need not add up to 1

  /** The ids of the tokens of a text, which is lower-cased already, and the words. */
  function encode(text) {
    const spans = findTokens(text, data.split_unspaced, data.max_length), ids = [], words = [];
    for (let i = 0; i < spans.length; i += 2) {
      words.push(text.slice(spans[i], spans[i + 1]));
      ids.push(index.get(words.at(-1)) ?? unknown);
    }
    return { ids, words };
  }

  function logits(texts) {
    const read = texts.map((text) => (isRaw ? text : text.normalize("NFC")));
    const tokens = read.map((text) => readsWords && encode(data.lowercase ? text.toLowerCase() : text));
    const found = texts.map(() => new Float64Array(labels.length));
    // One member after the other: each has its own tables in the processor's cache.
    for (const { readsText, score } of members) {
      found.forEach((into, i) => score(readsText ? read[i] : tokens[i], into, isMasked ? 0 : longest(tokens, i)));
    }
    return found.map(asFinite);
  }

  /** Where padding is read as words, a text has as many as the longest of its batch. */
  function longest(tokens, i) {
    const first = i - (i % batchSize), batch = tokens.slice(first, first + batchSize);
    return batch.reduce((most, { ids }) => Math.max(most, ids.length), 1);
  }

  function probabilitiesOf(scores) {
    if (thresholds) return Float32Array.from(scores, (x) => 1 / (1 + Math.exp(-x)));
    if (isScore) return Float32Array.from(scores, Math.exp);
    const top = scores.reduce((a, b) => Math.max(a, b)), raised = scores.map((x) => Math.exp(x - top));
    const sum = raised.reduce((a, b) => a + b);
    return Float32Array.from(raised, (x) => x / sum);
  }

  function answer(scores, most) {
    const shares = probabilitiesOf(scores);
    if (isNumber && !most) return [{ label: labels[1], score: shares[1] }]; // how far up the scale from 0 to 1
    const order = labels.map((_, c) => c).sort((a, b) => scores[b] - scores[a] || a - b);
    const chosen = most || !thresholds ? order.slice(0, most || 1) : order.filter((c) => shares[c] >= thresholds[c]);
    return chosen.map((c) => ({ label: labels[c], score: shares[c] }));
  }

  const inner = { ...folder, encode };
  return {
    labels: [...labels],
    predict(texts, { top_k: most } = {}) {
      if (most !== undefined && !(most > 0)) throw new RubricaError(`top_k is ${most}; give 1 or more`);
      return logits(asTexts(texts)).map((scores) => answer(scores, most));
    },
    probabilities: (texts) => logits(asTexts(texts)).map(probabilitiesOf),
    tokens: (text) => findPlaces(inner, ...asTexts([text])),
    beliefs: (text) => logitsOfBeginnings(inner, ...asTexts([text])).map(asFinite).map(probabilitiesOf),
    shares(text, label) {
      const places = this.tokens(text), c = labels.indexOf(label);
      if (c < 0) throw new RubricaError(`the model does not know the label ${label}; it knows ${labels.slice(0, 20)}`);
      const found = asFinite(findShares(inner, text, c));
      return places.map((span, i) => [...span, found[i]]);
    },
  };
}

function asFinite(numbers) {
  if (numbers.every((number) => Number.isFinite(Math.fround(number)))) return numbers;
  throw new RubricaError("the model's answers are not finite: its weights are too large; train and save it anew");
}

function asTexts(texts) {
  if (Array.isArray(texts) && texts.every((text) => typeof text === "string")) return texts;
  throw new RubricaError("a text is no string; give an array of strings");
}
