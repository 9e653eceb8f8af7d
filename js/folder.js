// The model folder, as docs/artifact.md describes it: read, checked against its manifest and against its own config.json.
// What this file does not know is an error, since it could change the answers.
import { bag } from "./bag.js";
import { RubricaError } from "./errors.js";
import { fasttext } from "./fasttext.js";
import { linear } from "./linear.js";
import { convolutional, disconnected, recurrent } from "./networks.js";
import { scaleName } from "./tables.js";
import { fromBytes } from "./text.js";

const FAMILIES = {
  bag, linear, fasttext, cnn: convolutional, drnn: disconnected,
  rnn: recurrent, gru: recurrent, lstm: recurrent, mingru: recurrent,
};
const FILES = ["manifest.json", "config.json", "vocab.txt", "model.safetensors"];
const FORMAT = 4, KEYS = [
  "rubrica_format", "problem_type", "id2label", "label2id", "unknown_id", "vectors", "storage", "thresholds", "data",
  "model", "beside", "training",
];
const DATA = { lowercase: true, split_unspaced: false, max_length: [128, 1, 1 << 20] };
const TABLES = ["embedding.weight", "ngrams.weight", "linear.weight"];
const TYPES = {
  F32: Float32Array, U32: Uint32Array, I32: Int32Array, I64: BigInt64Array, BF16: Uint16Array, I8: Int8Array, U8: Uint8Array,
};
const WHOLE = {
  "linear.keys": "U32", "head.counts": "U32", "dictionary.bytes": "U8", "dictionary.ends": "I64",
  "dictionary.counts": "I64", "prune.buckets": "I32", "prune.rows": "I32", "input.codes": "U8", "input.norm_codes": "U8",
  "output.codes": "U8", "output.norm_codes": "U8",
};
const STORED = { float32: "F32", bfloat16: "BF16", int8: "I8", int4: "U8" };

function check(holds, problem) {
  if (!holds) throw new RubricaError(problem);
}

/** The bytes of the files, from a folder of Node, an address, or the files themselves by name. */
export async function readFiles(source) {
  const isPlace = typeof source === "string" || source instanceof URL;
  const read = isPlace ? opener(String(source)) : giver(source);
  const loaded = await Promise.all(FILES.map((name) => read(name).catch((error) => {
    throw error instanceof RubricaError ? error : new RubricaError(`${name} cannot be read: ${error.message}`);
  })));
  return Object.fromEntries(FILES.map((name, i) => [name, loaded[i]]));
}

function opener(place) {
  const isNode = globalThis.process?.versions?.node && !/^(https?|blob|data):/.test(place);
  if (isNode) {
    return async (name) => {
      const { readFile } = await import("node:fs/promises");
      return readFile(place.startsWith("file:") ? new URL(name, `${place}/`) : `${place}/${name}`);
    };
  }
  return async (name) => {
    const answer = await fetch(new URL(name, new URL(place.endsWith("/") ? place : `${place}/`, globalThis.location?.href)));
    check(answer.ok, `${name} cannot be read: the server answers ${answer.status} ${answer.statusText}`);
    return new Uint8Array(await answer.arrayBuffer());
  };
}

function giver(files) {
  check(files && typeof files === "object", "give the address of a model folder, or its files by name");
  return async (name) => {
    const file = files instanceof Map ? files.get(name) : files[name];
    check(file !== undefined, `${name} is missing; give the files ${FILES.join(", ")}`);
    const bytes = typeof file.arrayBuffer === "function" ? await file.arrayBuffer() : file;
    check(bytes instanceof ArrayBuffer || ArrayBuffer.isView(bytes), `${name} is no ArrayBuffer, typed array or Blob`);
    return ArrayBuffer.isView(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes);
  };
}

/** A page that came without https has no hashes (`crypto.subtle`), and its files are not compared. */
async function checkManifest(files) {
  const manifest = readJson(files, "manifest.json");
  for (const name of globalThis.crypto?.subtle ? FILES.slice(1) : []) {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", files[name]));
    const found = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
    check(manifest[name] === found, `the content of ${name} does not match manifest.json; copy the whole folder again`);
  }
}

