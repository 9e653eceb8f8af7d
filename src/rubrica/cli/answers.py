"""`rubrica predict --out`: the answers to a file, in a file."""

import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica.cli.data import texts_in

if TYPE_CHECKING:
    from rubrica.data.table import Table
    from rubrica.predict.classifier import Classifier

_LINES = 1 << 12  # at a time


def write_answers(
    classifier: "Classifier",
    model: str,
    file: str,
    out: str,
    *,
    resume: bool,
    options: dict[str, Any],
    **columns: Any,
) -> None:
    """Write the answers to the texts of a file; what was answered before a kill is kept where nothing changed."""
    from rubrica.progress import progress_bar
    from rubrica.predict.answer_file import answer_file, stamp, unfinished

    if resume and Path(out).exists():
        shutil.rmtree(unfinished(Path(out)), ignore_errors=True)  # a kill came just before this
        click.echo(f"{out}: is complete already", err=True)
        return
    if unfinished(Path(out)).exists():
        click.echo(f"{unfinished(Path(out))}: goes on", err=True)
    run = None
    if file != "-":
        run = {"model": stamp(model), "texts": [str(Path(file).resolve()), stamp(file)], "flags": [options, columns]}
    with progress_bar(file, None) as advance:
        count = answer_file(classifier, _parts_in(file, **columns), out, run, advance=advance, **options)
    click.echo(f"{count:,} texts answered; the answers are in {out}", err=True)


def _parts_in(file: str, **columns: Any) -> "Iterator[tuple[Sequence[str], Table | None]]":
    """The texts of a file, some at a time, with their rows where the file has columns."""
    from rubrica.data.dataset import iter_texts
    from rubrica.data.layout import Layout

    if file != "-" and (Path(file).suffix or Layout(**columns).is_delimited):
        yield from iter_texts(file, **columns)
        return
    lines = iter(texts_in(file, **columns))
    while some := list(islice(lines, _LINES)):
        yield some, None
