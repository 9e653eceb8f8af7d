// The model folder of docs/artifact.md: read, and checked against its manifest and its config.json. What this file does
// not know is an error, since it could change the answers.
import { bag } from "./bag.js";
import { convolutional } from "./conv.js";
import { RubricaError } from "./errors.js";
import { fasttext } from "./fasttext.js";
import { linear } from "./linear.js";
import { recurrent } from "./recurrent.js";
import { fromBytes } from "./text.js";

const FAMILIES = {
  bag, linear, fasttext, cnn: convolutional, rnn: recurrent, gru: recurrent, lstm: recurrent, mingru: recurrent,
};
const FORMAT = 4, FILES = ["manifest.json", "config.json", "vocab.txt", "model.safetensors"];
const KEYS = [
  "rubrica_format", "problem_type", "id2label", "label2id", "unknown_id", "vectors", "storage", "thresholds", "data",
  "model", "beside", "training",
];
const DATA = { lowercase: true, split_unspaced: false, max_length: [128, 1, 1 << 20], min_count: null, validation_fraction: null };
const TABLES = ["embedding.weight", "ngrams.weight", "linear.weight"];
const TABLE_TYPES = { float32: "F32", bfloat16: "BF16", int8: "I8", int4: "U8" };
const TYPES = {
  F32: Float32Array, U32: Uint32Array, I32: Int32Array, I64: BigInt64Array, BF16: Uint16Array, I8: Int8Array, U8: Uint8Array,
};

function check(holds, problem) {
  if (!holds) throw new RubricaError(`${problem}; copy the whole folder again`);
}

/** The bytes of the files by name, from a folder of Node, an address, or the files themselves. */
export async function readFiles(source) {
  const read = typeof source === "string" || source instanceof URL ? readerAt(String(source)) : readerOf(source);
  const found = await Promise.all(FILES.map(async (name) => {
    try {
      return [name, await read(name)];
    } catch (error) {
      throw new RubricaError(`${name} cannot be read: ${error.message}`);
    }
  }));
  return Object.fromEntries(found);
}

function readerAt(place) {
  if (globalThis.process?.versions?.node && !/^(https?|blob|data):/.test(place)) {
    const folder = place.startsWith("file:") ? new URL(`${place}/`) : `${place}/`;
    return async (name) => (await import("node:fs/promises")).readFile(folder.href ? new URL(name, folder) : folder + name);
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
    const bytes = file?.arrayBuffer ? await file.arrayBuffer() : file; // a Blob, as a page gets it from its reader
    if (ArrayBuffer.isView(bytes)) return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (!(bytes instanceof ArrayBuffer)) throw new Error("it is no ArrayBuffer, typed array or Blob");
    return new Uint8Array(bytes);
  };
}

function readJson(bytes, name) {
  let found = null;
  try {
    found = JSON.parse(fromBytes(bytes, name));
  } catch {}
  check(found && typeof found === "object", `${name} is no JSON`);
  return found;
}

/** A page that came without https has no hashes (`crypto.subtle`), and its files are not compared. */
async function checkManifest(files) {
  const manifest = readJson(files["manifest.json"], "manifest.json");
  for (const name of globalThis.crypto?.subtle ? FILES.slice(1) : []) {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", files[name]));
    const found = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
    check(manifest[name] === found, `${name} does not match manifest.json`);
  }
}

const isWhole = (value, low, high) => Number.isInteger(value) && value >= low && value <= high;

function fits(value, rule) {
  if (rule === null) return true; // no answer depends on it
  if (!Array.isArray(rule)) return typeof value === typeof rule;
  if (!rule.length) return Array.isArray(value) && value.every((size) => isWhole(size, 1, 1024));
  return typeof rule[0] === "string" ? rule.includes(value) : isWhole(value, rule[1], rule[2]);
}

/** The settings of a table. A rule is a default; or a default and its bounds, or its alternatives. */
function readSettings(section, table, rules) {
  check(table && typeof table === "object", `config.json has no ${section}`);
  const found = { name: table.name };
  for (const key in table) check(key === "name" || Object.hasOwn(rules, key), `config.json: unknown key ${section}.${key}`);
  for (const [key, rule] of Object.entries(rules)) {
    found[key] = table[key] ?? (rule?.length && typeof rule !== "string" ? rule[0] : rule);
    check(fits(found[key], rule), `config.json: ${section}.${key} is ${JSON.stringify(found[key])}`);
  }
  return found;
}

function readTask({ label2id, id2label, problem_type: type, thresholds: cuts }) {
  const labels = Object.keys(label2id ?? {}).sort((a, b) => label2id[a] - label2id[b]);
  const isNumbered = labels.every((label, i) => label2id[label] === i && id2label?.[i] === label);
  check(labels.length && isNumbered, "config.json: id2label does not number the classes of label2id");
  const several = type === "multi_label_classification" && cuts?.length === labels.length && cuts.every((cut) => cut > 0 && cut < 1);
  check(several || (type === "single_label_classification" && cuts === null), "config.json: problem_type and thresholds do not fit");
  return { labels, thresholds: cuts };
}

