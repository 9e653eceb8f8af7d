// A fastText model: src/rubrica/kernels/fasttext_rules.py and fasttext_twin.py. A text is bytes, and sums are of float32 in
// fastText's own order, so that a score is fastText's.
import { eachRun, hashOf, upperHalf } from "./hash.js";
import { shareOut } from "./sums.js";
import { RubricaError, toBytes } from "./text.js";

const END = "</s>", CENTROIDS = 256, RUN_FACTOR = { high: 0, low: 116049371 };
const { fround } = Math;
const logOf = (score) => fround(Math.log((score > 0 ? score : 0) + 1e-5)), expOf = (x) => fround(Math.exp(x));
const SIGMOIDS = Float32Array.from({ length: 513 }, (_, i) => 1 / (1 + expOf(8 - i / 32)));
const sigmoid = (x) => (x > 8 ? 1 : x >= -8 ? SIGMOIDS[Math.trunc(fround(fround(x + 8) * 512) / 16)] : 0);

/** The words of a text up to the end of its line, which is a word too. */
function splitLine(text) {
  const words = toBytes(text).split(/[ \t-\r\0]+/).filter(Boolean), end = words.indexOf(END);
  return end < 0 ? [...words, END] : words.slice(0, end + 1);
}

/** A matrix of float32 or a quantised one: add(row, into), dot(row, x). */
function openMatrix(tensors, side, rows, width, dsub, hasNorms) {
  const floats = (name, ...shape) => tensors.floats(`${side}.${name}`, ...shape);
  const whole = (name, ...shape) => tensors.whole("U8", `${side}.${name}`, ...shape);
  const weight = dsub ? null : floats("weight", rows, width), parts = Math.ceil(width / dsub);
  const codes = dsub && whole("codes", rows, parts), centroids = dsub && floats("centroids", CENTROIDS * width);
  const normCodes = hasNorms && whole("norm_codes", rows), norms = hasNorms && floats("norm_centroids", CENTROIDS);
  const normOf = (row) => (norms ? norms[normCodes[row]] : 1);
  const read = weight ? (row, j) => weight[row * width + j] : (row, j) => {
    const first = j - (j % dsub), size = Math.min(dsub, width - first);
    return centroids[CENTROIDS * first + codes[row * parts + first / dsub] * size + j - first];
  };
  return {
    add(row, into) {
      const norm = normOf(row);
      for (let j = 0; j < width; j++) into[j] += fround(read(row, j) * norm);
    },
    dot(row, x) {
      let sum = 0;
      for (let j = 0; j < width; j++) sum = fround(sum + fround(x[j] * read(row, j)));
      return fround(sum * normOf(row));
    },
  };
}

/** The two children of each node, labels (which have none) first; the last node is the root. */
function makeTree(counts) {
  const labels = counts.length, sums = [...counts, ...Array(labels).fill(1e15)], tree = Array(labels).fill([]);
  let leaf = labels - 1, node = labels;
  const least = () => (leaf >= 0 && sums[leaf] < sums[node] ? leaf-- : node++);
  for (let i = labels; i < 2 * labels - 1; i++) {
    tree.push([least(), least()]);
    sums[i] = sums[tree[i][0]] + sums[tree[i][1]];
  }
  return tree;
}

/** Makes sure that no text can read beyond an array. */
function check({ num_words, num_rows, num_buckets, num_bytes, pruned }, kept, rows, ends, counts, hashes) {
  const isFaulty = ends.some((end, i) => end < (ends[i - 1] ?? 0)) || (ends.at(-1) ?? 0) !== num_bytes
    || num_rows < num_words + (hashes && !pruned ? num_buckets : 0) || (hashes && !num_buckets)
    || rows.some((row) => row < 0 || row >= num_rows - num_words) || kept.some((bucket, i) => bucket <= kept[i - 1])
    || counts.some((count) => count < 0 || count >= 1e15);
  if (isFaulty) throw new RubricaError("the words, rows and buckets do not fit");
}

/** The rows of the words of a line, each with its first word and its length; `rowOf` finds the row of a bucket. */
function findRows({ max_n, min_n, word_ngrams, num_buckets }, words, rowOf) {
  const rows = [];
  const add = (first, length, row) => row >= 0 && rows.push({ first, length, row });
  words.forEach(({ name, number }, first) => {
    add(first, 1, number);
    if (name !== END) eachRun(name, min_n, max_n, (hash) => add(first, 1, rowOf(hash % num_buckets)));
  });
  for (let first = 0; first < words.length; first++) {
    let low = words[first].hash, high = low >> 31;
    for (let length = 2; length <= word_ngrams && first + length <= words.length; length++) {
      const { hash } = words[first + length - 1], sum = (Math.imul(low, RUN_FACTOR.low) >>> 0) + (hash >>> 0);
      high = (upperHalf(high, low, RUN_FACTOR) + (hash >> 31) + (sum > 0xffffffff ? 1 : 0)) | 0;
      low = sum | 0;
      const rest = ((high >>> 0) % num_buckets) * 65536 + (low >>> 16); // of a number of 64 bits, 16 bits at a time
      add(first, length, rowOf(((rest % num_buckets) * 65536 + (low & 0xffff)) % num_buckets));
    }
  }
  return rows;
}

