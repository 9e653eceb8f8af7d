// Opens a model folder of Rubrica and answers as Python does, in a browser, in a worker or in Node.
//
//     const model = await load("news-model");
//     model.predict(["Oil prices climb"]);  // [[{ label: "Business", score: 0.94 }]]
import { RubricaError } from "./errors.js";
import { findPlaces, findShares, logitsOfBeginnings } from "./explain.js";
import { openFolder, readFiles } from "./folder.js";
import { findTokens } from "./text.js";

export { RubricaError };

/** Opens a folder: an address, in Node also a path, or a Map or an object with the files by name. */
export async function load(source) {
  return openModel(await openFolder(await readFiles(source)));
}

function openModel(folder) {
  const { members, labels, thresholds, data, index, unknown, batchSize } = folder;
  const readsWords = !members.every((member) => member.readsText);
  const isMasked = members[0].settings.mask_padding !== false;
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
    return read.map((text, i) => {
      const into = new Float64Array(labels.length), first = i - (i % batchSize);
      // Where padding is read as words, a text has as many as the longest of its batch.
      const batch = isMasked ? [] : tokens.slice(first, first + batchSize);
      const steps = batch.reduce((most, { ids }) => Math.max(most, ids.length), 1);
      for (const { readsText, score } of members) score(readsText ? text : tokens[i], into, steps);
      return asFinite(into);
    });
  }

  function probabilitiesOf(scores) {
    if (thresholds) return Float32Array.from(scores, (x) => 1 / (1 + Math.exp(-x)));
    if (isScore) return Float32Array.from(scores, Math.exp);
    const top = scores.reduce((a, b) => Math.max(a, b)), raised = scores.map((x) => Math.exp(x - top));
    const sum = raised.reduce((a, b) => a + b);
    return Float32Array.from(raised, (x) => x / sum);
  }

  function answer(scores, most) {
    const shares = probabilitiesOf(scores), order = labels.map((_, c) => c).sort((a, b) => scores[b] - scores[a] || a - b);
    const chosen = most || !thresholds ? order.slice(0, most || 1) : order.filter((c) => shares[c] >= thresholds[c]);
    return chosen.map((c) => ({ label: labels[c], score: shares[c] }));
  }

  const inner = { ...folder, encode };
  return {
    labels: [...labels],
    thresholds: thresholds && [...thresholds],
    predict(texts, { top_k: most } = {}) {
      if (most !== undefined && !(Number.isInteger(most) && most > 0)) throw new RubricaError(`top_k is ${most}; give 1 or more`);
      return logits(asTexts(texts)).map((scores) => answer(scores, most));
    },
    probabilities: (texts) => logits(asTexts(texts)).map(probabilitiesOf),
    tokens: (text) => findPlaces(inner, asText(text)),
    beliefs: (text) => logitsOfBeginnings(inner, asText(text)).map((scores) => probabilitiesOf(asFinite(scores))),
    shares(text, label) {
      const place = labels.indexOf(label);
      if (place < 0) throw new RubricaError(`the model does not know the label ${JSON.stringify(label)}`);
      const found = asFinite(findShares(inner, asText(text), place));
      return findPlaces(inner, text).map((span, i) => [...span, found[i]]);
    },
  };
}

function asFinite(numbers) {
  if (numbers.every(Number.isFinite)) return numbers;
  throw new RubricaError("the model's answers are not finite: its weights are too large; train and save it anew");
}

function asText(text) {
  if (typeof text === "string") return text;
  throw new RubricaError(`${text} is no text; give a string`);
}

function asTexts(texts) {
  if (Array.isArray(texts)) return texts.map(asText);
  throw new RubricaError("give an array of strings");
}