function readJson(files, name) {
  let found = null;
  try {
    found = JSON.parse(fromBytes(files[name], name));
  } catch (error) {
    throw error instanceof RubricaError ? error : new RubricaError(`${name} is no JSON: ${error.message}`);
  }
  check(found && typeof found === "object" && !Array.isArray(found), `${name} holds no object; copy the whole folder again`);
  return found;
}

const isWhole = (value, low, high) => Number.isInteger(value) && value >= low && value <= high;

function fits(value, rule) {
  if (!Array.isArray(rule)) return typeof value === typeof rule;
  if (!rule.length) return Array.isArray(value) && value.every((size) => isWhole(size, 1, 1024));
  return typeof rule[0] === "string" ? rule.includes(value) : isWhole(value, rule[1], rule[2]);
}

/** The settings of a table of config.json. A rule is a default; or a default and its bounds, or its alternatives. */
function readSettings(section, table, rules, carried) {
  const found = { name: table.name };
  for (const key of Object.keys(table)) {
    check(key === "name" || key in rules || carried.includes(key), `config.json: unknown key ${section}.${key}`);
  }
  for (const [key, rule] of Object.entries(rules)) {
    found[key] = table[key] ?? (Array.isArray(rule) && rule.length ? rule[0] : rule);
    check(fits(found[key], rule), `config.json: ${section}.${key} is ${JSON.stringify(found[key])}, which no model has`);
  }
  return found;
}

/** Formats 1 to 3 had one table for the settings of all families. */
function upgrade(config) {
  const older = config.rubrica_format < FORMAT;
  if (!older) return config;
  const { model } = config, family = FAMILIES[model?.name], known = (kind, values) =>
    Object.fromEntries(Object.entries(values).filter(([key]) => key === "name" || key in kind.keys));
  check(family, "config.json: model.name is unknown");
  const before = { with_linear: false, bidirectional: false };
  return {
    storage: "float32", thresholds: null, ...config,
    model: known(family, { ...before, ...model }), beside: known(linear, { ...model, name: "linear" }),
  };
}

function readTask(config) {
  const labels = Object.keys(config.label2id ?? {}).sort((a, b) => config.label2id[a] - config.label2id[b]);
  const named = Object.keys(config.id2label ?? {}).length === labels.length;
  check(labels.length && named && labels.every((label, i) => config.id2label[i] === label && config.label2id[label] === i),
    'config.json: id2label does not number the classes of label2id from "0" on');
  const several = config.problem_type === "multi_label_classification", cuts = config.thresholds ?? null;
  check(several || config.problem_type === "single_label_classification", "config.json: problem_type is unknown");
  check(several ? Array.isArray(cuts) && cuts.length === labels.length && cuts.every((cut) => cut > 0 && cut < 1) : !cuts,
    "config.json: thresholds do not fit the labels");
  return { labels, thresholds: cuts };
}

function readConfig(files) {
  const given = readJson(files, "config.json");
  check(isWhole(given.rubrica_format, 1, FORMAT), `config.json: this version reads the formats 1 to ${FORMAT}`);
  for (const key of Object.keys(given)) check(KEYS.includes(key), `config.json: unknown key ${key}`);
  for (const key of ["model", "data", "training"]) check(typeof given[key] === "object" && given[key], `config.json has no ${key}`);
  const config = upgrade(given), family = FAMILIES[config.model.name];
  check(family && Object.hasOwn(FAMILIES, config.model.name), "config.json: model.name is unknown");
  check(Object.hasOwn(STORED, config.storage), "config.json: storage is unknown");
  const settings = readSettings("model", config.model, family.keys, family.carried);
  const members = [{ family, settings }];
  if (settings.with_linear) {
    members.push({ family: linear, settings: readSettings("beside", config.beside ?? {}, linear.keys, linear.carried) });
  }
  const batchSize = config.training.batch_size;
  check(isWhole(batchSize, 1, 1 << 20), "config.json: training.batch_size is missing");
  const asked = { ...config.data };
  for (const key of ["lowercase", "split_unspaced"]) if (asked[key] === "auto") asked[key] = true;
  const data = readSettings("data", asked, DATA, ["min_count", "validation_fraction"]);
  return { members, data, batchSize, storage: config.storage, unknown: config.unknown_id, ...readTask(config) };
}

