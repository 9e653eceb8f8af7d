// Convolutions over word vectors, the seminar's three that halve the text or Kim's: src/rubrica/models/conv.py.
import { network, pool } from "./network.js";

const BLOCKS = 3, PLACES = 3, EPSILON = Math.fround(1e-5); // of the seminar's network
const NORM = ["weight", "bias", "running_mean", "running_var"];

const range = (count) => Array.from({ length: Math.max(0, count) }, (_, i) => i);
const relu = (x) => Math.max(x, 0);

/** What the filters (H, width, places) say of windows of rows of x (T, width), one from each of `starts` on. */
function convolve(x, width, [weight, bias], places, starts) {
  const T = x.length / width, H = bias.length, found = new Float64Array(starts.length * H);
  starts.forEach((start, step) => bias.forEach((sum, i) => {
    for (let k = Math.max(0, -start); k < places && start + k < T; k++) {
      for (let e = 0; e < width; e++) sum += weight[(i * width + e) * places + k] * x[(start + k) * width + e];
    }
    found[step * H + i] = sum;
  }));
  return found;
}

const rules = { pooling: ["average_max", "max", "average"], kernel_sizes: [[]] };

export const family = network(rules, "", ({ kernel_sizes: sizes }) => sizes.length || 1, (settings, tensors, addVector) => {
  const { pooling, kernel_sizes: sizes, embedding_dim: E, hidden_size: H } = settings;
  const filters = range(sizes.length || BLOCKS).map((i) => {
    const width = sizes.length || i === 0 ? E : H;
    return [tensors.floats(`convs.${i}.weight`, H, width, sizes[i] ?? PLACES), tensors.floats(`convs.${i}.bias`, H)];
  });
  const norms = sizes.length ? [] : filters.map((_, i) => NORM.map((name) => tensors.floats(`norms.${i}.${name}`, H)));
  return (ids, into) => {
    let x = new Float64Array(ids.length * E), T = ids.length;
    ids.forEach((id, t) => addVector(id, 1, x.subarray(t * E, (t + 1) * E)));
    // Kim's: a window at each place where a whole one fits, and one where none does.
    sizes.reduce((left, size, i) =>
      pool(pooling, convolve(x, E, filters[i], size, range(T && Math.max(T - size + 1, 1))).map(relu), H, left), into);
    norms.forEach(([weight, bias, mean, variance], block) => {
      T = (T + 1) >> 1;
      x = convolve(x, block ? H : E, filters[block], PLACES, range(T).map((t) => 2 * t - 1)).map((sum, place) => {
        const i = place % H;
        return relu(((sum - mean[i]) / Math.sqrt(variance[i] + EPSILON)) * weight[i] + bias[i]);
      });
    });
    if (!sizes.length) pool(pooling, x, H, into);
  };
});
