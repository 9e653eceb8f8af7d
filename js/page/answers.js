// Who answers: a model that this page reads itself, in a worker, or the server that it came from.
//
// page.json lists the models. One that has a `folder` is read here; the others are asked on the server.

const LONGEST = 2000; // characters, behind which a server is not asked for the belief after each word
let key = "";

/** What page.json says, with its models: [{ name, labels, isHere, predict(texts), explain(text) }]. */
export async function openPage() {
  const page = await ask("page.json");
  return { ...page, models: await Promise.all(page.models.map(async (model) => (model.folder ? here(model) : there(model)))) };
}

/** The key that the server wants from now on. */
export function useKey(given) {
  key = given;
}

export const wantsKey = (error) => error.status === 401;
export const isBusy = (error) => error.status === 503;

async function ask(address, body) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const given = body === undefined ? { headers } : {
    method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(address, given), found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  throw Object.assign(new Error(found.error?.message ?? `${answer.status} ${answer.statusText}`), { status: answer.status });
}

async function here(model) {
  const worker = new Worker("reader.js", { type: "module" }), waiting = new Map();
  worker.onmessage = ({ data: { id, found, problem } }) => {
    const [resolve, reject] = waiting.get(id);
    waiting.delete(id);
    if (problem === undefined) resolve(found);
    else reject(new Error(problem));
  };
  worker.onerror = ({ message }) => waiting.forEach(([, reject]) => reject(new Error(message ?? "reader.js")));
  let last = 0;
  const call = (name, given) => new Promise((resolve, reject) => {
    waiting.set(++last, [resolve, reject]);
    worker.postMessage({ id: last, call: name, given });
  });
  const labels = await call("open", new URL(model.folder, document.baseURI).href);
  return { ...model, labels, isHere: true, predict: (texts) => call("predict", texts), explain: (text) => call("explain", text) };
}

function there(model) {
  const { name, labels } = model;
  const predict = async (input) => {
    const { data } = await ask("v1/classify", { input, model: name });
    return data.map((row) => ({
      answer: row.labels ?? (row.label === null ? [] : [row.label]),
      scores: labels.map((label, i) => ({ label, score: row.probs[i] })).sort((a, b) => b.score - a.score),
    }));
  };
  const explain = async (text) => {
    const [{ answer, scores }] = await predict([text]), beliefs = text.length <= LONGEST;
    const parameters = { labels: [answer[0] ?? scores[0].label], beliefs };
    const found = await ask("explain", { inputs: text, model: name, parameters }), places = unitsOf(text);
    const tokens = found.tokens.map(({ start, end, read }, i) => (
      { start: places[start], end: places[end], share: found.labels[0].shares[i], isRead: read }
    ));
    return { answer, scores, tokens, beliefs: beliefs ? { labels: found.beliefs.labels, rows: found.beliefs.probabilities } : null };
  };
  return { ...model, isHere: false, predict, explain };
}

/** Where each character of a text, as Python counts them, stands in a string of JavaScript. */
function unitsOf(text) {
  const places = [0];
  for (const character of text) places.push(places.at(-1) + character.length);
  return places;
}
