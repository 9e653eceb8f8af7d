// The page: a text and what a model reads in it, a file that comes back with answers, and what the models are.
import { isBusy, openPage, useKey, wantsKey } from "./answers.js";
import { modelCards } from "./cards.js";
import { guessColumn, readCsv, writeCsv } from "./csv.js";
import { el, lineOf, markedText, scoreBars, tableOf } from "./drawing.js";
import { WORDS } from "./words.js";

const PAUSE = 800; // milliseconds without a new answer, after which a screen reader is told the last one
const SHOWN = 5; // rows of an answered file
const $ = (id) => document.getElementById(id);

let language = navigator.language.startsWith("ru") ? "ru" : "en", page = { models: [], examples: [], at_once: 256 };
let chosen = [], isAsking = false, isStale = false, pause, table, isRunning = false;

const say = (name, values = {}) => WORDS[language][name].replace(/\{(\w+)\}/g, (_, place) => values[place] ?? "");
const percent = (share) => new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(share);
const count = (number) => new Intl.NumberFormat(language).format(number);

/** Say all of the page in a language. */
function speak(wanted) {
  language = wanted;
  document.documentElement.lang = wanted;
  document.title = say("title");
  for (const part of document.querySelectorAll("[data-say]")) {
    part.textContent = say(part.dataset.say, { where: page.models.some(({ isHere }) => !isHere) ? say("whereServer") : "" });
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === wanted));
  }
  showExamples();
  showChoice();
  showAbout();
  showTable();
  answerText();
}

function complain(sentence) {
  $("problem").textContent = sentence;
  $("problem").hidden = !sentence;
}

// A text

function showExamples() {
  $("examples").replaceChildren(...page.examples.map((text) => {
    const button = el("button", { type: "button", className: "example", dir: "auto" }, text);
    button.addEventListener("click", () => {
      $("text").value = text;
      $("text").focus();
      answerText();
    });
    return button;
  }));
}

function showChoice() {
  const { models } = page;
  $("second").hidden = models.length < 2;
  const options = models.map((model, i) => el("option", { value: String(i), selected: chosen[1] === model }, model.name));
  $("other").replaceChildren(el("option", { value: "" }, say("none")), ...options.slice(1));
}

/** Ask about the text as it is now: once at a time, and again where it has changed meanwhile. */
async function answerText() {
  isStale = true;
  if (isAsking || !chosen.length) return;
  isAsking = true;
  while (isStale) {
    isStale = false;
    const text = $("text").value, asked = chosen;
    try {
      const found = await Promise.all(asked.map((model) => explained(model, text)));
      complain("");
      $("legend").hidden = !text.trim();
      $("models").replaceChildren(...found.map((each, i) => answerOf(asked[i], text, each)));
      clearTimeout(pause);
      pause = setTimeout(() => ($("spoken").textContent = found.map((each) => sentenceOf(text, each)).join(" ")), PAUSE);
    } catch (error) {
      complain(say("slow", { why: error.message }));
      showLock(error);
    }
  }
  isAsking = false;
}

/** What a model says of a text; where it cannot say why, its answer alone. */
async function explained(model, text) {
  try {
    return await model.explain(text);
  } catch (error) {
    if (wantsKey(error)) throw error;
    const [found] = await model.predict([text]);
    return { ...found, tokens: [], why: isBusy(error) ? "" : error.message };
  }
}

function sentenceOf(text, { answer, scores }) {
  const share = new Map(scores.map(({ label, score }) => [label, score]));
  const told = answer.map((label) => say("answer", { label, share: percent(share.get(label)) })).join("; ") || say("abstains");
  return text.trim() ? told : `${say("empty")}: ${told}`;
}

function answerOf(model, text, found) {
  const name = page.models.length > 1 ? [el("h3", {}, model.name)] : [], parts = [el("p", { className: "answer" }, sentenceOf(text, found))];
  parts.push(...scoreBars(found.scores, percent, (hidden, share) => say("more", { count: count(hidden), share: percent(share) })));
  if (found.why) parts.push(el("p", { className: "quiet" }, say("unexplained", { why: found.why })));
  if (found.tokens.length) {
    parts.push(el("h4", {}, say("shares")), markedText(text, found.tokens));
    if (found.tokens.some(({ isRead }) => !isRead)) parts.push(el("p", { className: "quiet" }, say("unread")));
    parts.push(el("h4", {}, say("beliefs")), found.beliefs ? lineOf(text, found, percent, columnWidth()) : el("p", { className: "quiet" }, say("tooLong")));
  }
  return el("article", {}, ...name, ...parts);
}

/** Pixels of a model's column: two stand side by side where both have room. */
function columnWidth() {
  const whole = $("models").clientWidth;
  return Math.min(640, chosen.length > 1 && whole > 810 ? (whole - 40) / 2 : whole);
}

// A file