function readConfig(bytes) {
  const config = readJson(bytes, "config.json"), { rubrica_format: format, model, data, storage } = config;
  if (format !== FORMAT) throw new RubricaError(`format ${format}, expected ${FORMAT}; write it anew with rubrica export --web`);
  for (const key in config) check(KEYS.includes(key), `config.json: unknown key ${key}`);
  check(Object.hasOwn(FAMILIES, model?.name), `config.json: no model is called ${model?.name}`);
  check(Object.hasOwn(TABLE_TYPES, storage), `config.json: storage is ${storage}`);
  const members = [{ family: FAMILIES[model.name], settings: readSettings("model", model, FAMILIES[model.name].rules) }];
  if (members[0].settings.with_linear) {
    members.push({ family: linear, settings: readSettings("beside", config.beside ?? {}, linear.rules) });
  }
  const isOn = (value) => (value === "auto" ? true : value);
  const reading = { ...data, lowercase: isOn(data?.lowercase), split_unspaced: isOn(data?.split_unspaced) };
  const batchSize = config.training?.batch_size;
  check(isWhole(batchSize, 1, 1 << 20), `config.json: training.batch_size is ${batchSize}`);
  return { members, batchSize, storage, unknown: config.unknown_id, data: readSettings("data", reading, DATA), ...readTask(config) };
}

/** The tensors of a safetensors file: { dtype, shape, data } by name. */
function readTensors(bytes) {
  const name = "model.safetensors", view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), tensors = {};
  const size = bytes.length < 8 ? Infinity : Number(view.getBigUint64(0, true));
  check(size <= bytes.length - 8, `${name} is no safetensors file`);
  for (const [key, { dtype, shape, data_offsets: [start, end] = [] }] of Object.entries(readJson(bytes.subarray(8, 8 + size), name))) {
    if (key === "__metadata__") continue;
    const Type = TYPES[dtype], width = Type?.BYTES_PER_ELEMENT, length = shape?.reduce?.((a, b) => a * b, 1);
    const lies = start >= 0 && isWhole(length, 0, 2 ** 40) && end - start === length * width && end <= bytes.length - 8 - size;
    check(lies, `${name}: tensor ${key} does not lie within the file`);
    const from = bytes.byteOffset + 8 + size + start, fits = from % width === 0;
    const buffer = fits ? bytes.buffer : bytes.buffer.slice(from, from + end - start); // a foreign writer need not align
    tensors[key] = { dtype, shape, data: new Type(buffer, fits ? from : 0, length) };
  }
  return tensors;
}

const isFinite = ({ dtype, data }) => {
  if (dtype === "BF16") return data.every((half) => (half & 0x7f80) !== 0x7f80);
  return dtype !== "F32" || data.every(Number.isFinite);
};

/** Types and shapes of all tensors are those of the settings, and all numbers are finite. */
function checkTensors(tensors, members, storage, sizes) {
  const expected = {}, small = storage === "float32" ? "F32" : "BF16";
  for (const { family, settings } of members) {
    for (const [name, [rows, width, places]] of Object.entries(family.shapes(settings, sizes))) {
      const isTable = TABLES.includes(name), packed = isTable && storage === "int4" ? (width + 1) >> 1 : width;
      const type = isTable ? TABLE_TYPES[storage] : family.types?.[name] ?? small;
      expected[name] = [type, rows, packed, places].filter((part) => part !== undefined).join();
      if (isTable && /int/.test(storage)) expected[name.replace(".weight", ".scale")] = `BF16,${rows}`;
    }
  }
  for (const name in { ...expected, ...tensors }) {
    const found = tensors[name] && [tensors[name].dtype, ...tensors[name].shape].join();
    check(found === expected[name], `model.safetensors: tensor ${name} is ${found}, config.json expects ${expected[name]}`);
    check(isFinite(tensors[name]), `model.safetensors: tensor ${name} holds a number that is not finite`);
  }
}

/** What answers need, from the bytes of the files. */
export async function openFolder(files) {
  await checkManifest(files);
  const config = readConfig(files["config.json"]), { labels, data, unknown } = config;
  const words = fromBytes(files["vocab.txt"], "vocab.txt").split("\n").slice(0, -1);
  check(isWhole(unknown, 0, words.length - 1), `config.json: unknown_id is ${unknown} of ${words.length} words`);
  const tensors = readTensors(files["model.safetensors"]), features = tensors["linear.keys"]?.data.length || 1;
  const machines = labels.length === 2 && !config.thresholds ? 1 : labels.length; // of two classes the second has one
  const sizes = { words: words.length, classes: labels.length, machines, features, lowercase: data.lowercase };
  checkTensors(tensors, config.members, config.storage, sizes);
  const members = config.members.map(({ family, settings }) => ({ ...family, settings, ...family.open(settings, tensors, sizes) }));
  return { ...config, members, index: new Map(words.map((word, id) => [word, id])) };
}
