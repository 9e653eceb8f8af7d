// A GRU that starts anew in a window at each word, and a linear layer: src/rubrica/models/disconnected.py.
import { addProduct, network, pool } from "./network.js";
import { openCell } from "./recurrent.js";

const rules = { pooling: ["average_max", "last", "max", "average"], window: 15 };

export const family = network(rules, "init", () => 1, (settings, tensors, addVector) => {
  const { pooling, hidden_size: H, window } = settings, read = openCell({ ...settings, name: "gru" }, tensors, "l0", addVector);
  const weight = tensors.floats("mlp.weight", H, H), bias = tensors.floats("mlp.bias", H);
  return (ids, into) => {
    const states = new Float64Array(ids.length * H);
    ids.forEach((_, t) => {
      const state = states.subarray(t * H, (t + 1) * H);
      state.set(bias);
      addProduct(weight, read(ids.slice(Math.max(0, t + 1 - window), t + 1)).slice(-H), state, H);
    });
    pool(pooling, states.map((x) => Math.max(x, 0)), H, into);
  };
});
