// CSV files as people have them: with commas, semicolons or tabs, quotes, and line ends within quotes (RFC 4180).

/** The rows of a CSV text, each a list of cells, and the separator that it has. */
export function readCsv(text) {
  const body = text.replace(/^\ufeff/, ""), separator = guessSeparator(body), rows = [];
  let row = [], cell = "", at = 0;
  const endRow = () => {
    row.push(cell);
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
    cell = "";
  };
  while (at < body.length) {
    const mark = body[at];
    if (mark === '"' && cell === "") {
      let end = body.indexOf('"', at + 1);
      while (end >= 0 && body[end + 1] === '"') end = body.indexOf('"', end + 2);
      if (end < 0) end = body.length;
      cell = body.slice(at + 1, end).replaceAll('""', '"');
      at = end + 1;
    } else if (mark === separator) {
      row.push(cell);
      cell = "";
      at++;
    } else if (mark === "\n" || mark === "\r") {
      endRow();
      at += mark === "\r" && body[at + 1] === "\n" ? 2 : 1;
    } else {
      const end = nextMark(body, at, separator);
      cell += body.slice(at, end);
      at = end;
    }
  }
  if (cell !== "" || row.length) endRow();
  return { rows, separator };
}

/** The first separator or line end from a place on. */
function nextMark(text, from, separator) {
  for (let at = from; at < text.length; at++) {
    const mark = text[at];
    if (mark === separator || mark === "\n" || mark === "\r") return at;
  }
  return text.length;
}

/** What separates the cells of the first line, outside of quotes. */
function guessSeparator(text) {
  const first = text.slice(0, 10000).replace(/"(?:[^"]|"")*"/g, "").split(/[\r\n]/, 1)[0];
  const counts = [",", ";", "\t"].map((mark) => first.split(mark).length);
  return [",", ";", "\t"][counts.indexOf(Math.max(...counts))];
}

/** The column that most likely holds the texts: the one with the longest cells. */
export function guessColumn(rows) {
  const some = rows.slice(1, 101), lengths = rows[0].map((_, i) => some.reduce((sum, row) => sum + (row[i] ?? "").length, 0));
  return lengths.indexOf(Math.max(...lengths));
}

/** Rows as CSV text. */
export function writeCsv(rows, separator) {
  const quoted = (cell) => (/["\r\n]/.test(cell) || cell.includes(separator) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return rows.map((row) => `${row.map(quoted).join(separator)}\r\n`).join("");
}