async function openTable(file) {
  if (isRunning) return;
  const { rows, separator } = readCsv(await file.text());
  if (rows.length < 2) {
    complain(say("noRows", { name: file.name }));
    return;
  }
  complain("");
  table = { name: file.name, rows, separator, column: guessColumn(rows) };
  $("done").replaceChildren();
  showTable();
  $("start").focus();
}

function showTable() {
  $("table").hidden = !table;
  if (!table) return;
  const { name, rows, column } = table;
  $("rows").textContent = say("rows", { name, rows: count(rows.length - 1), columns: count(rows[0].length) });
  $("column").replaceChildren(...rows[0].map((title, i) => el("option", { value: String(i), selected: i === column }, title || String(i + 1))));
}

/** Classify all rows, some at a time, so that the page stays awake and can be stopped. */
async function classify() {
  const { rows: [head, ...rows], column, separator, name } = table, [model] = chosen, began = performance.now();
  const answered = [[...head, ...newNames(head)]];
  isRunning = true;
  showRunning();
  complain("");
  try {
    for (let at = 0; at < rows.length && isRunning; at += page.at_once) {
      const some = rows.slice(at, at + page.at_once), found = await model.predict(some.map((row) => row[column] ?? ""));
      some.forEach((row, i) => answered.push([...row, ...Array(Math.max(0, head.length - row.length)).fill(""), ...cellsOf(found[i])]));
      const done = answered.length - 1, spent = (performance.now() - began) / 1000;
      $("progress").value = done / rows.length;
      $("left").textContent = say("left", { done: count(done), rows: count(rows.length), time: duration((spent / done) * (rows.length - done)) });
      await new Promise((next) => setTimeout(next));
    }
  } catch (error) {
    complain(say("slow", { why: error.message }));
    showLock(error);
  }
  const done = answered.length - 1, time = duration((performance.now() - began) / 1000);
  isRunning = false;
  showRunning();
  showDone(answered, name, separator, say(done === rows.length ? "finished" : "stopped", { rows: count(done), time }));
}

/** Names of the new columns that the file does not have yet. */
const newNames = (head) => ["label", "score"].map((name) => (head.includes(name) ? `predicted ${name}` : name));

function cellsOf({ answer, scores }) {
  const best = scores.find(({ label }) => label === answer[0]) ?? scores[0];
  return [answer.join("|"), best.score.toFixed(4)];
}

function duration(seconds) {
  return seconds < 90 ? say("seconds", { count: count(Math.ceil(seconds)) }) : say("minutes", { count: count(Math.ceil(seconds / 60)) });
}

function showRunning() {
  $("running").hidden = $("stop").hidden = !isRunning;
  $("start").hidden = $("column").disabled = isRunning;
  if (isRunning) $("stop").focus();
}

function showDone(answered, name, separator, told) {
  const saved = name.replace(/(\.\w+)?$/, "-answers$1"), blob = new Blob([writeCsv(answered, separator)], { type: "text/csv" });
  const link = el("a", { className: "button", href: URL.createObjectURL(blob), download: saved }, say("download", { name: saved }));
  const shown = [table.column, answered[0].length - 2, answered[0].length - 1];
  const [head, ...body] = answered.slice(0, SHOWN + 1).map((row) => shown.map((place) => row[place].slice(0, 120)));
  $("done").replaceChildren(el("p", {}, told), el("p", {}, link), tableOf(head, body, say("firstRows")));
  link.focus();
}

// The models

function showAbout() {
  $("about").hidden = !page.models.length;
  $("report").hidden = !page.report;
  if (page.report) $("report").firstElementChild.href = page.report;
  $("cards").replaceChildren(...page.models.map((model) => modelCards(model, say, count, percent)));
}

function showLock(error) {
  $("locked").hidden = !wantsKey(error);
  if (wantsKey(error)) $("key").focus();
}

function listen() {
  $("text").addEventListener("input", answerText);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => speak(button.dataset.language));
  }
  $("other").addEventListener("change", ({ target }) => {
    chosen = [page.models[0], ...(target.value ? [page.models[Number(target.value)]] : [])];
    answerText();
  });
  $("csv").addEventListener("change", ({ target }) => target.files[0] && openTable(target.files[0]));
  $("column").addEventListener("change", ({ target }) => (table.column = Number(target.value)));
  $("start").addEventListener("click", classify);
  $("stop").addEventListener("click", () => (isRunning = false));
  $("locked").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey($("key").value);
    open();
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.toggle("dragged", name === "dragover");
      if (name === "drop" && event.dataTransfer.files[0]) openTable(event.dataTransfer.files[0]);
    });
  }
}

async function open() {
  complain(say("loading"));
  $("locked").hidden = true;
  try {
    page = { ...page, ...await openPage() };
    chosen = page.models.slice(0, 2);
    complain("");
    speak(language);
  } catch (error) {
    complain(say(wantsKey(error) ? "locked" : "failed", { why: error.message }));
    showLock(error);
  }
}

speak(language);
listen();
open();
