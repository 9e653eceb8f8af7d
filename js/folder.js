// The model folder of docs/artifact.md: read, and checked against its manifest. What this file does not know is an error,
// since it could change the answers.
import { openTensors } from "./tables.js";
import { RubricaError, fromBytes } from "./text.js";

const FORMAT = 4, FILES = ["manifest.json", "config.json", "vocab.txt", "model.safetensors"];
const KEYS = "rubrica_format problem_type id2label label2id unknown_id vectors storage thresholds sure data model beside training";
const DATA = { lowercase: true, split_unspaced: false, max_length: 128 };
/** The module of each family; a page loads those of its model. */
const FAMILIES = {
  bag: "bag", linear: "linear", fasttext: "fasttext", cnn: "conv", rnn: "recurrent", gru: "recurrent", lstm: "recurrent",
  mingru: "recurrent", drnn: "disconnected",
};

function check(holds, problem) {
  if (!holds) throw new RubricaError(problem);
}

/** The bytes of the files by name, from a folder of Node, an address, or the files themselves. */
export async function readFiles(source) {
  const read = typeof source === "string" || source instanceof URL ? readerAt(String(source)) : readerOf(source);
  const found = await Promise.allSettled(FILES.map(async (name) => {
    try {
      return [name, await read(name)];
    } catch (error) {
      throw new RubricaError(`${name} cannot be read: ${error.message}`);
    }
  }));
  for (const { reason } of found) if (reason) throw reason; // of several the first by name, not by chance
  return Object.fromEntries(found.map(({ value }) => value));
}

function readerAt(place) {
  if (globalThis.process?.versions?.node && !/^(https?|blob|data):/.test(place)) {
    const path = place.startsWith("file:") ? (name) => new URL(name, `${place}/`) : (name) => `${place}/${name}`;
    return async (name) => (await import("node:fs/promises")).readFile(path(name));
  }
  const folder = new URL(`${place.replace(/\/$/, "")}/`, globalThis.location?.href);
  return async (name) => {
    const answer = await fetch(new URL(name, folder));
    if (!answer.ok) throw new Error(`the server says ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  };
}

function readerOf(files) {
  return async (name) => {
    const file = files instanceof Map ? files.get(name) : files?.[name];
    const bytes = file?.arrayBuffer ? await file.arrayBuffer() : file; // a Blob, as a page is given by its reader
    if (ArrayBuffer.isView(bytes)) return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (!(bytes instanceof ArrayBuffer)) throw new Error("it is no ArrayBuffer, typed array or Blob");
    return new Uint8Array(bytes);
  };
}

/** A page that came without https has no hashes (`crypto.subtle`), and its files are not compared. */
async function checkManifest(files) {
  const manifest = JSON.parse(fromBytes(files["manifest.json"]));
  for (const name of globalThis.crypto?.subtle ? FILES.slice(1) : []) {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", files[name]));
    const found = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
    check(manifest[name] === found, `${name} does not match manifest.json`);
  }
}

/** A table of settings. A rule is a default, or a list of all values; `carried` settings change no answer. */
function readSettings(section, table, rules, carried) {
  for (const key in table) {
    check(key === "name" || Object.hasOwn(rules, key) || carried.split(" ").includes(key), `unknown key ${section}.${key}`);
  }
  const found = { name: table.name };
  for (const [key, rule] of Object.entries(rules)) {
    const value = table[key] ?? (Array.isArray(rule) ? rule[0] : rule), isNumber = typeof value === "number";
    const fits = Array.isArray(value) || (Array.isArray(rule) ? rule.includes(value) : typeof value === typeof rule);
    check(fits && (!isNumber || (value >= 0 && value <= 2 ** 32 && value % 1 === 0)), `${section}.${key} is ${value}`);
    found[key] = value;
  }
  return found;
}

function readTask({ label2id, id2label, problem_type: type, thresholds: cuts }) {
  const labels = Object.keys(label2id).sort((a, b) => label2id[a] - label2id[b]);
  check(labels.length && labels.every((label, i) => id2label[i] === label), "id2label and label2id do not fit");
  const isNumber = type === "regression" && labels.join() === "0,1", isOne = type === "single_label_classification" || isNumber;
  check(type === "multi_label_classification" ? cuts?.length === labels.length : isOne && !cuts, "problem_type and thresholds do not fit");
  return { labels, thresholds: cuts, isNumber };
}

async function readMember(section, table, name = table.name) {
  check(Object.hasOwn(FAMILIES, name), `no model is called ${name}`);
  const { family } = await import(`./${FAMILIES[name]}.js`);
  return { ...family, settings: readSettings(section, { ...table, name }, family.rules, family.carried) };
}

async function readConfig(bytes) {
  const config = JSON.parse(fromBytes(bytes)), { data, rubrica_format: format } = config;
  check(format === FORMAT, `the folder has format ${format}, expected ${FORMAT}: write it anew with rubrica export --web`);
  for (const key in config) check(KEYS.split(" ").includes(key), `unknown key ${key}`);
  const members = [await readMember("model", config.model)];
  if (members[0].settings.with_linear) members.push(await readMember("beside", config.beside ?? {}, "linear"));
  for (const key in data) if (data[key] === "auto") data[key] = true;
  const reading = readSettings("data", data, DATA, "min_count validation_fraction");
  return { members, data: reading, batchSize: config.training.batch_size, unknown: config.unknown_id, ...readTask(config) };
}

/** What answers need, from the bytes of the files. */
export async function openFolder(files) {
  try {
    await checkManifest(files);
    const config = await readConfig(files["config.json"]), tensors = openTensors(files["model.safetensors"]);
    const words = fromBytes(files["vocab.txt"]).split("\n").slice(0, -1), { data, labels, thresholds } = config;
    check(config.unknown in words, `unknown_id is ${config.unknown} of ${words.length} words`);
    const machines = labels.length === 2 && !thresholds ? 1 : labels.length; // of two classes the second has one
    const sizes = { words: words.length, classes: labels.length, machines, lowercase: data.lowercase };
    const members = config.members.map((member) => ({ ...member, ...member.open(member.settings, tensors, sizes) }));
    return { ...config, members, index: new Map(words.map((word, id) => [word, id])) };
  } catch (error) {
    throw new RubricaError(`${error.message}; the folder is damaged or of another version, copy all of it again`);
  }
}
