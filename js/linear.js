// A linear model on n-grams of words and of characters: src/rubrica/text/ngrams.py and models/linear.py.
import { MIX, keyOf, upperHalf } from "./hash.js";
import { findTokens, firstCharacters } from "./text.js";
import { openTable, toFloat32 } from "./tables.js";

const MAX_TOKENS = 1 << 16, MAX_CHARACTERS = 1 << 20; // the rest of a text is not read
const MARK = 0x110000; // stands before and behind a token

const seed = (high, low) => [high | 0, low | 0];
const WORD_SEED = seed(0xd6e8feb8, 0x6659fd93), RUN_SEED = seed(0xa0761d64, 0x78bd642f);
const CHAR_SEED = seed(0xe7037ed1, 0xa0b428db);

const grown = (array, size) => (array.length < size ? new array.constructor(2 * size) : array);

/** What finds the n-grams of texts; their places in the arrays are valid until the next text. */
export function runFinder(settings, lowercase) {
  let codes = new Int32Array(0), highs = codes, lows = codes, starts = codes, owners = codes;
  let keys = new Uint32Array(0);
  const { word_ngrams: longest, char_ngrams: characters } = settings;

  /** The characters of all tokens, each between two marks; returns how many tokens there are. */
  function spell(text, spans) {
    const count = spans.length / 2;
    codes = grown(codes, text.length + 2 * count);
    starts = grown(starts, count + 1);
    let place = 0;
    for (let token = 0; token < count; token++) {
      starts[token] = place;
      codes[place++] = MARK;
      for (let i = spans[2 * token], code = 0; i < spans[2 * token + 1]; i += code > 0xffff ? 2 : 1) {
        codes[place++] = code = text.codePointAt(i);
      }
      codes[place++] = MARK;
    }
    starts[count] = place;
    return count;
  }

  function addWords(count) {
    highs = grown(highs, count);
    lows = grown(lows, count);
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
    let found = 0;
    for (let token = 0; token < count; token++) {
      let [high, low] = RUN_SEED;
      for (let last = token; last < Math.min(count, token + longest); last++) {
        high ^= highs[last];
        low ^= lows[last];
        high = upperHalf(high, low, MIX);
        low = Math.imul(low, MIX.low);
        owners[found] = token;
        keys[found++] = keyOf(high, low);
      }
    }
    return found;
  }

  function addCharacters(count, found) {
    for (let token = 0; token < count; token++) {
      const end = starts[token + 1];
      for (let first = starts[token]; first < end - 1; first++) {
        let [high, low] = CHAR_SEED;
        for (let last = first, stop = Math.min(end, first + characters); last < stop; last++) {
          low ^= codes[last];
          high = upperHalf(high, low, MIX);
          low = Math.imul(low, MIX.low);
          if (last === first) continue;
          owners[found] = token;
          keys[found++] = keyOf(high, low);
        }
      }
    }
    return found;
  }

  /** Of runs 0 to words - 1 of words and words to all - 1 of characters: the keys, and the first token of each. */
  return (text) => {
    const read = firstCharacters(text, MAX_CHARACTERS);
    const lower = lowercase ? read.toLowerCase() : read;
    const count = spell(lower, findTokens(lower, false, MAX_TOKENS));
    const most = count * longest + (characters > 1 ? starts[count] * characters : 0);
    keys = grown(keys, most);
    owners = grown(owners, most);
    const words = addWords(count);
    return { count, words, all: characters > 1 ? addCharacters(count, words) : words, keys, owners };
  };
}

/** Where a key stands in the model's keys, which are sorted: the first bits choose a bucket of about one key. */
function indexKeys(keys) {
  const shift = Math.clz32(Math.max(1, keys.length - 1));
  const starts = new Int32Array((1 << (32 - shift)) + 1);
  for (const key of keys) starts[(key >>> shift) + 1]++;
  for (let i = 1; i < starts.length; i++) starts[i] += starts[i - 1];
  return (key) => {
    let low = starts[key >>> shift], high = starts[(key >>> shift) + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (keys[middle] < key) low = middle + 1;
      else high = middle;
    }
    return low < keys.length && keys[low] === key ? low : -1;
  };
}

export const linear = {
  keys: { word_ngrams: [2, 1, 16], char_ngrams: [5, 0, 16], keep_case: false },
  carried: ["class_information", "cost"],
  reads: "text",

  layout: (settings, { machines, features }) => ({
    "linear.keys": [features], "linear.idf": [features], "linear.weight": [features, machines], "linear.bias": [machines],
  }),

  open(settings, tensors, { lowercase, classes }) {
    const keys = tensors["linear.keys"].data, idf = toFloat32(tensors["linear.idf"]);
    const bias = toFloat32(tensors["linear.bias"]), machines = bias.length;
    const lowers = lowercase !== false && !settings.keep_case;
    const findRuns = runFinder(settings, lowers), find = indexKeys(keys);
    const addRow = openTable(tensors, "linear.weight", machines);
    const counts = new Uint32Array(keys.length), met = new Int32Array(keys.length);

    /** Calls each(feature, value, count) for the features of a block of runs. */
    function weigh(runs, from, to, each) {
      let size = 0, squares = 0;
      for (let i = from; i < to; i++) {
        const feature = find(runs.keys[i]);
        if (feature >= 0 && counts[feature]++ === 0) met[size++] = feature;
      }
      const valueOf = (feature) => {
        const count = counts[feature];
        return count === 1 ? idf[feature] : idf[feature] * (1 + Math.log(count));
      };
      for (let i = 0; i < size; i++) squares += valueOf(met[i]) ** 2;
      const norm = Math.sqrt(squares) || 1;
      for (let i = 0; i < size; i++) {
        each(met[i], valueOf(met[i]) / norm, counts[met[i]]);
        counts[met[i]] = 0;
      }
    }

    const spread = (found, into) => {
      if (machines === classes) for (let c = 0; c < classes; c++) into[c] += found[c];
      else into.forEach((_, c) => (into[c] += c ? found[0] : -found[0])); // the machine of the second class
    };

    return {
      lowercase: lowers, maxTokens: MAX_TOKENS, maxCharacters: MAX_CHARACTERS,
      score(text, into) {
        const runs = findRuns(text), found = Float64Array.from(bias);
        const add = (feature, value) => addRow(feature, value, found);
        weigh(runs, 0, runs.words, add);
        weigh(runs, runs.words, runs.all, add);
        spread(found, into);
      },
      /** What each of its tokens adds to the logit of a class. */
      exact(text, label) {
        const runs = findRuns(text), shares = new Float64Array(runs.count);
        const sign = machines === classes || label ? 1 : -1, machine = machines === classes ? label : 0;
        for (const [from, to] of [[0, runs.words], [runs.words, runs.all]]) {
          const amounts = new Map(), row = new Float64Array(machines);
          weigh(runs, from, to, (feature, value, count) => {
            row.fill(0);
            addRow(feature, value, row);
            amounts.set(keys[feature], (sign * row[machine]) / count);
          });
          for (let i = from, length = 1; i < to; i++) {
            // The runs of words that start at a token stand together, the shortest first.
            length = from === 0 && i > 0 && runs.owners[i] === runs.owners[i - 1] ? length + 1 : 1;
            const amount = (amounts.get(runs.keys[i]) ?? 0) / length;
            for (let reach = 0; reach < length; reach++) shares[runs.owners[i] + reach] += amount;
          }
        }
        return shares;
      },
    };
  },
};