export const family = {
  rules: {
    loss: ["softmax", "hs", "ns", "ova"], kind: ["supervised"], embedding_dim: 100, min_n: 0, max_n: 0, word_ngrams: 1,
    num_buckets: 0, label_prefix: "__label__", pruned: false, input_dsub: 0, output_dsub: 0, input_norms: false,
    output_norms: false, num_words: 0, num_labels: 0, num_rows: 0, num_pruned: 0, num_bytes: 0,
  },
  carried: "window negatives min_count sampling file_epochs lr_update_rate num_tokens version",
  readsText: true,
  isRaw: true,

  open(settings, tensors, { classes }) {
    const { num_words, num_pruned, embedding_dim: width, loss, pruned } = settings, entries = num_words + classes;
    const numbers = (type, name, size) => Array.from(tensors.whole(type, name, size), Number);
    const bytes = tensors.whole("U8", "dictionary.bytes", settings.num_bytes);
    const kept = numbers("I32", "prune.buckets", num_pruned), rows = numbers("I32", "prune.rows", num_pruned);
    const places = new Map(kept.map((bucket, i) => [bucket, rows[i]]));
    const hashes = (settings.max_n > 0 || settings.word_ngrams > 1) && !(pruned && !kept.length);
    const ends = numbers("I64", "dictionary.ends", entries);
    const counts = loss === "hs" ? numbers("I64", "dictionary.counts", entries).slice(num_words) : [];
    check(settings, kept, rows, ends, counts, hashes);
    const nameOf = (i) => bytes.subarray(ends[i - 1] ?? 0, ends[i]);
    const index = new Map(ends.map((_, i) => [nameOf(i).reduce((name, byte) => name + String.fromCharCode(byte), ""), i]));
    const input = openMatrix(tensors, "input", settings.num_rows, width, settings.input_dsub, settings.input_norms);
    const output = openMatrix(tensors, "output", classes, width, settings.output_dsub, settings.output_norms);
    const rules = hashes ? settings : { ...settings, max_n: 0, word_ngrams: 1 }, prefix = toBytes(settings.label_prefix);
    const rowOf = (bucket) => num_words + (pruned ? places.get(bucket) ?? NaN : bucket), tree = loss === "hs" && makeTree(counts);

    /** The words of a line with their places in it, but no labels. */
    const wordsOf = (line) => line.map((name, place) => ({ name, place, number: index.get(name) ?? -1, hash: hashOf(name) }))
      .filter(({ name, number }) => (number < 0 ? !name.startsWith(prefix) : number < num_words));

    function descend(x, scores) {
      for (let stack = [[0, tree.length - 1]]; stack.length;) {
        const [score, place] = stack.pop();
        if (place < classes) scores[place] = expOf(score);
        else {
          const yes = fround(1 / fround(1 + expOf(-output.dot(place - classes, x))));
          [fround(1 - yes), yes].forEach((share, i) => stack.push([fround(score + logOf(share)), tree[place][i]]));
        }
      }
    }

    function compare(x, scores) {
      let found = scores.map((_, c) => output.dot(c, x));
      if (loss === "softmax") {
        const top = found.reduce((a, b) => Math.max(a, b)), raised = found.map((product) => expOf(fround(product - top)));
        const sum = raised.reduce((a, b) => fround(a + b), 0);
        found = raised.map((number) => number / sum);
      } else found = found.map(sigmoid);
      scores.set(found.map((score) => expOf(logOf(score))));
    }

    return {
      isScore: loss !== "ova",
      score(text, into) {
        const scores = new Float32Array(classes), found = findRows(rules, wordsOf(splitLine(text)), rowOf);
        const x = new Float32Array(width), by = fround(1 / found.length);
        for (const { row } of found) input.add(row, x);
        if (found.length) (tree ? descend : compare)(x.map((sum) => sum * by), scores);
        scores.forEach((found, c) => {
          const score = Math.max(found, 1e-30), rest = 1 - Math.min(score, 1 - 2 ** -24);
          into[c] += Math.log(score) - (loss === "ova" ? Math.log(rest) : 0);
        });
      },
      /** Of the product with a label's row; the last place is the end of the line. */
      exact: !tree && ((text, label) => {
        const line = splitLine(text), words = wordsOf(line), found = findRows(rules, words, rowOf), shares = new Float64Array(line.length);
        const own = shareOut(found, words.length, (row) => {
          const x = new Float32Array(width);
          input.add(row, x);
          return output.dot(label, x) / found.length;
        });
        words.forEach(({ place }, i) => (shares[place] = own[i]));
        return shares;
      }),
    };
  },
};
