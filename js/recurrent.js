// RNN, GRU, LSTM and minimal GRU, from one end of a text or both: src/rubrica/models/recurrent.py.
import { SLACK, openKernels } from "./kernels.js";
import { network, pool } from "./network.js";

const GATES = { rnn: 1, gru: 3, lstm: 4, mingru: 2 };
const REMEMBERED = 1 << 21; // numbers of the latest words' gates that are kept for each direction: 8 MB

const ways = ({ bidirectional }) => (bidirectional ? ["l0", "l0_reverse"] : ["l0"]);

/**
 * A function read(ids, isReverse) that finds the states (T, H) in the order of reading. Its memory holds W x + b of the
 * latest words, with the state's bias in b but where a gru multiplies it first; the weights by columns; the rest.
 */
export function openCell({ name, embedding_dim: E, hidden_size: H }, tensors, way, addVector) {
  const G = GATES[name] * H, most = Math.ceil(REMEMBERED / G), part = (key, ...shape) => tensors.floats(`cell.${key}_${way}`, ...shape), isMinimal = name === "mingru", own = name === "gru" ? 2 * H : G;
  const ofWords = most * G, ofStates = ofWords + E * G, bias = ofStates + H * G, stateBias = bias + G;
  const vector = stateBias + G, state = vector + E, gates = state + H + SLACK;
  const { memory, product, squash } = openKernels(gates + G + SLACK);
  const h = memory.subarray(state, state + H), a = memory.subarray(gates, gates + G), c = new Float32Array(H);
  const byColumns = (weight, at, width) => {
    for (let i = 0; i < weight.length; i++) memory[at + (i % width) * G + Math.floor(i / width)] = weight[i];
  };
  byColumns(part("weight_ih", G, E), ofWords, E);
  memory.set(part("bias_ih", G), bias);
  if (!isMinimal) {
    byColumns(part("weight_hh", G, H), ofStates, H);
    memory.set(part("bias_hh", G), stateBias);
    for (let i = 0; i < own; i++) memory[bias + i] += memory[stateBias + i];
  }
  const steps = {
    rnn(x) {
      product(state, H, ofStates, G, x, gates, H);
      squash(gates, H, 2);
      h.set(a);
    },
    gru(x) {
      product(state, H, ofStates, G, x, gates, own);
      squash(gates, own, 1);
      product(state, H, ofStates + own, G, stateBias + own, gates + own, H);
      for (let i = 0; i < H; i++) a[own + i] = memory[x + own + i] + a[i] * a[own + i];
      squash(gates + own, H, 2);
      for (let i = 0; i < H; i++) h[i] = a[own + i] + a[H + i] * (h[i] - a[own + i]);
    },
    lstm(x) {
      product(state, H, ofStates, G, x, gates, G);
      h.set(a.subarray(2 * H, 3 * H));
      squash(state, H, 2);
      squash(gates, G, 1);
      for (let i = 0; i < H; i++) h[i] = c[i] = a[H + i] * c[i] + a[i] * h[i];
      squash(state, H, 2);
      for (let i = 0; i < H; i++) h[i] *= a[3 * H + i];
    },
    mingru(x) {
      for (let i = 0; i < H; i++) h[i] += memory[x + i] * (memory[x + H + i] - h[i]);
    },
  };
  const known = new Map(), step = steps[name];

  function placeOf(id) {
    let place = known.get(id);
    if (place !== undefined) return place;
    if (known.size === most) known.clear();
    known.set(id, (place = known.size * G));
    addVector(id, 1, memory.subarray(vector, vector + E).fill(0));
    product(vector, E, ofWords, G, bias, gates, G);
    if (isMinimal) for (let i = 0; i < H; i++) a[i] = 1 / (1 + Math.exp(-a[i]));
    memory.set(a, place);
    return place;
  }

  return (ids, isReverse) => {
    const states = new Float32Array(ids.length * H);
    h.fill(0);
    c.fill(0);
    for (let t = 0; t < ids.length; t++) {
      step(placeOf(ids[isReverse ? ids.length - 1 - t : t]));
      states.set(h, t * H);
    }
    return states;
  };
}

const rules = { pooling: ["average_max", "last", "max", "average", "attention"], bidirectional: true };

export const family = network(rules, "init", (settings) => ways(settings).length, (settings, tensors, addVector) => {
  const all = ways(settings), { pooling, hidden_size: H } = settings;
  const u = pooling === "attention" ? tensors.floats("attention.weight", all.length, H) : null;
  const cells = all.map((way) => openCell(settings, tensors, way, addVector));
  return (ids, into) => cells.reduce((left, read, i) =>
    pool(pooling, read(ids, i === 1), H, left, u?.subarray(i * H, (i + 1) * H)), into);
});
