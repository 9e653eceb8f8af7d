// What networks have in common: the vectors of a text's tokens become states, which are pooled over time, and a linear
// layer makes logits of that. Letters: T tokens, E numbers in a word vector, H hidden units or filters.
import { openTable, toFloat32 } from "./tables.js";

/** into[i] += row i of weight (rows, width) times x. */
export function addProduct(weight, x, into, rows, width = x.length) {
  for (let i = 0, place = 0; i < rows; i++) {
    for (let j = 0; j < width; j++) into[i] += weight[place++] * x[j];
  }
}

/** Writes the features of states (T, H) to `into`, and returns what is left of it. `u` is the attention's vector. */
export function pool(pooling, states, H, into, u) {
  const T = states.length / H, isBoth = pooling === "average_max", maxima = into.subarray(isBoth ? H : 0);
  if (T && pooling === "last") into.set(states.subarray((T - 1) * H));
  if (T && pooling.endsWith("max")) {
    maxima.set(states.subarray(0, H));
    for (let t = 1, place = H; t < T; t++) {
      for (let i = 0; i < H; i++, place++) if (states[place] > maxima[i]) maxima[i] = states[place];
    }
  }
  if (pooling.startsWith("a") && T) {
    const shares = new Float64Array(T).fill(1);
    if (u) {
      const scores = new Float64Array(T);
      addProduct(states, u, scores, T, H);
      const top = Math.max(...scores);
      scores.forEach((score, t) => (shares[t] = Math.exp(score - top)));
    }
    const total = shares.reduce((a, b) => a + b);
    for (let t = 0, place = 0; t < T; t++) {
      for (let i = 0; i < H; i++) into[i] += (shares[t] / total) * states[place++];
    }
  }
  return into.subarray(isBoth ? 2 * H : H);
}

/** A family of networks: `shapes` has the tensors between the words and the head, `parts` how many poolings there are. */
export const network = ({ rules, shapes, parts, open }) => ({
  rules: {
    embedding_dim: [50, 1, 65536], hidden_size: [64, 1, 65536], mask_padding: true, with_linear: true, embedding: null,
    extend_vectors: null, embedding_std: null, ...rules,
  },
  shapes(settings, { words, classes }) {
    const { embedding_dim: E, hidden_size: H, pooling } = settings;
    const features = parts(settings) * (pooling === "average_max" ? 2 * H : H);
    const head = { "head.weight": [classes, features], "head.bias": [classes] };
    return { "embedding.weight": [words, E], ...shapes(settings, E, H), ...head };
  },
  open(settings, tensors, { classes }) {
    const numbers = Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, () => toFloat32(tensor)]));
    const read = open(settings, (name) => numbers[name]?.(), openTable(tensors, "embedding.weight", settings.embedding_dim));
    const weight = toFloat32(tensors["head.weight"]), bias = toFloat32(tensors["head.bias"]);
    return {
      /** Where padding is read as words, a text has `steps` of them. */
      score({ ids }, into, steps) {
        const features = new Float64Array(weight.length / classes);
        read(settings.mask_padding ? ids : Array.from({ length: steps }, (_, t) => ids[t] ?? 0), features);
        addProduct(weight, features, into, classes);
        for (let c = 0; c < classes; c++) into[c] += bias[c];
      },
    };
  },
});
