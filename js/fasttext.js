// A fastText model: src/rubrica/kernels/fasttext_rules.py and fasttext_twin.py. A text is bytes, sums are of float32 in
// fastText's own order, and so a score is fastText's to the last digits.
import { HASH_START, eachRun, hashByte, upperHalf } from "./hash.js";
import { RubricaError } from "./errors.js";
import { toFloat32 } from "./tables.js";
import { toBytes } from "./text.js";

const END = toBytes("</s>"), CENTROIDS = 256, RUN_FACTOR = { high: 0, low: 116049371 };
const { fround } = Math;
const MANY = [0, 0, 2 ** 31 - 1];

const logOf = (score) => fround(Math.log((score > 0 ? score : 0) + 1e-5));
const expOf = (x) => fround(Math.exp(x));
const isSpace = (byte) => byte === 32 || (byte >= 9 && byte <= 13) || byte === 0;
const isSame = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
const hashOf = (word) => word.reduce(hashByte, HASH_START);
const SIGMOIDS = Float32Array.from({ length: 513 }, (_, i) => 1 / (1 + expOf(-(fround((i * 16) / 512) - 8))));

/** The words of a text, up to the end of its line, which is a word too. */
export function splitLine(bytes) {
  const words = [];
  for (let i = 0, start = 0; i <= bytes.length; i++) {
    if (i < bytes.length && !isSpace(bytes[i])) continue;
    if (i > start) words.push(bytes.subarray(start, i));
    start = i + 1;
    if (words.length && isSame(words.at(-1), END)) return words;
  }
  return [...words, END];
}

/** A quantised matrix, or one of float32: add(row, into), dot(row, vector). */
function openMatrix(tensors, side, width, dsub) {
  const part = (name) => tensors[`${side}.${name}`] && toFloat32(tensors[`${side}.${name}`]);
  const weight = part("weight"), codes = part("codes"), centroids = part("centroids");
  const normCodes = part("norm_codes"), norms = part("norm_centroids"), parts = Math.ceil(width / (dsub || 1));
  const normOf = (row) => (norms ? norms[normCodes[row]] : 1);
  const at = (row, j) => {
    if (weight) return weight[row * width + j];
    const first = j - (j % dsub), size = Math.min(dsub, width - first);
    return centroids[CENTROIDS * first + codes[row * parts + first / dsub] * size + (j - first)];
  };
  return {
    add(row, into) {
      const norm = normOf(row);
      for (let j = 0; j < width; j++) into[j] += fround(at(row, j) * norm);
    },
    dot(row, x) {
      let sum = 0;
      for (let j = 0; j < width; j++) sum = fround(sum + fround(x[j] * at(row, j)));
      return fround(sum * normOf(row));
    },
  };
}

/** The number of each word and label, by a table of places; -1 where it is not there. */
function openDictionary(tensors) {
  const bytes = tensors["dictionary.bytes"].data, ends = Array.from(tensors["dictionary.ends"].data, Number);
  const nameOf = (i) => bytes.subarray(i ? ends[i - 1] : 0, ends[i]);
  const slots = new Int32Array(2 << (32 - Math.clz32(2 * ends.length)));
  const placeOf = (word, hash) => {
    let place = (hash ^ (hash >>> 15)) & (slots.length - 1);
    while (slots[place] && !isSame(nameOf(slots[place] - 1), word)) place = (place + 1) & (slots.length - 1);
    return place;
  };
  ends.forEach((_, i) => (slots[placeOf(nameOf(i), hashOf(nameOf(i)))] = i + 1));
  return (word, hash) => slots[placeOf(word, hash)] - 1;
}

/** The two children of each node, labels (which have none) first; the last node is the root. */
function makeTree(counts) {
  const labels = counts.length, sums = [...counts, ...Array(labels - 1).fill(1e15)], tree = Array(labels).fill([]);
  let leaf = labels - 1, node = labels;
  const least = () => (leaf >= 0 && sums[leaf] < sums[node] ? leaf-- : node++);
  for (let i = labels; i < 2 * labels - 1; i++) {
    tree.push([least(), least()]);
    sums[i] = sums[tree[i][0]] + sums[tree[i][1]];
  }
  return tree;
}

