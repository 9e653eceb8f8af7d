// What networks have in common: the vectors of a text's tokens become states, which are pooled over time, and a linear
// layer makes logits of that. Letters: T tokens, E numbers in a word vector, H hidden units or filters.

/** into[i] += row i of weight (rows, width) times x. */
export function addProduct(weight, x, into, rows, width = x.length) {
  for (let i = 0, place = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < width; j++) sum += weight[place++] * x[j];
    into[i] += sum;
  }
}

/** Writes the features of states (T, H) to `into`, and returns what is left of it. `u` is the attention's vector. */
export function pool(pooling, states, H, into, u) {
  const T = states.length / H, isBoth = pooling === "average_max", maxima = into.subarray(isBoth ? H : 0);
  if (T && pooling === "last") into.set(states.subarray((T - 1) * H));
  else if (T && pooling !== "max") {
    const scores = new Float64Array(T);
    if (u) addProduct(states, u, scores, T, H);
    const top = scores.reduce((a, b) => Math.max(a, b)), shares = scores.map((score) => Math.exp(score - top));
    const total = shares.reduce((a, b) => a + b);
    for (let t = 0, place = 0; t < T; t++) {
      const share = shares[t] / total;
      for (let i = 0; i < H; i++) into[i] += share * states[place++];
    }
  }
  if (T && pooling.endsWith("max")) {
    maxima.set(states.subarray(0, H));
    for (let t = 1, place = H; t < T; t++) {
      for (let i = 0; i < H; i++, place++) if (states[place] > maxima[i]) maxima[i] = states[place];
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
