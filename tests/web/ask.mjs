// Answers questions of the tests: JSON on stdin, [{ folder, texts, few, label }], and a line of JSON for each on stdout.
// `few` texts are explained too. With `plain` in the arguments there is no WebAssembly.
if (process.argv.includes("plain")) delete globalThis.WebAssembly;
const { load } = await import("../../js/rubrica.js");

let input = "";
for await (const chunk of process.stdin) input += chunk;
for (const { folder, texts = [], few = [], label } of JSON.parse(input)) {
  let found = null;
  try {
    const model = await load(folder);
    found = {
      labels: model.labels,
      probabilities: model.probabilities(texts).map((row) => [...row]),
      answers: model.predict(texts).map((row) => row.map((one) => one.label)),
      ranks: model.predict(texts, { top_k: 2 }).map((row) => row.map((one) => one.label)),
      beliefs: few.map((text) => model.beliefs(text).map((row) => [...row])),
      shares: few.map((text) => model.shares(text, label)),
    };
  } catch (error) {
    found = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
