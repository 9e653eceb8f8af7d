// The bag of words, word n-grams and runs of characters: src/rubrica/models/bag.py, kernels/bag.py and kernels/tree.py.
import { MIX, eachRun, upperHalf } from "./hash.js";
import { shareOut } from "./sums.js";
import { toBytes } from "./text.js";

const countBuckets = ({ word_ngrams, max_n, num_buckets }) => (word_ngrams > 1 || max_n > 0 ? num_buckets : 0);

/** The upper 32 bits of a hash of 32 bits times the number of buckets. */
const bucketOf = (hash, count) => Math.floor(((hash >>> 16) * count + Math.floor(((hash & 0xffff) * count) / 65536)) / 65536);

/** The rows of all tokens, n-grams and runs, each with its first token and its length; n-grams count from `words` on. */
function findRows(settings, tokens, words) {
  const { ids } = tokens, buckets = countBuckets(settings), rows = ids.map((row, first) => ({ first, length: 1, row }));
  for (let first = 0; settings.word_ngrams > 1 && first < ids.length; first++) {
    let high = 0, low = ids[first] + 1;
    for (let length = 2; length <= settings.word_ngrams && first + length <= ids.length; length++) {
      high = upperHalf(high, low, MIX);
      low = Math.imul(low, MIX.low) ^ (ids[first + length - 1] + 1);
      rows.push({ first, length, row: words + bucketOf(upperHalf(high, low, MIX), buckets) });
    }
  }
  tokens.words.slice(0, settings.max_n && ids.length).forEach((word, first) => {
    const add = (hash) => rows.push({ first, length: 1, row: words + (hash % buckets) });
    eachRun(toBytes(word.toLowerCase()), settings.min_n, settings.max_n, add);
  });
  return rows;
}

/** Huffman's tree: where no and yes lead for each decision, below C to a class, else to the decision of that number less C. */
function buildTree(counts) {
  const classes = counts.length, order = [...counts.keys()].sort((a, b) => counts[a] - counts[b] || a - b), sums = [], tree = [];
  let leaf = 0, made = 0;
  const takeLeast = () => {
    const isLeaf = leaf < classes && !(counts[order[leaf]] > sums[made]);
    return isLeaf ? [counts[order[leaf]], order[leaf++]] : [sums[made], classes + made++];
  };
  while (tree.length < classes - 1) {
    const [[a, no], [b, yes]] = [takeLeast(), takeLeast()];
    sums.push(a + b);
    tree.push([no, yes]);
  }
  return tree;
}

const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

export const family = {
  rules: { embedding_dim: 16, word_ngrams: 2, num_buckets: 1 << 18, min_n: 3, max_n: 0, loss: ["softmax", "hs"] },
  carried: "embedding extend_vectors embedding_std",

  open(settings, tensors, { words, classes }) {
    const width = settings.embedding_dim, isTree = settings.loss === "hs", decisions = isTree ? classes - 1 : classes;
    const weight = tensors.floats("head.weight", decisions, width), bias = tensors.floats("head.bias", decisions);
    const addWord = tensors.table("embedding.weight", words, width);
    const addNgram = tensors.table("ngrams.weight", countBuckets(settings), width);
    const tree = isTree && buildTree(tensors.whole("U32", "head.counts", classes));
    const add = (row, factor, into) => (row < words ? addWord(row, factor, into) : addNgram(row - words, factor, into));
    const product = (row, x) => x.reduce((sum, number, j) => sum + weight[row * width + j] * number, 0);

    /** The logarithms of the probabilities, from the root of the tree on. */
    function descend(x) {
      const found = new Float64Array(2 * classes - 1);
      for (let n = classes - 2; n >= 0; n--) {
        const logit = product(n, x) + bias[n];
        tree[n].forEach((child, yes) => (found[child] = found[classes + n] - softplus(yes ? -logit : logit)));
      }
      return found;
    }

    return {
      score(tokens, into) {
        const rows = findRows(settings, tokens, words), x = new Float64Array(width);
        for (const { row } of rows) add(row, 1 / rows.length, x);
        const found = tree ? descend(x) : bias.map((number, c) => number + product(c, x));
        for (let c = 0; c < classes; c++) into[c] += found[c];
      },
      exact: !tree && ((tokens, label) => {
        const rows = findRows(settings, tokens, words);
        return shareOut(rows, tokens.ids.length, (row) => {
          const x = new Float64Array(width);
          add(row, 1 / rows.length, x);
          return product(label, x);
        });
      }),
    };
  },
};
