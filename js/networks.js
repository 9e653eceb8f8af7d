// The networks: src/rubrica/models/recurrent.py, disconnected.py and conv.py. A network reads the vectors of a text's
// tokens, pools what it makes of them over time, and a linear layer makes logits of that.
//
// Letters as there: T tokens, E numbers in a word vector, H hidden units, G gates, K places of a window.
import { openTable, toFloat32 } from "./tables.js";

const GATES = { rnn: 1, gru: 3, lstm: 4, mingru: 2 };
const KNOWN_WORDS = 1 << 13; // words whose gates are remembered: 12 MB of a gru of 64 units
const SIZE = [64, 1, 65536];

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** into[i] += row i of weight (rows, width) times x. */
function addProduct(weight, x, width, into, rows, at = 0) {
  for (let i = 0, place = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < width; j++) sum += weight[place++] * x[j];
    into[at + i] += sum;
  }
}

/** A function gates(id) that finds W x + b of a word; the latest words are remembered. */
function rememberer(addVector, weight, bias, width) {
  const size = bias.length, known = new Map();
  return (id) => {
    const found = known.get(id);
    if (found) return found;
    if (known.size === KNOWN_WORDS) known.clear();
    const x = new Float64Array(width), gates = Float64Array.from(bias);
    addVector(id, 1, x);
    addProduct(weight, x, width, gates, size);
    known.set(id, gates);
    return gates;
  };
}

// From the state h before a word and the word's gates x to the state after it; `a` is W h + b, and c is an lstm's cell.
const CELLS = {
  rnn(H, x, a, h) {
    for (let i = 0; i < H; i++) h[i] = Math.tanh(x[i] + a[i]);
  },
  gru(H, x, a, h) {
    for (let i = 0; i < H; i++) {
      const z = sigmoid(x[H + i] + a[H + i]);
      h[i] = (1 - z) * Math.tanh(x[2 * H + i] + sigmoid(x[i] + a[i]) * a[2 * H + i]) + z * h[i];
    }
  },
  lstm(H, x, a, h, c) {
    for (let i = 0; i < H; i++) {
      const kept = sigmoid(x[H + i] + a[H + i]) * c[i];
      c[i] = kept + sigmoid(x[i] + a[i]) * Math.tanh(x[2 * H + i] + a[2 * H + i]);
      h[i] = sigmoid(x[3 * H + i] + a[3 * H + i]) * Math.tanh(c[i]);
    }
  },
  mingru(H, x, a, h) {
    for (let i = 0; i < H; i++) {
      const z = sigmoid(x[i]);
      h[i] = (1 - z) * h[i] + z * x[H + i];
    }
  },
};

/** A function read(ids, from, to, states) that writes the state (H,) after each token; `from` may stand behind `to`. */
function openCell(name, H, E, tensors, way, addVector) {
  const part = (key) => toFloat32(tensors[`cell.${key}_${way}`]);
  const gatesOf = rememberer(addVector, part("weight_ih"), part("bias_ih"), E), step = CELLS[name];
  const recurrent = name === "mingru" ? null : Float64Array.from(part("weight_hh"));
  const bias = recurrent && Float64Array.from(part("bias_hh"));
  const h = new Float64Array(H), c = new Float64Array(H), a = new Float64Array(GATES[name] * H);
  return (ids, from, to, states) => {
    h.fill(0);
    c.fill(0);
    const count = Math.abs(to - from), sign = to < from ? -1 : 1;
    for (let t = 0; t < count; t++) {
      if (recurrent) {
        a.set(bias);
        addProduct(recurrent, h, H, a, a.length);
      }
      step(H, gatesOf(ids[from + sign * t - (sign < 0)]), a, h, c);
      states.set(h, t * H);
    }
  };
}

