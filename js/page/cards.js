// What the page says of a model: what it is, and how well it did.
import { el, tableOf } from "./drawing.js";

const SHARES = ["accuracy", "micro_f1", "macro_f1", "subset_accuracy"];
const NUMBERS = ["mean_absolute_error", "r2", "correlation"];
const SHOWN = 30; // labels that are named, and rows of the table

/** A model in words and figures. `say`, `count` and `percent` speak the page's language. */
export function modelCards({ name, labels, about }, say, count, percent) {
  const named = labels.slice(0, SHOWN).join(", ") + (labels.length > SHOWN ? say("others", { count: count(labels.length - SHOWN) }) : "");
  const facts = [[say("kind"), about.kind], [say("labels"), named]];
  if (about.train_texts) facts.push([say("trained"), say("texts", { count: count(about.train_texts) })]);
  facts.push([say("size"), say("megabytes", { count: count(Math.max(0.1, Math.round(about.bytes / 1e5) / 10)) })]);
  const { scores } = about;
  if (!scores) return el("article", {}, el("h3", {}, name), listOf(facts));
  const told = (keys, write) => keys.filter((key) => scores[key] !== undefined).map((key) => [say(key), write(scores[key])]);
  const measured = [...told(SHARES, percent), ...told(NUMBERS, count)];
  const rows = scores.per_class.slice(0, SHOWN).map(({ label, texts, ...shares }) => (
    [label, ...["precision", "recall", "f1"].map((key) => percent(shares[key])), count(texts)]
  ));
  const title = el("h4", {}, say(`scores_${scores.split}`, { count: count(scores.texts) }));
  if (!rows.length) return el("article", {}, el("h3", {}, name), listOf(facts), title, listOf(measured));
  const head = ["label", "precision", "recall", "f1", "textsOf"].map((key) => say(key));
  return el("article", {}, el("h3", {}, name), listOf(facts), title,
    listOf(measured), el("details", {}, el("summary", {}, say("perClass")), tableOf(head, rows, say("perClass"))));
}

const listOf = (pairs) => el("dl", {}, ...pairs.flatMap(([title, value]) => [el("dt", {}, title), el("dd", { dir: "auto" }, value)]));
