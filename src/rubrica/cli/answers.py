"""`rubrica predict --out`: the answers to a file, in a file."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica.cli.data import has_format, texts_in

if TYPE_CHECKING:
    from rubrica.data.table import Table
    from rubrica.predict.classifier import Classifier
    from rubrica.progress import Show

_LINES = 1 << 12  # at a time


def write_answers(
    classifier: "Classifier",
    model: str,
    file: str,
    out: str,
    *,
    resume: bool,
    workers: int | None,
    options: dict[str, Any],
    **columns: Any,
) -> None:
    """Write the answers to the texts of a file; what was answered before a kill is kept where nothing changed.

    With a number of workers, 0 for all, Ray's workers answer.
    """
    from rubrica.predict.answer_file import answer_file, has_parts, stamp, unfinished
    from rubrica.progress import BytesBar

    if workers is not None:
        _answer_on_ray(classifier, model, file, out, resume=resume, workers=workers, options=options, **columns)
        return

    if not Path(out).exists() and has_parts(unfinished(Path(out))):
        click.echo(f"{unfinished(Path(out))}: goes on", err=True)
    run = None
    if texts := _identity(file):
        run = {"model": stamp(model), "texts": texts, "flags": [options, columns]}
    with BytesBar(file) as bar:
        parts = _parts_in(file, bar.show, **columns)
        count = answer_file(classifier, parts, out, run, resume=resume, advance=bar.note, **options)
    _tell(count, out)


def _answer_on_ray(
    classifier: "Classifier",
    model: str,
    file: str,
    out: str,
    *,
    resume: bool,
    workers: int,
    options: dict[str, Any],
    **columns: Any,
) -> None:
    from rubrica.predict.answer_file import stamp
    from rubrica.progress import progress_bar
    from rubrica.scale.answers import answer_on_ray

    if file == "-":
        raise click.UsageError("--ray reads files that its workers see, not standard input; give a file or a folder")
    run = {"model": stamp(model), "flags": [options, columns]}
    with progress_bar(file, None) as advance:
        count = answer_on_ray(
            classifier, file, out, run, workers=workers or None, resume=resume, advance=advance, **options, **columns
        )
    _tell(count, out)


def _tell(count: int | None, out: str) -> None:
    done = f"{out}: is complete already" if count is None else f"{count:,} texts answered; the answers are in {out}"
    click.echo(done, err=True)


def _identity(file: str) -> list[Any] | None:
    """What tells the texts of a file from others; None where nothing does."""
    from rubrica.data.addresses import Address, place_of
    from rubrica.predict.answer_file import stamp

    place = place_of(file)
    if isinstance(place, Address):
        return (found := place.stamp()) and [str(place), found]
    return None if file == "-" else [str(place.resolve()), stamp(file)]


def _parts_in(file: str, show: "Show", **columns: Any) -> "Iterator[tuple[Sequence[str], Table | None]]":
    """The texts of a file, some at a time, with their rows where the file has columns."""
    from rubrica.data.dataset import iter_texts
    from rubrica.data.layout import Layout

    if has_format(file, Layout(**columns)):
        yield from iter_texts(file, show=show, **columns)
        return
    lines = iter(texts_in(file, **columns))
    while some := list(islice(lines, _LINES)):
        yield some, None
