// How fast rubrica.js loads a folder and labels texts on one thread: `node js.mjs FOLDER ROUNDS`, texts as JSON on stdin.
import { load } from "../js/rubrica.js";

let input = "";
for await (const chunk of process.stdin) input += chunk;
const texts = JSON.parse(input), [folder, rounds] = process.argv.slice(2), speeds = [], cpu = [], loads = [];

const model = await load(folder);
for (let i = 0; i <= rounds; i++) {
  const started = performance.now(), used = process.cpuUsage();
  const answers = model.predict(texts).map(([best]) => best.label);
  const { user, system } = process.cpuUsage(used); // of all threads, the collector of garbage among them
  cpu.push((1e6 * answers.length) / (user + system));
  speeds.push((1000 * answers.length) / (performance.now() - started));
  if (i === 0) process.stdout.write(`${JSON.stringify(answers)}\n`);
}
for (let i = 0; i <= rounds; i++) {
  const started = performance.now();
  await load(folder);
  loads.push((performance.now() - started) / 1000);
}
const found = { node: process.version, load_seconds: loads, texts_per_second: speeds, texts_per_cpu_second: cpu };
process.stdout.write(`${JSON.stringify(found)}\n`);