/** The tensors of a safetensors file: { dtype, shape, data } by name. */
function readTensors(bytes) {
  const name = "model.safetensors", view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.length < 8 ? Infinity : Number(view.getBigUint64(0, true));
  check(size <= bytes.length - 8, `${name} is no safetensors file; copy it again`);
  const header = readJson({ [name]: bytes.subarray(8, 8 + size) }, name), tensors = {};
  for (const [key, entry] of Object.entries(header)) {
    if (key === "__metadata__") continue;
    const { dtype, shape, data_offsets: [start, end] = [] } = entry ?? {}, Type = TYPES[dtype];
    check(Type, `${name}: tensor ${key} holds ${dtype}, which no model has`);
    const length = Array.isArray(shape) && shape.every((n) => isWhole(n, 0, 2 ** 40)) ? shape.reduce((a, b) => a * b, 1) : NaN;
    check(start >= 0 && end - start === length * Type.BYTES_PER_ELEMENT && 8 + size + end <= bytes.length,
      `${name}: tensor ${key} does not lie within the file; copy it again`);
    const from = bytes.byteOffset + 8 + size + start, aligned = from % Type.BYTES_PER_ELEMENT === 0;
    const buffer = aligned ? bytes.buffer : bytes.buffer.slice(from, from + end - start);
    tensors[key] = { dtype, shape, data: new Type(buffer, aligned ? from : 0, length) };
  }
  return tensors;
}

/** Types and shapes of all tensors are those of the settings, and all numbers are finite. */
function checkTensors(tensors, { members, storage, labels, thresholds }, words) {
  const machines = labels.length === 2 && !thresholds ? 1 : labels.length;
  const sizes = { words, classes: labels.length, machines, features: Math.max(1, tensors["linear.keys"]?.data.length ?? 0) };
  const expected = {};
  for (const { family, settings } of members) {
    for (const [name, shape] of Object.entries(family.layout(settings, sizes))) {
      const isTable = TABLES.includes(name), small = storage === "float32" ? "F32" : "BF16";
      const packed = isTable && storage === "int4" ? [shape[0], (shape[1] + 1) >> 1] : shape;
      expected[name] = `${WHOLE[name] ?? (isTable ? STORED[storage] : small)} ${packed}`;
      if (isTable && (storage === "int8" || storage === "int4")) expected[scaleName(name)] = `BF16 ${shape[0]}`;
    }
  }
  for (const name of Object.keys({ ...expected, ...tensors })) {
    const found = tensors[name] && `${tensors[name].dtype} ${tensors[name].shape}`;
    check(found === expected[name], `model.safetensors: tensor ${name} is ${found}, config.json expects ${expected[name]}`);
    const { dtype, data } = tensors[name];
    const isFinite = dtype === "F32" ? data.every(Number.isFinite) : dtype !== "BF16" || data.every((half) => (half & 0x7f80) !== 0x7f80);
    check(isFinite, `model.safetensors: tensor ${name} holds a number that is not finite`);
  }
  return sizes;
}

/** Everything that answers need, from the bytes of the files. */
export async function openFolder(files) {
  await checkManifest(files);
  const config = readConfig(files), words = fromBytes(files["vocab.txt"], "vocab.txt").split("\n").slice(0, -1);
  check(isWhole(config.unknown, 0, words.length - 1), `config.json: unknown_id is ${config.unknown} of ${words.length} words`);
  const tensors = readTensors(files["model.safetensors"]), sizes = checkTensors(tensors, config, words.length);
  const facts = { ...sizes, lowercase: config.data.lowercase };
  const members = config.members.map(({ family, settings }) => ({
    family, settings, isMasked: settings.mask_padding ?? true, ...family.open(settings, tensors, facts),
  }));
  return { ...config, members, index: new Map(words.map((word, id) => [word, id])) };
}
