// How fast rubrica.js loads a folder and labels texts on one thread: `node js.mjs FOLDER PAIRS`, texts as JSON on stdin.
import { load } from "../js/rubrica.js";

let input = "";
for await (const chunk of process.stdin) input += chunk;
const texts = JSON.parse(input), [folder, rounds] = process.argv.slice(2), loads = [], speeds = [];

for (let i = 0; i <= rounds; i++) {
  const started = performance.now(), model = await load(folder);
  loads.push((performance.now() - started) / 1000);
  const ready = performance.now();
  const answers = model.predict(texts).map(([best]) => best.label);
  speeds.push((1000 * answers.length) / (performance.now() - ready));
  if (i === 0) process.stdout.write(`${JSON.stringify(answers)}\n`);
}
process.stdout.write(`${JSON.stringify({ node: process.version, load_seconds: loads, texts_per_second: speeds })}\n`);
