// What the page draws: bars of probabilities, a text with marked words, and the line of what a model believes.

const SHOWN = 6; // labels with a bar
const LINES = 4; // labels with a line
const STEPS = 5; // shades of a colour; more cannot be told apart
const FAINT = 0.05; // of the largest share: weaker words are not marked
const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children. */
export function el(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A table that can be moved sideways where it does not fit; numbers stand on the right. */
export function tableOf(head, rows, name) {
  const isNumber = head.map((_, i) => rows.every((row) => /^[\d.,\s\u00a0%]+$/.test(row[i])));
  const cells = (row, tag, more = {}) => row.map((cell, i) => el(tag, { ...more, dir: "auto", className: isNumber[i] ? "number" : "" }, cell));
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...cells(head, "th", { scope: "col" }))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row, "td")))));
  return el("div", { className: "wide", tabIndex: 0, role: "region", ariaLabel: name }, table);
}

/** The most probable labels with a bar each, and a line about the others. */
export function scoreBars(scores, percent, more) {
  const shown = scores.slice(0, scores.length > SHOWN + 1 ? SHOWN : scores.length), rest = scores.slice(shown.length);
  const rows = shown.map(({ label, score }) => {
    const bar = el("b", {});
    bar.style.width = `${100 * score}%`;
    return el("li", {}, el("span", { className: "label", dir: "auto" }, label), el("span", { className: "bar", ariaHidden: "true" }, bar),
      el("span", { className: "share" }, percent(score)));
  });
  const told = rest.length ? [el("p", { className: "quiet" }, more(rest.length, rest[0].score))] : [];
  return [el("ol", { className: "scores" }, ...rows), ...told];
}

/** The text with its words marked by what each adds. */
export function markedText(text, tokens) {
  const largest = Math.max(...tokens.map(({ share }) => Math.abs(share)), 0), parts = [];
  let last = 0;
  for (const { start, end, share, isRead } of tokens) {
    parts.push(text.slice(last, start));
    const weight = largest ? Math.abs(share) / largest : 0, word = text.slice(start, end);
    if (!isRead) parts.push(el("span", { className: "unread" }, word));
    else if (weight < FAINT) parts.push(word);
    else {
      const step = Math.max(1, Math.round(STEPS * weight)), sign = share > 0 ? "for" : "against";
      parts.push(el("b", { className: `${sign}${step}`, title: `${share > 0 ? "+" : "−"}${Math.abs(share).toFixed(3)}` }, word));
    }
    last = end;
  }
  return el("p", { className: "marked", dir: "auto" }, ...parts, text.slice(last));
}

/** The probabilities of the likeliest labels after each word, as lines in a picture of a width in pixels. */
export function lineOf(text, { tokens, beliefs: { labels, rows } }, percent, width) {
  const height = 200, left = 44, right = Math.min(130, width / 4), top = 10, bottom = 26;
  const x = (step) => left + ((width - left - right) * step) / Math.max(1, rows.length - 1);
  const y = (share) => top + (height - top - bottom) * (1 - share);
  const last = rows.at(-1), peak = (c) => Math.max(...rows.map((row) => row[c]));
  const likely = labels.map((_, c) => c).sort((a, b) => last[b] - last[a] || peak(b) - peak(a)).slice(0, LINES);
  likely.sort((a, b) => (labels[a] < labels[b] ? -1 : 1)); // so that a label keeps its colour while others overtake it
  const grid = [0, 0.5, 1].flatMap((share) => [
    svg("line", { x1: left, x2: width - right, y1: y(share), y2: y(share), class: "grid" }),
    svg("text", { x: left - 8, y: y(share) + 4, class: "tick", "text-anchor": "end" }, percent(share)),
  ]);
  const places = spread(likely.map((c) => y(last[c])), 16, top + 4, height - bottom + 4);
  const lines = likely.flatMap((c, i) => [
    svg("polyline", { points: rows.map((row, step) => `${x(step)},${y(row[c])}`).join(" "), class: `line slot${i}` }),
    svg("circle", { cx: x(rows.length - 1), cy: y(last[c]), r: 3.5, class: `dot slot${i}` }),
    svg("text", { x: width - right + 12, y: places[i] + 4, class: `name slot${i}` }, short(labels[c], Math.floor(right / 8))),
  ]);
  const every = Math.ceil((54 * tokens.length) / (width - left - right)); // a word takes some 54 pixels
  const words = tokens.flatMap(({ start, end }, i) => (i % every ? [] : [
    svg("text", { x: x(i + 1), y: height - 6, class: "tick", "text-anchor": "middle" }, short(text.slice(start, end), 8)),
  ]));
  const told = likely.map((c) => `${labels[c]} ${percent(last[c])}`).join(", ");
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told, class: "beliefs" }, ...grid, ...lines, ...words);
}

const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** Heights moved apart, so that names do not lie on each other, in their order from above. */
function spread(heights, distance, top, bottom) {
  const order = heights.map((_, i) => i).sort((a, b) => heights[a] - heights[b]), found = [...heights];
  order.forEach((place, i) => {
    if (i) found[place] = Math.max(found[place], found[order[i - 1]] + distance);
  });
  for (let i = order.length - 1, limit = bottom; i >= 0; i--) {
    found[order[i]] = Math.max(top, Math.min(found[order[i]], limit));
    limit = found[order[i]] - distance;
  }
  return found;
}
