// The bag of words, word n-grams and runs of characters: src/rubrica/models/bag.py, kernels/bag.py and kernels/tree.py.
import { MIX, eachRun, upperHalf } from "./hash.js";
import { openTable, toFloat32 } from "./tables.js";
import { toBytes } from "./text.js";

const bucketsOf = ({ word_ngrams, max_n, num_buckets }) => (word_ngrams > 1 || max_n > 0 ? num_buckets : 0);

/** The upper 32 bits of a whole number of 32 bits times the number of buckets; the product does not fit a number. */
function bucketOf(hash, count) {
  const upper = (hash >>> 16) * count, lower = (hash & 0xffff) * count;
  return Math.floor((upper + Math.floor(lower / 65536)) / 65536);
}

/** Calls each(place, length, row) for the row of each token, n-gram and run; a row of n-grams counts from `words` on. */
function eachRow(settings, { ids, words }, vocabSize, each) {
  ids.forEach((id, place) => each(place, 1, id));
  const buckets = bucketsOf(settings);
  for (let first = 0; buckets && first < ids.length; first++) {
    let high = 0, low = ids[first] + 1;
    const stop = Math.min(settings.word_ngrams, ids.length - first);
    for (let length = 1; length < stop; length++) {
      const next = upperHalf(high, low, MIX);
      low = Math.imul(low, MIX.low) ^ (ids[first + length] + 1);
      high = next;
      each(first, length + 1, vocabSize + bucketOf(upperHalf(high, low, MIX), buckets));
    }
  }
  if (!settings.max_n) return;
  words.forEach((word, place) => {
    const marked = toBytes(`<${word.toLowerCase()}>`);
    eachRun(marked, settings.min_n, settings.max_n, (hash) => each(place, 1, vocabSize + (hash % buckets)));
  });
}

/** Where no and yes lead for each decision: below C to a class, else to the decision of that number less C. */
function buildTree(counts) {
  const classes = counts.length, sums = [], children = [];
  const order = [...counts.keys()].sort((a, b) => counts[a] - counts[b] || a - b);
  let leaf = 0, made = 0;
  const least = () => {
    if (leaf < classes && (made === sums.length || counts[order[leaf]] <= sums[made])) {
      return [counts[order[leaf]], order[leaf++]];
    }
    return [sums[made], classes + made++];
  };
  while (children.length < classes - 1) {
    const [[a, no], [b, yes]] = [least(), least()];
    sums.push(a + b);
    children.push([no, yes]);
  }
  return children;
}

/** log(1 + exp(x)) */
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

export const bag = {
  rules: {
    embedding_dim: [16, 1, 65536], word_ngrams: [2, 1, 16], num_buckets: [1 << 18, 1, 1 << 26], min_n: [3, 1, 16],
    max_n: [0, 0, 16], loss: ["softmax", "hs"], embedding: null, extend_vectors: null, embedding_std: null,
  },
  types: { "head.counts": "U32" },

  shapes(settings, { words, classes }) {
    const rows = settings.loss === "hs" ? classes - 1 : classes, width = settings.embedding_dim;
    return {
      "embedding.weight": [words, width], "ngrams.weight": [bucketsOf(settings), width],
      "head.weight": [rows, width], "head.bias": [rows], ...(settings.loss === "hs" && { "head.counts": [classes] }),
    };
  },

  open(settings, tensors, { words, classes }) {
    const width = settings.embedding_dim;
    const addWord = openTable(tensors, "embedding.weight", width);
    const addNgram = openTable(tensors, "ngrams.weight", width);
    const weight = toFloat32(tensors["head.weight"]), bias = toFloat32(tensors["head.bias"]);
    const add = (row, factor, into) => (row < words ? addWord(row, factor, into) : addNgram(row - words, factor, into));
    const product = (row, x) => {
      let sum = 0;
      for (let j = 0; j < width; j++) sum += weight[row * width + j] * x[j];
      return sum;
    };
    const mean = (tokens) => {
      const found = new Float64Array(width);
      let count = 0;
      eachRow(settings, tokens, words, (place, length, row) => {
        count++;
        add(row, 1, found);
      });
      return found.map((sum) => sum / Math.max(1, count));
    };

    function scoreByTree(x, into, children) {
      const found = new Float64Array(2 * classes - 1);
      for (let n = classes - 2; n >= 0; n--) {
        const logit = product(n, x) + bias[n], above = found[classes + n];
        children[n].forEach((child, yes) => (found[child] = above - softplus(yes ? -logit : logit)));
      }
      for (let c = 0; c < classes; c++) into[c] += found[c];
    }

    const tree = settings.loss === "hs" && buildTree(tensors["head.counts"].data);
    return {
      score(tokens, into) {
        const x = mean(tokens);
        if (tree) scoreByTree(x, into, tree);
        else for (let c = 0; c < classes; c++) into[c] += product(c, x) + bias[c];
      },
      /** What each token adds to the logit of a class; a tree of decisions multiplies, so it has no sum. */
      exact: !tree && ((tokens, label) => {
        const shares = new Float64Array(tokens.ids.length), row = new Float64Array(width);
        let count = 0;
        eachRow(settings, tokens, words, (place, length, number) => {
          count++;
          row.fill(0);
          add(number, 1, row);
          const amount = product(label, row) / length;
          for (let reach = 0; reach < length; reach++) shares[place + reach] += amount;
        });
        return shares.map((share) => share / Math.max(1, count));
      }),
    };
  },
};
