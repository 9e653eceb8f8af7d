// What networks have in common: the vectors of a text's tokens become states, which are pooled over time, and a linear
// layer makes logits of that. Letters: T tokens, E numbers in a word vector, H hidden units or filters.

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

/** A family of networks: open(settings, tensors, addVector) makes what reads ids, and there are so many poolings. */
export const network = (rules, carried, countPoolings, open) => ({
  rules: { embedding_dim: 50, hidden_size: 64, mask_padding: true, with_linear: true, ...rules },
  carried: `embedding extend_vectors embedding_std ${carried}`,
  open(settings, tensors, { words, classes }) {
    const { hidden_size: H, embedding_dim: E, pooling } = settings;
    const width = countPoolings(settings) * (pooling === "average_max" ? 2 * H : H);
    const weight = tensors.floats("head.weight", classes, width), bias = tensors.floats("head.bias", classes);
    const read = open(settings, tensors, tensors.table("embedding.weight", words, E));
    return {
      /** Where padding is read as words, a text has `steps` of them. */
      score({ ids }, into, steps) {
        const features = new Float64Array(width);
        read(settings.mask_padding ? ids : Array.from({ length: steps }, (_, t) => ids[t] ?? 0), features);
        addProduct(weight, features, into, classes);
        for (let c = 0; c < classes; c++) into[c] += bias[c];
      },
    };
  },
});
