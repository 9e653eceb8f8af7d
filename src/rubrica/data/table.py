"""The columns of a file or of a hub data set, all rows or some of them."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

from rubrica.data.bad_rows import BadRows
from rubrica.data.large_files import Limits
from rubrica.data.objects import GIVEN, as_list, columns_of
from rubrica.errors import DataError, quote_names, require

if TYPE_CHECKING:
    from rubrica.data.addresses import Place  # not for an answer to standard input

Bad = Callable[[int, str], object]
"""Called with a row that is bad, counted from 0, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Table:
    """Some rows of a file, of a split of a hub data set, or of Python's objects. Every way in gives its rows as tables.

    A label or a text becomes a string in one place, whatever table it stands in: see `labels.py` and `columns.py`.
    """

    path: "Place | str"  # the file or the hub id, for messages
    columns: dict[str, Any]  # by name; lists, or pyarrow columns that become lists when they are asked for
    class_names: dict[str, list[str]] = field(default_factory=dict)  # what the integers of a hub ClassLabel stand for
    row_lines: Callable[[], Iterable[int]] | None = None  # the physical line of every row, where there are lines
    first_row: int = 0  # rows of the file before the first row here

    def values(self, column: str) -> list[Any]:
        """A column as Python objects.

        Raises:
            DataError: If Arrow cannot make objects of it, for instance of bytes that are not UTF-8.
        """
        values = self.columns[column]
        if isinstance(values, list):
            return values
        try:
            return as_list(values)
        except (ValueError, OverflowError) as error:
            problem = f"column {quote_names([column])} cannot be read ({error}); write it as strings"
            raise DataError(self.path, problem) from None

    def refuse(self, row: int, problem: str) -> NoReturn:
        """Raise the error for a row: a `Bad` that ends the reading."""
        raise self.error(row, problem)

    def leave_out(self, faults: dict[int, str], bad_rows: BadRows) -> list[bool]:
        """Hand the bad rows and what is wrong with them to `bad_rows`; returns which rows are left."""
        lines = None if self.row_lines is None else dict(enumerate(self.row_lines()))
        columns = {name: self.values(name) for name in self.columns}
        for row, problem in sorted(faults.items()):
            found = {name: column[row] for name, column in columns.items()}
            error = self.error(row, problem) if lines is None else DataError(self.path, problem, line=lines[row])
            bad_rows.add(error, found)
        return [row not in faults for row in range(len(next(iter(columns.values()))))]

    def error(self, row: int, problem: str) -> DataError:
        """The error for a row, counted from 0, at its line where there is one."""
        if self.row_lines is None:
            return DataError(self.path, f"row {self.first_row + row + 1}: {problem}")
        return DataError(self.path, problem, line=next(islice(self.row_lines(), row, None)))


def check_names(path: "Place | str", names: list[str]) -> None:
    """Make sure that the columns have different names.

    Raises:
        DataError: If two have the same.
    """
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(path, f"two columns are named {quote_names([min(twice)])}; rename one of them")


def arrow_parts(path: "Place | str", table: Any, limits: Limits) -> Iterator[Table]:
    """A pyarrow table, a large one in parts, with the class names that `datasets` leaves in its metadata.

    Raises:
        DataError: If two columns have one name.
    """
    check_names(path, table.column_names)
    class_names = _class_names(table.schema.metadata or {})
    rows = limits.part_rows if table.nbytes > limits.large_bytes else max(1, table.num_rows)
    for first in range(0, table.num_rows, rows):
        columns = table.slice(first, rows).columns
        yield Table(path, dict(zip(table.column_names, columns, strict=True)), class_names, first_row=first)


def tables_of(source: Any, limits: Limits) -> Iterator[Table]:
    """A table of Python's objects: a DataFrame, a pyarrow table, a `Dataset`, a dict of columns, or dicts, a row each.

    Raises:
        DataError: If it has no rows, or two columns of one name.
        TypeError: If it is no table.
    """
    if hasattr(source, "with_format") and hasattr(source, "features"):  # a Dataset
        if hasattr(source, "num_rows"):
            metadata = source.features.arrow_schema.metadata  # the names of classes
            source = source.with_format("arrow")[:].replace_schema_metadata(metadata)
        else:  # one that is read as it comes
            schema = source.features and source.features.arrow_schema
            source = require("pyarrow", "data").Table.from_pylist(list(source), schema=schema)
    if type(source).__name__ == "LazyFrame":  # of polars
        source = source.collect()
    if hasattr(source, "schema") and hasattr(source, "to_pydict") and hasattr(source, "slice"):  # pyarrow
        if not source.num_rows:
            raise DataError(GIVEN, "no rows; give texts and labels")
        yield from arrow_parts(GIVEN, source, limits)
        return
    columns = columns_of(source)
    lengths = {name: len(column) for name, column in columns.items()}
    if not any(lengths.values()):
        raise DataError(GIVEN, "no rows; give texts and labels")
    if len(set(lengths.values())) > 1:
        raise DataError(GIVEN, f"columns of different lengths ({lengths}); give each column a value for every row")
    yield Table(GIVEN, columns)


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        inner = {name: kind.get("feature", kind) for name, kind in features.items()}  # of a list, what it holds
        kinds = {name: kind for name, kind in inner.items() if kind.get("_type") == "ClassLabel"}
        return {name: [str(label) for label in kind["names"]] for name, kind in kinds.items()}
    except (ValueError, KeyError, TypeError, AttributeError):  # no notes, or notes of another program
        return {}
