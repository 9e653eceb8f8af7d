// A worker that reads one model, so that the page stays awake while it answers.
import { load } from "./rubrica.js";

const LONGEST = 200; // words, behind which no beliefs are found: there is no room for their line
let model;

const calls = {
  async open(address) {
    model = await load(address);
    return model.labels;
  },
  predict(texts) {
    const chosen = model.predict(texts), all = model.predict(texts, { top_k: model.labels.length });
    return texts.map((_, i) => ({ answer: chosen[i].map(({ label }) => label), scores: all[i] }));
  },
  explain(text) {
    const [{ answer, scores }] = calls.predict([text]);
    const shares = model.shares(text, answer[0] ?? scores[0].label);
    const tokens = shares.map(([start, end, share]) => ({ start, end, share, isRead: true }));
    return { answer, scores, tokens, beliefs: tokens.length > LONGEST ? null : { labels: model.labels, rows: model.beliefs(text) } };
  },
};

onmessage = async ({ data: { id, call, given } }) => {
  try {
    postMessage({ id, found: await calls[call](given) });
  } catch (error) {
    postMessage({ id, problem: error.message });
  }
};
