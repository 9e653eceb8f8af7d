// A linear model on n-grams of words and of characters: src/rubrica/text/ngrams.py and models/linear.py.
import { MIX, keyOf, upperHalf } from "./hash.js";
import { findTokens } from "./text.js";

const MAX_TOKENS = 1 << 16, MAX_CHARACTERS = 1 << 20; // the rest of a text is not read
const MARK = 0x110000; // stands before and behind a token
const seed = (...halves) => halves.map((half) => half | 0);
const WORD_SEED = seed(0xd6e8feb8, 0x6659fd93), RUN_SEED = seed(0xa0761d64, 0x78bd642f);
const CHAR_SEED = seed(0xe7037ed1, 0xa0b428db);

/** The first `count` characters. */
function firstCharacters(text, count) {
  let end = text.length > count ? 0 : text.length;
  for (let i = 0; i < count && end < text.length; i++) end += text.codePointAt(end) > 0xffff ? 2 : 1;
  return text.slice(0, end);
}

const grown = (array, size) => (array.length < size ? new array.constructor(2 * size) : array);

/** What finds the n-grams of texts. Its arrays are used again for the next text. */
function openFinder(longest, characters) {
  let codes = new Int32Array(64), starts = codes.slice(), highs = codes.slice(), lows = codes.slice();
  let keys = new Uint32Array(64), owners = codes.slice(), found = 0;

  function add(owner, high, low) {
    owners[found] = owner;
    keys[found++] = keyOf(high, low);
  }

  /** The characters of all tokens, each token between two marks. */
  function spell(text, spans) {
    const count = spans.length / 2;
    codes = grown(codes, text.length + 2 * count);
    [starts, highs, lows] = [starts, highs, lows].map((array) => grown(array, count + 1));
    let place = 0;
    for (let token = 0; token < count; token++) {
      codes[place++] = MARK;
      for (let i = spans[2 * token], code = 0; i < spans[2 * token + 1]; i += code > 0xffff ? 2 : 1) {
        codes[place++] = code = text.codePointAt(i);
      }
      codes[place++] = MARK;
      starts[token + 1] = place;
    }
    return count;
  }

  function addWords(count) {
    for (let token = 0; token < count; token++) {
      let [high, low] = WORD_SEED;
      for (let i = starts[token] + 1; i < starts[token + 1] - 1; i++) {
        low ^= codes[i];
        high = upperHalf(high, low, MIX);
        low = Math.imul(low, MIX.low);
      }
      highs[token] = high;
      lows[token] = low ^ high;
    }
    for (let token = 0; token < count; token++) {
      let [high, low] = RUN_SEED;
      for (let last = token; last < count && last < token + longest; last++) {
        low ^= lows[last];
        high = upperHalf(high ^ highs[last], low, MIX);
        low = Math.imul(low, MIX.low);
        add(token, high, low);
      }
    }
  }

  function addCharacters(count) {
    for (let token = 0; token < count; token++) {
      const end = starts[token + 1];
      for (let first = starts[token]; first < end - 1; first++) {
        let [high, low] = CHAR_SEED;
        const stop = Math.min(end, first + characters);
        for (let last = first; last < stop; last++) {
          low ^= codes[last];
          high = upperHalf(high, low, MIX);
          low = Math.imul(low, MIX.low);
          if (last > first) add(token, high, low);
        }
      }
    }
  }

  /** The keys of the runs of words, then of characters, and the first token of each run. */
  return (text) => {
    const count = spell(text, findTokens(text, false, MAX_TOKENS)), most = longest * count + characters * starts[count];
    keys = grown(keys, most);
    owners = grown(owners, most);
    found = 0;
    addWords(count);
    const words = found;
    if (characters > 1) addCharacters(count);
    return { count, words, all: found, keys, owners };
  };
}

/** Where a key stands in the model's sorted keys, or -1: its first bits choose a bucket of about one key. */
function openIndex(keys) {
  const shift = Math.min(31, Math.clz32(keys.length) + 1), starts = new Int32Array(2 ** (32 - shift) + 1);
  for (const key of keys) starts[(key >>> shift) + 1]++;
  for (let i = 1; i < starts.length; i++) starts[i] += starts[i - 1];
  return (key) => {
    const bucket = key >>> shift;
    for (let i = starts[bucket], end = starts[bucket + 1]; i < end; i++) if (keys[i] === key) return i;
    return -1;
  };
}

export const family = {
  rules: { word_ngrams: 2, char_ngrams: 5, keep_case: false },
  carried: "class_information cost",
  readsText: true,

  open(settings, tensors, { lowercase: lowers, classes, machines }) {
    const size = tensors.rowsOf("linear.keys"), keys = tensors.whole("U32", "linear.keys", size);
    const idf = tensors.floats("linear.idf", size), bias = tensors.floats("linear.bias", machines);
    const findRuns = openFinder(settings.word_ngrams, settings.char_ngrams), find = openIndex(keys);
    const addRow = tensors.table("linear.weight", size, machines), found = new Float64Array(machines);
    const counts = new Uint32Array(keys.length), met = new Int32Array(keys.length), lowercase = lowers && !settings.keep_case;
    const runsOf = (text) => {
      const read = firstCharacters(text, MAX_CHARACTERS);
      return findRuns(lowercase ? read.toLowerCase() : read);
    };
    const logitOf = (c) => (machines === classes ? found[c] : c ? found[0] : -found[0]); // one machine: the second class's
    const valueOf = (feature) => (counts[feature] > 1 ? idf[feature] * (1 + Math.log(counts[feature])) : idf[feature]);

    /** Calls each(feature, value) for the features of a block of runs; `counts` says how often a feature occurs. */
    function weigh(runs, from, to, each) {
      let size = 0, squares = 0;
      for (let i = from; i < to; i++) {
        const feature = find(runs.keys[i]);
        if (feature >= 0 && counts[feature]++ === 0) met[size++] = feature;
      }
      for (let i = 0; i < size; i++) squares += valueOf(met[i]) ** 2;
      const norm = Math.sqrt(squares) || 1;
      for (let i = 0; i < size; i++) {
        each(met[i], valueOf(met[i]) / norm);
        counts[met[i]] = 0;
      }
    }

    return {
      lowercase, maxTokens: MAX_TOKENS, maxCharacters: MAX_CHARACTERS,
      score(text, into) {
        const runs = runsOf(text), add = (feature, value) => addRow(feature, value, found);
        found.set(bias);
        weigh(runs, 0, runs.words, add);
        weigh(runs, runs.words, runs.all, add);
        for (let c = 0; c < classes; c++) into[c] += logitOf(c);
      },
      /** What each token adds to the logit of a label; a run of words is shared equally among its words. */
      exact(text, label) {
        const runs = runsOf(text), shares = new Float64Array(runs.count);
        for (const [from, to] of [[0, runs.words], [runs.words, runs.all]]) {
          const amounts = new Map();
          weigh(runs, from, to, (feature, value) => {
            found.fill(0);
            addRow(feature, value, found);
            amounts.set(keys[feature], logitOf(label) / counts[feature]);
          });
          for (let i = from, length = 1; i < to; i++) {
            // The runs of words from a token on stand together, the shortest first.
            length = to === runs.words && i > 0 && runs.owners[i] === runs.owners[i - 1] ? length + 1 : 1;
            const amount = (amounts.get(runs.keys[i]) ?? 0) / length;
            for (let reach = 0; reach < length; reach++) shares[runs.owners[i] + reach] += amount;
          }
        }
        return shares;
      },
    };
  },
};
