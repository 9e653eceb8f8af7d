r"""Files of texts and labels, written once more without some rows and with other labels for some.

What is not changed stays as it is: the lines of CSV, TSV, JSON Lines and fastText files byte for byte (in UTF-8 and
with `\n` where a file had another encoding or ends of lines), the columns of Parquet with their types. An array of JSON
is written anew, an object a line. No file is packed.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rubrica.data.addresses import Place
from rubrica.data.columns import find_columns
from rubrica.data.csv_files import iter_records
from rubrica.data.dialect import column_names, find_dialect
from rubrica.data.files import FORMATS, file_suffix, parquet_faults, read_parts
from rubrica.data.labels import as_list
from rubrica.data.large_files import USUAL, Content, decode, read_content, read_text
from rubrica.data.layout import Layout
from rubrica.data.line_files import label_splitter
from rubrica.data.sources import SPLITS, files_of
from rubrica.data.table import Table
from rubrica.errors import DataError, require
from rubrica.files import check_place, written_whole
from rubrica.scoring.task import Label

Edits = Mapping[int, Label | None]
"""By row, counted from 0: its new label, or None where it goes."""
Relabel = Callable[[dict[str, Any], Label], dict[str, Any]]
"""Makes the columns of a row, by name, the same row with another label."""

_DELIMITED = {".csv": ",", ".tsv": "\t"}
_SPACE = " \t\v\f\r\0\n"  # of fastText


def check_rewritable(path: Place, out: Path) -> None:
    """Make sure that a data set can be written once more, before any work is done for it.

    Raises:
        DataError: If it is no file or folder, or `out` is of another format, is the data itself, or cannot be written.
    """
    if not path.is_dir() and not path.is_file():
        raise DataError(path, "is no file or folder, so it cannot be written once more; download it as files first")
    if isinstance(path, Path) and out.exists() and out.samefile(path):
        raise DataError(out, "is the data itself; give a new name, so that nothing is lost")
    if not path.is_dir() and out.suffix.lower() != file_suffix(path):
        is_packed = file_suffix(out) == file_suffix(path)
        problem = (
            "names a packed file, and a plain one is written" if is_packed else f"has another format than {path.name}"
        )
        raise DataError(out, f"{problem}; give a name that ends in {file_suffix(path)}")
    if path.is_dir() and out.is_dir() and any(out.iterdir()):
        raise DataError(out, "is a folder with files in it; give a new name")
    if out.exists() and not out.is_dir():
        raise DataError(out, "is there already; give a new name, or remove it")
    check_place(out, DataError)


def rewrite_data(path: Place, out: Path, edits: Mapping[str, Edits], layout: Layout) -> None:
    """Write a data set once more, a file or a folder; the files of splits without edits are copied.

    Args:
        path: The file or folder, as `read_dataset` takes it.
        out: A new one of the same kind and format.
        edits: By split.
        layout: How the files are written.

    Raises:
        DataError: As `check_rewritable` does; or if the data cannot be read, or `out` not be written.
    """
    check_rewritable(path, out)
    files = files_of(path)
    with written_whole(out, DataError) as part:
        if not path.is_dir():
            ((split, (file,)),) = files.items()
            _rewrite(file, part, edits.get(split, {}), layout, 0)
            return
        part.mkdir()
        for split in SPLITS:
            row = 0
            for file in files.get(split, []):
                suffix = file_suffix(file)
                name = file.name if file.suffix.lower() == suffix else file.name.removesuffix(file.suffix)
                row = _rewrite(file, part / name, edits.get(split, {}), layout, row)


def _rewrite(file: Place, out: Path, edits: Edits, layout: Layout, row: int) -> int:
    """Write a file, whose first row is `row`, once more; returns the row behind its last."""
    if not edits and isinstance(file, Path) and file.suffix.lower() == file_suffix(file):
        import shutil

        shutil.copyfile(file, out)
        return row
    first = next(read_parts(file, layout, USUAL))
    relabel = _relabel(first, layout)
    if file_suffix(file) == ".parquet":
        return _rewrite_parquet(file, out, edits, find_columns(first, layout)[1], relabel, row)
    content = read_text(file, USUAL, layout.encoding)
    if FORMATS[file_suffix(file)] is not FORMATS[".json"]:
        return _rewrite_lines(content, out, edits, _line_format(content, layout, relabel), row)
    if first.row_lines is None:
        raise DataError(file, "holds columns, not rows; write it with an object for each row, such as JSON Lines")
    if bytes(content.data[:64]).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return _rewrite_array(content, out, edits, relabel, row)
    return _rewrite_lines(content, out, edits, (_filled_lines(content), _on_json(relabel)), row)


def _relabel(table: Table, layout: Layout) -> Relabel:
    """What gives a row of these columns another label."""
    _, columns = find_columns(table, layout)

    def relabel(row: dict[str, Any], label: Label) -> dict[str, Any]:
        names = as_list(label)
        if len(columns) > 1:  # a column of 0 and 1 for each label
            return row | {column: _flag(row[column], there=column in names) for column in columns}
        (column,) = columns
        known = table.class_names.get(column)
        values: list[Any] = [known.index(name) for name in names] if known else list(names)
        if isinstance(row[column], list):
            return row | {column: [_like(next(iter(row[column]), ""), value) for value in values]}
        if len(values) == 1:
            return row | {column: _like(row[column], values[0])}
        return row | {column: (layout.label_separator or "|").join(values) or "[]"}  # an empty string is no label

    return relabel


def _flag(old: Any, *, there: bool) -> Any:
    """Yes or no as another row of the column says it."""
    if isinstance(old, str):
        return str(there).lower() if old.strip().lower() in ("true", "false") else str(int(there))
    return type(old)(there)


def _like(old: Any, value: Any) -> Any:
    """A label as the column has them: as an integer where it has integers."""
    return type(old)(value) if isinstance(old, int | float) and not isinstance(old, bool) else value


LineFormat = tuple[Iterator[int], Callable[[str, Label], str]]
"""The lines at which rows start, and what gives the lines of a row another label."""


def _rewrite_lines(content: Content, out: Path, edits: Edits, form: LineFormat, row: int) -> int:
    starts, relabel = form
    with out.open("wb") as file:
        for number, lines in enumerate(_cut(content, starts), row - 1):
            if number < row or number not in edits:  # the lines above the first row have the number before
                file.write(lines)
            elif (label := edits[number]) is not None:
                file.write(relabel(lines.decode("utf-8-sig"), label).encode())
    return number + 1


def _cut(content: Content, starts: Iterator[int]) -> Iterator[bytes]:
    """Yield the lines above the first row, and then the lines of each row.

    Raises:
        DataError: If two rows share a line.
    """
    following, waiting, number = next(starts, None), list[bytes](), 0
    for stretch in content.stretches():
        for line in io.BytesIO(stretch):
            number += 1
            if number == following:
                yield b"".join(waiting)
                waiting, following = [], next(starts, None)
                if following == number:
                    problem = "two rows share this line; end each row with a line feed"
                    raise DataError(content.path, problem, line=number)
            waiting.append(line)
    yield b"".join(waiting)


def _line_format(content: Content, layout: Layout, relabel: Relabel) -> LineFormat:
    usual = _DELIMITED.get(file_suffix(content.path), "\t" if layout.is_delimited else None)
    return _fasttext(content, layout) if usual is None else _csv(content, layout, relabel, usual)


def _csv(content: Content, layout: Layout, relabel: Relabel, usual: str) -> LineFormat:
    dialect = find_dialect(content, layout, usual)
    first = next(fields for _, fields, _ in iter_records(content, dialect))
    names = column_names(content, layout, first, header=dialect.header)
    quoting: Any = csv.QUOTE_MINIMAL if dialect.quotes else csv.QUOTE_NONE
    style: dict[str, Any] = {"delimiter": dialect.delimiter, "quoting": quoting}

    def write(lines: str, label: Label) -> str:
        (fields,) = (row for row in csv.reader(io.StringIO(lines, newline=""), **style) if row)
        written = io.StringIO(newline="")
        changed = relabel(dict(zip(names, fields, strict=True)), label)
        csv.writer(written, lineterminator="\n", quotechar='"' if dialect.quotes else None, **style).writerow(
            changed.values()
        )
        return written.getvalue()

    starts = (line for line, _, _ in iter_records(content, dialect))
    if dialect.header:
        next(starts)
    return starts, write


def _fasttext(content: Content, layout: Layout) -> LineFormat:
    split, prefix = label_splitter(layout.label_prefix), layout.label_prefix

    def write(line: str, label: Label) -> str:
        return " ".join([*(prefix + name for name in as_list(label)), split(line)[1].strip(_SPACE)]) + "\n"

    return _filled_lines(content), write


def _filled_lines(content: Content) -> Iterator[int]:
    return (number for first, page in content.pages() for number, line in enumerate(page, first) if line.strip())


def _on_json(relabel: Relabel) -> Callable[[str, Label], str]:
    return lambda line, label: json.dumps(relabel(json.loads(line), label), ensure_ascii=False) + "\n"


def _rewrite_array(content: Content, out: Path, edits: Edits, relabel: Relabel, row: int) -> int:
    rows = json.loads(decode(content.path, bytes(content.data)))
    for number, label in edits.items():
        if label is not None and row <= number < row + len(rows):
            rows[number - row] = relabel(rows[number - row], label)
    kept = (values for number, values in enumerate(rows, row) if edits.get(number, ()) is not None)
    with out.open("w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(values, ensure_ascii=False) for values in kept) + "\n]\n")
    return row + len(rows)


def _rewrite_parquet(file: Place, out: Path, edits: Edits, columns: tuple[str, ...], relabel: Relabel, row: int) -> int:
    pa, parquet = require("pyarrow", "data"), require("pyarrow.parquet", "data")
    content = read_content(file, USUAL)
    with parquet_faults(file):
        old = parquet.ParquetFile(pa.BufferReader(pa.py_buffer(content.data)))
        with parquet.ParquetWriter(out, old.schema_arrow) as new:
            for batch in old.iter_batches(content.limits.part_rows):
                here = {number: edits[row + number] for number in range(len(batch)) if row + number in edits}
                new.write_batch(_edited(batch, here, columns, relabel))
                row += len(batch)
    return row


def _edited(batch: Any, edits: Edits, columns: tuple[str, ...], relabel: Relabel) -> Any:
    """Some rows of a Parquet file with their edits; the columns without labels stay as they are."""
    pa = require("pyarrow", "data")
    rows = batch.select(list(columns)).to_pylist()
    for place, label in edits.items():
        if label is not None:
            rows[place] = relabel(rows[place], label)
    for place, field in enumerate(batch.schema):
        if field.name in columns:
            batch = batch.set_column(place, field, pa.array([row[field.name] for row in rows], field.type))
    return batch.filter(pa.array([edits.get(place, ()) is not None for place in range(len(batch))]))