/** Calls each(first, length, row) for every row of the words of a line. */
function eachRow(settings, rowOf, words, each) {
  words.forEach(({ name, number, hash }, place) => {
    if (number >= 0) each(place, 1, number);
    if (!settings.max_n || isSame(name, END) || !settings.num_buckets) return;
    const marked = Uint8Array.from([60, ...name, 62]);
    eachRun(marked, settings.min_n, settings.max_n, (run) => each(place, 1, rowOf(run % settings.num_buckets)));
  });
  for (let first = 0; settings.word_ngrams > 1 && rowOf && first < words.length; first++) {
    let low = words[first].hash, high = low >> 31;
    const stop = Math.min(settings.word_ngrams, words.length - first);
    for (let length = 2; length <= stop; length++) {
      const { hash } = words[first + length - 1];
      const upper = upperHalf(high, low, RUN_FACTOR), lower = Math.imul(low, RUN_FACTOR.low) >>> 0;
      const sum = lower + (hash >>> 0);
      high = (upper + (hash >> 31) + (sum > 0xffffffff ? 1 : 0)) | 0;
      low = sum | 0;
      let rest = (high >>> 0) % settings.num_buckets; // of the number of 64 bits, 16 bits at a time
      rest = (rest * 65536 + (low >>> 16)) % settings.num_buckets;
      each(first, length, rowOf((rest * 65536 + (low & 0xffff)) % settings.num_buckets));
    }
  }
}

/** Makes sure that no text can read beyond an array. */
function check(settings, tensors, hashes) {
  const ends = Array.from(tensors["dictionary.ends"].data, Number), { num_words, num_rows, num_bytes } = settings;
  const buckets = tensors["prune.buckets"].data, kept = tensors["prune.rows"].data;
  const counts = tensors["dictionary.counts"].data.subarray(num_words);
  const faults = {
    "the ends of the words do not rise": ends.some((end, i) => end < (i ? ends[i - 1] : 0)) || (ends.at(-1) ?? 0) !== num_bytes,
    "a row is missing": num_rows < num_words + (hashes && !settings.pruned ? settings.num_buckets : 0),
    "there are no buckets": hashes && !settings.num_buckets,
    "a pruned bucket has no row": kept.some((row) => row < 0 || row >= num_rows - num_words),
    "the pruned buckets are not in order": buckets.some((bucket, i) => i && bucket <= buckets[i - 1]),
    "a label has an impossible count": settings.loss === "hs" && counts.some((count) => count < 0n || count >= 10n ** 15n),
  };
  const found = Object.keys(faults).find((fault) => faults[fault]);
  if (found) throw new RubricaError(`model.safetensors: ${found}; copy the whole folder again`);
}