/** The features of states (T, H): the last, the maximum, the average, the last two side by side, or by attention. */
function pool(pooling, states, H, into, at, u) {
  const T = states.length / H;
  if (!T) return at + (pooling === "average_max" ? 2 * H : H);
  if (pooling === "last") into.set(states.subarray((T - 1) * H), at);
  if (pooling.startsWith("average")) {
    for (let i = 0; i < states.length; i++) into[at + (i % H)] += states[i] / T;
  }
  if (pooling.endsWith("max")) {
    if (pooling !== "max") at += H;
    into.fill(-Infinity, at, at + H);
    for (let i = 0; i < states.length; i++) into[at + (i % H)] = Math.max(into[at + (i % H)], states[i]);
  }
  if (pooling === "attention") {
    const scores = new Float64Array(T);
    addProduct(states, u, H, scores, T);
    const top = scores.reduce((a, b) => Math.max(a, b)), shares = scores.map((score) => Math.exp(score - top));
    const total = shares.reduce((a, b) => a + b);
    for (let i = 0; i < states.length; i++) into[at + (i % H)] += (shares[Math.floor(i / H)] / total) * states[i];
  }
  return at + H;
}

/** A family of networks; `read` makes what finds the features of ids. */
function network(keys, carried, poolings, layout, read) {
  const known = { embedding_dim: [50, 1, 65536], hidden_size: SIZE, pooling: poolings, mask_padding: true, with_linear: true };
  return {
    keys: { ...known, ...keys },
    carried: ["embedding", "extend_vectors", "embedding_std", ...carried],
    reads: "words",
    layout(settings, { words, classes }) {
      const E = settings.embedding_dim, H = settings.hidden_size, both = settings.pooling === "average_max";
      const [shapes, parts] = layout(settings, E, H), features = parts * (both ? 2 : 1) * H;
      return {
        "embedding.weight": [words, E], ...shapes, "head.weight": [classes, features], "head.bias": [classes],
      };
    },
    open(settings, tensors, { classes }) {
      const E = settings.embedding_dim, weight = toFloat32(tensors["head.weight"]), width = weight.length / classes;
      const bias = toFloat32(tensors["head.bias"]);
      const featuresOf = read(settings, tensors, openTable(tensors, "embedding.weight", E), E, settings.hidden_size);
      return {
        /** Where padding is read as words, a text has `steps` of them. */
        score({ ids }, into, steps) {
          const features = new Float64Array(width);
          const padded = settings.mask_padding ? ids : Array.from({ length: steps }, (_, t) => ids[t] ?? 0);
          featuresOf(padded, features);
          addProduct(weight, features, width, into, classes);
          for (let c = 0; c < classes; c++) into[c] += bias[c];
        },
      };
    },
  };
}

const ALL = ["average_max", "last", "max", "average", "attention"];
const ways = ({ bidirectional }) => (bidirectional ? ["l0", "l0_reverse"] : ["l0"]);

function cellShapes(name, way, E, H, isMinimal = name === "mingru") {
  const gates = GATES[name] * H, of = (key) => `cell.${key}_${way}`;
  const shapes = { [of("weight_ih")]: [gates, E], [of("bias_ih")]: [gates] };
  return isMinimal ? shapes : { ...shapes, [of("weight_hh")]: [gates, H], [of("bias_hh")]: [gates] };
}

export const recurrent = network(
  { bidirectional: true }, ["init"], ALL,
  (settings, E, H) => {
    const all = ways(settings), attends = settings.pooling === "attention";
    const shapes = all.map((way) => cellShapes(settings.name, way, E, H));
    return [Object.assign({}, ...shapes, attends && { "attention.weight": [all.length, H] }), all.length];
  },
  ({ name, pooling, ...settings }, tensors, addVector, E, H) => {
    const cells = ways(settings).map((way) => openCell(name, H, E, tensors, way, addVector));
    const u = pooling === "attention" && toFloat32(tensors["attention.weight"]);
    return (ids, into) => {
      const states = new Float64Array(ids.length * H);
      cells.reduce((at, read, i) => {
        read(ids, i ? ids.length : 0, i ? 0 : ids.length, states);
        return pool(pooling, states, H, into, at, u && u.subarray(i * H, (i + 1) * H));
      }, 0);
    };
  },
);

