// Answers questions of the tests: JSON on stdin, [{ folder, texts, label }], and a line of JSON for each on stdout.
import { load } from "../../js/rubrica.js";

let input = "";
for await (const chunk of process.stdin) input += chunk;
for (const { folder, texts, few = [], label } of JSON.parse(input)) {
  let found = null;
  try {
    const model = await load(folder);
    found = {
      labels: model.labels,
      probabilities: model.probabilities(texts).map((row) => [...row]),
      answers: model.predict(texts).map((row) => row.map(({ label }) => label)),
      beliefs: few.map((text) => model.beliefs(text).map((row) => [...row])),
      shares: few.map((text) => model.shares(text, label)),
    };
  } catch (error) {
    found = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