export const fasttext = {
  rules: {
    loss: ["softmax", "hs", "ns", "ova"], kind: ["supervised"], embedding_dim: [100, 1, 65536], min_n: [0, 0, 1000],
    max_n: [0, 0, 1000], word_ngrams: [1, 0, 1000], num_buckets: MANY, label_prefix: "__label__", pruned: false,
    input_dsub: MANY, output_dsub: MANY, input_norms: false, output_norms: false, num_words: MANY, num_labels: MANY,
    num_rows: MANY, num_pruned: MANY, num_bytes: [0, 0, 2 ** 32],
    window: null, negatives: null, min_count: null, sampling: null, file_epochs: null, lr_update_rate: null,
    num_tokens: null, version: null,
  },
  types: {
    "dictionary.bytes": "U8", "dictionary.ends": "I64", "dictionary.counts": "I64", "prune.buckets": "I32",
    "prune.rows": "I32", "input.codes": "U8", "input.norm_codes": "U8", "output.codes": "U8", "output.norm_codes": "U8",
  },
  readsText: true,
  isRaw: true,
  isScore: true,

  shapes(settings, { classes }) {
    const { num_words, num_labels, num_pruned, embedding_dim: width } = settings, entries = num_words + num_labels;
    const found = {
      "dictionary.bytes": [settings.num_bytes], "dictionary.ends": [entries], "dictionary.counts": [entries],
      "prune.buckets": [num_pruned], "prune.rows": [num_pruned],
    };
    for (const [side, rows] of [["input", settings.num_rows], ["output", classes]]) {
      const dsub = settings[`${side}_dsub`];
      if (!dsub) found[`${side}.weight`] = [rows, width];
      else {
        Object.assign(found, { [`${side}.codes`]: [rows, Math.ceil(width / dsub)], [`${side}.centroids`]: [CENTROIDS * width] });
      }
      if (dsub && settings[`${side}_norms`]) {
        Object.assign(found, { [`${side}.norm_codes`]: [rows], [`${side}.norm_centroids`]: [CENTROIDS] });
      }
    }
    return found;
  },

  open(settings, tensors, { classes }) {
    const { num_words, embedding_dim: width, loss } = settings, prefix = toBytes(settings.label_prefix);
    const kept = tensors["prune.buckets"].data, rows = tensors["prune.rows"].data;
    const hashes = (settings.max_n > 0 || settings.word_ngrams > 1) && !(settings.pruned && !kept.length);
    check(settings, tensors, hashes);
    const input = openMatrix(tensors, "input", width, settings.input_dsub);
    const output = openMatrix(tensors, "output", width, settings.output_dsub);
    const find = openDictionary(tensors), places = new Map(Array.from(kept, (bucket, i) => [bucket, rows[i]]));
    const rowOf = !hashes ? null : (bucket) => num_words + (settings.pruned ? places.get(bucket) ?? NaN : bucket);
    const tree = loss === "hs" && makeTree(Array.from(tensors["dictionary.counts"].data.subarray(num_words), Number));

    const wordsOf = (line) => line.flatMap((name, place) => {
      const hash = hashOf(name), number = find(name, hash);
      const isLabel = number >= num_words || (number < 0 && prefix.every((byte, i) => byte === name[i]));
      return isLabel ? [] : [{ name, number, hash, place }];
    });
    const rowsOf = (words) => {
      const found = [];
      eachRow({ ...settings, max_n: hashes ? settings.max_n : 0 }, rowOf, words, (first, length, row) => {
        if (row >= 0) found.push({ first, length, row });
      });
      return found;
    };
    const mean = (found) => {
      const x = new Float32Array(width), by = fround(1 / found.length);
      for (const { row } of found) input.add(row, x);
      return found.length ? x.map((sum) => sum * by) : x;
    };

    function descend(x, scores) {
      const stack = [[0, tree.length - 1]];
      while (stack.length) {
        const [score, place] = stack.pop();
        if (place < classes) {
          scores[place] = expOf(score);
          continue;
        }
        const right = fround(1 / fround(1 + expOf(-output.dot(place - classes, x))));
        stack.push([fround(score + logOf(right)), tree[place][1]]);
        stack.push([fround(score + logOf(fround(1 - right))), tree[place][0]]);
      }
    }

    function flat(x, scores) {
      const products = scores.map((_, c) => output.dot(c, x));
      if (loss !== "softmax") {
        const sigmoid = (p) => (p > 8 ? 1 : p >= -8 ? SIGMOIDS[Math.trunc(fround(fround(p + 8) * 512) / 16)] : 0);
        scores.forEach((_, c) => (scores[c] = expOf(logOf(sigmoid(products[c])))));
        return;
      }
      const top = products.reduce((a, b) => Math.max(a, b)), raised = products.map((p) => expOf(fround(p - top)));
      const sum = raised.reduce((a, b) => fround(a + b), 0);
      scores.forEach((_, c) => (scores[c] = expOf(logOf(fround(raised[c] / sum)))));
    }

    return {
      score(text, into) {
        const scores = new Float32Array(classes), found = rowsOf(wordsOf(splitLine(toBytes(text))));
        if (found.length) (tree ? descend : flat)(mean(found), scores);
        for (let c = 0; c < classes; c++) {
          const score = Math.max(scores[c], 1e-30), below = Math.min(score, 1 - 2 ** -24);
          into[c] += loss === "ova" ? Math.log(below) - Math.log1p(-below) : Math.log(score);
        }
      },
      /** What each word of the line adds to the product with a label's row. */
      exact: !tree && ((text, label) => {
        const line = splitLine(toBytes(text)), words = wordsOf(line), found = rowsOf(words);
        const shares = new Float64Array(line.length);
        for (const { first, length, row } of found) {
          const x = new Float32Array(width);
          input.add(row, x);
          const amount = output.dot(label, x) / length / found.length;
          for (let reach = 0; reach < length; reach++) shares[words[first + reach].place] += amount;
        }
        return shares;
      }),
    };
  },
};
