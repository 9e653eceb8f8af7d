// RNN, GRU, LSTM and minimal GRU, from one end of a text or both: src/rubrica/models/recurrent.py.
import { SLACK, openKernels } from "./kernels.js";
import { network, pool } from "./network.js";

const GATES = { rnn: 1, gru: 3, lstm: 4, mingru: 2 };
const KNOWN_WORDS = 1 << 13; // words whose gates are remembered: 6 MB for each direction of a gru of 64 units

const ways = ({ bidirectional }) => (bidirectional ? ["l0", "l0_reverse"] : ["l0"]);

/**
 * A function read(ids, isReverse) that finds the states (T, H) in the order of reading.
 *
 * The memory holds W x + b of the latest words; the weights by columns; the biases; a word's vector; the state; its
 * gates. The state's bias is in the words' too, but for the last gate of a gru, which is multiplied first.
 */
function openCell({ name, embedding_dim: E, hidden_size: H }, part, addVector) {
  const G = GATES[name] * H, isMinimal = name === "mingru", own = name === "gru" ? 2 * H : G;
  const ofWords = KNOWN_WORDS * G, ofStates = ofWords + E * G, bias = ofStates + H * G, stateBias = bias + G;
  const vector = stateBias + G, state = vector + E, gates = state + H + SLACK;
  const { memory, product, squash } = openKernels(gates + G + SLACK);
  const h = memory.subarray(state, state + H), a = memory.subarray(gates, gates + G), c = new Float32Array(H);
  const byColumns = (weight, at, width) => {
    for (let i = 0; i < weight.length; i++) memory[at + (i % width) * G + Math.floor(i / width)] = weight[i];
  };
  byColumns(part("weight_ih"), ofWords, E);
  memory.set(part("bias_ih"), bias);
  if (!isMinimal) {
    byColumns(part("weight_hh"), ofStates, H);
    memory.set(part("bias_hh"), stateBias);
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
    if (known.size === KNOWN_WORDS) known.clear();
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

export const recurrent = network({
  rules: { pooling: ["average_max", "last", "max", "average", "attention"], bidirectional: true, init: null },
  parts: (settings) => ways(settings).length,
  shapes(settings, E, H) {
    const all = ways(settings), G = GATES[settings.name] * H, found = {};
    for (const way of all) {
      Object.assign(found, { [`cell.weight_ih_${way}`]: [G, E], [`cell.bias_ih_${way}`]: [G] });
      if (settings.name === "mingru") continue;
      Object.assign(found, { [`cell.weight_hh_${way}`]: [G, H], [`cell.bias_hh_${way}`]: [G] });
    }
    return settings.pooling === "attention" ? { ...found, "attention.weight": [all.length, H] } : found;
  },
  open(settings, part, addVector) {
    const H = settings.hidden_size, u = part("attention.weight");
    const cells = ways(settings).map((way) => openCell(settings, (name) => part(`cell.${name}_${way}`), addVector));
    return (ids, into) => cells.reduce((left, read, i) =>
      pool(settings.pooling, read(ids, i === 1), H, left, u?.subarray(i * H, (i + 1) * H)), into);
  },
});