/** A gru that starts anew in a window at each word, a linear layer, pooling over time. */
export const disconnected = network(
  { window: [15, 1, 1024] }, ["init"], ALL.slice(0, -1),
  (settings, E, H) => [{ "mlp.weight": [H, H], "mlp.bias": [H], ...cellShapes("gru", "l0", E, H) }, 1],
  ({ pooling, window }, tensors, addVector, E, H) => {
    const read = openCell("gru", H, E, tensors, "l0", addVector);
    const weight = toFloat32(tensors["mlp.weight"]), bias = toFloat32(tensors["mlp.bias"]);
    return (ids, into) => {
      const found = new Float64Array(ids.length * H), states = new Float64Array(window * H);
      for (let t = 0; t < ids.length; t++) {
        const first = Math.max(0, t + 1 - window), last = (t - first) * H;
        read(ids, first, t + 1, states);
        found.set(bias, t * H);
        addProduct(weight, states.subarray(last, last + H), H, found, H, t * H);
      }
      pool(pooling, found.map((x) => Math.max(x, 0)), H, into, 0);
    };
  },
);

const BLOCKS = 3, PLACES = 3, EPSILON = Math.fround(1e-5); // of the seminar's network
const NORM = ["weight", "bias", "running_mean", "running_var"];

/** The windows of K rows of x (T, width) that start at `starts`, each through the filters (H, width, K) and a bias. */
function convolve(x, T, width, weight, bias, K, starts) {
  const H = bias.length, found = new Float64Array(starts.length * H);
  starts.forEach((start, step) => {
    for (let i = 0; i < H; i++) {
      let sum = bias[i];
      for (let k = Math.max(0, -start); k < K && start + k < T; k++) {
        for (let e = 0; e < width; e++) sum += weight[(i * width + e) * K + k] * x[(start + k) * width + e];
      }
      found[step * H + i] = sum;
    }
  });
  return found;
}

const range = (count, by = 1, from = 0) => Array.from({ length: Math.max(0, count) }, (_, i) => from + by * i);

export const convolutional = network(
  { kernel_sizes: [] }, [], ["average_max", "max", "average"],
  ({ kernel_sizes: sizes }, E, H) => {
    const shapes = {};
    sizes.forEach((K, i) => Object.assign(shapes, { [`convs.${i}.weight`]: [H, E, K], [`convs.${i}.bias`]: [H] }));
    for (let block = 0; !sizes.length && block < BLOCKS; block++) {
      Object.assign(shapes, { [`convs.${block}.weight`]: [H, block ? H : E, PLACES], [`convs.${block}.bias`]: [H] });
      for (const name of NORM) shapes[`norms.${block}.${name}`] = [H];
    }
    return [shapes, sizes.length || 1];
  },
  ({ pooling, kernel_sizes: sizes }, tensors, addVector, E, H) => {
    const part = (name) => toFloat32(tensors[name]);
    const convs = range(sizes.length || BLOCKS).map((i) => [part(`convs.${i}.weight`), part(`convs.${i}.bias`)]);
    const norms = sizes.length ? [] : range(BLOCKS).map((i) => NORM.map((name) => part(`norms.${i}.${name}`)));
    return (ids, into) => {
      let x = new Float64Array(ids.length * E), T = ids.length;
      Array.from(ids, (id, t) => addVector(id, 1, x.subarray(t * E, (t + 1) * E)));
      // Kim's: a window at each place where a whole one fits, one where none does.
      sizes.reduce((at, K, i) => {
        const states = convolve(x, T, E, ...convs[i], K, range(T && Math.max(T - K + 1, 1)));
        return pool(pooling, states.map((sum) => Math.max(sum, 0)), H, into, at);
      }, 0);
      if (sizes.length) return;
      norms.forEach(([weight, bias, mean, variance], block) => {
        x = convolve(x, T, block ? H : E, ...convs[block], PLACES, range((T + 1) >> 1, 2, -1));
        T = (T + 1) >> 1;
        for (let i = 0; i < x.length; i++) {
          const j = i % H;
          x[i] = Math.max(0, ((x[i] - mean[j]) / Math.sqrt(variance[j] + EPSILON)) * weight[j] + bias[j]);
        }
      });
      pool(pooling, x, H, into, 0);
    };
  },
);
