"""The commands `rubrica data` and `rubrica vectors`, and the flags that tell every command how to read its texts."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica.errors import DataError, RubricaError
from rubrica.files import user_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rubrica.data.dataset import Examples
    from rubrica.data.layout import Layout
    from rubrica.vectors.neighbours import Neighbour
    from rubrica.vectors.word_vectors import Vectors

_MIN_N = 3  # fastText's shortest run of characters

_TEXT_OPTIONS = (
    click.option("--text-column", "text_columns", multiple=True, help="Column of the text; repeat it to join several."),
    click.option("--delimiter", help="What separates the columns of a CSV file.  [default: found]"),
    click.option("--columns", help="Names of the columns where the first line is data, such as label,text."),
    click.option(
        "--no-header", "header", flag_value=False, default=True, show_default=False, help="The first line is data."
    ),
    click.option("--quotes/--no-quotes", default=None, help="Whether quotes enclose fields.  [default: found]"),
    click.option("--encoding", help="Encoding of the file, such as cp1251.  [default: UTF-8]"),
    click.option("--label-prefix", default="__label__", help="What begins a label in a fastText file."),
)
_LABEL_OPTIONS = (
    click.option(
        "--label-column",
        multiple=True,
        help="Column of the label; several, with commas, hold 0 to 1 for a label each.",
    ),
    click.option("--label-separator", default="|", help='What separates several labels; "" for none.'),
    click.option("--regression", is_flag=True, help="The label is a number from 0 to 1, which the model is to find."),
    click.option(
        "--on-bad-row",
        type=click.Choice(["error", "skip", "report"]),
        default="error",
        help="Stop at a row that cannot be read, leave it out, or also write it to a file.",
    ),
)


def text_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of every command that reads texts: parts of a `Layout`."""
    for option in reversed(_TEXT_OPTIONS):
        command = option(command)
    return command


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of every command that reads texts with labels: parts of a `Layout`."""
    for option in reversed(_LABEL_OPTIONS):
        command = option(command)
    return text_options(command)


def read_split(data: str, split: str | None, **columns: Any) -> "Examples":
    """One part of a data set: the one that is named, else test, else the first."""
    from rubrica.data.dataset import read_dataset

    splits = read_dataset(data, **columns).splits
    split = split or ("test" if "test" in splits else next(iter(splits)))
    if split not in splits:
        raise click.UsageError(f"--split {split}: {data} has {', '.join(splits)}")
    return splits[split]


def has_format(file: str, layout: "Layout") -> bool:
    """Whether a file is more than lines: its suffix says so, or the user does."""
    if file == "-":
        return False
    from rubrica.data.addresses import place_of  # late: standard input needs no servers

    return bool(place_of(file).suffix or layout.is_delimited)


def check_file(file: str) -> None:
    """Make sure that the texts to answer are there; people write a text where the name of a file is expected.

    Raises:
        DataError: If no file has this name.
    """
    scheme, mark, _ = file.partition("://")
    if file == "-" or (mark and scheme.isalnum()):  # standard input, or an address
        return
    try:
        there = user_path(file).exists()
    except OSError:  # too long for a name
        there = False
    if not there:
        raise DataError(file, 'no such file; to answer one text, echo "TEXT" | rubrica predict MODEL')


def texts_in(file: str, **columns: Any) -> "Iterable[str]":
    """The texts of a file, or the lines of standard input or of a file without a suffix as they come."""
    from rubrica.data.large_files import iter_lines
    from rubrica.data.layout import Layout
    from rubrica.data.line_files import label_splitter, read_lines

    layout = Layout(**columns)
    if has_format(file, layout):
        from rubrica.data.dataset import read_texts  # late: standard input needs no reader of formats

        return read_texts(file, **columns)
    if layout.is_delimited or layout.texts or layout.quotes is not None:
        flags = "--text-column, --columns, --no-header, --delimiter and --quotes"
        raise click.UsageError(f"{flags} are for files with columns; {file} has a text a line")
    if file != "-":
        from rubrica.data.addresses import place_of
        from rubrica.data.large_files import read_text

        place = place_of(file)
        if place.is_file():
            return chain.from_iterable(read_lines(read_text(place, encoding=layout.encoding), layout))
    split = label_splitter(layout.label_prefix)
    return (split(line)[1] for line in iter_lines(file, layout.encoding))


@contextmanager
def faults_of(data: str) -> Iterator[None]:
    """Turn a ValueError about texts and labels into an error that names where they came from."""
    from rubrica.data.addresses import name_of

    try:
        yield
    except ValueError as error:
        raise error if isinstance(error, RubricaError) else DataError(name_of(data), str(error)) from None


@click.command()
@click.argument("data")
@click.option("--vectors", help="File of word vectors, or a name of `rubrica vectors list`.")
@click.option("--keep-case", is_flag=True, help="Keep capitals, as the seminar does.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@data_options
def data(data: str, vectors: str | None, keep_case: bool, as_json: bool, **columns: Any) -> None:
    """Show what is in DATA: splits, classes, texts, tokens, ids, unknown words.

    DATA is a CSV, TSV, JSON, JSONL, Parquet or fastText file, perhaps packed (.gz, .bz2, .xz, .zst, .zip), a folder of
    train.* and test.*, the address of either (s3://, gs://, hdfs://, https:// and others), a Hugging Face hub id, or
    mini-news.
    """
    from rubrica.cli.tables import print_overview
    from rubrica.config.groups import DataSettings
    from rubrica.data.dataset import read_dataset
    from rubrica.insight.overview import describe
    from rubrica.vectors.stored import load_vectors

    dataset = read_dataset(data, **columns)
    loaded = load_vectors(vectors) if vectors else None
    facts = describe(dataset, loaded, DataSettings(lowercase=False if keep_case else "auto"))
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        print_overview(facts, dataset.task.remark)


@click.group()
def vectors() -> None:
    """Word vectors: list, download, look into, make."""


@vectors.command("list")
def vectors_list() -> None:
    """Show the thirteen published vectors of the gensim list, and which are already here."""
    from rubrica.cli.tables import print_vectors_list
    from rubrica.vectors.hub import KNOWN

    print_vectors_list(list(KNOWN.values()))


@vectors.command("get")
@click.argument("name")
def vectors_get(name: str) -> None:
    """Download the vectors NAME of `rubrica vectors list` and print where they lie."""
    from rubrica.vectors.hub import download_vectors

    click.echo(download_vectors(name))


_K = click.option("-k", default=10, type=click.IntRange(1, 2**31 - 1), help="How many words.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print a JSON object on a line for each question.")


@vectors.command("neighbours")
@click.argument("file")
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@_K
@_JSON
def vectors_neighbours(file: str, words: tuple[str, ...], k: int, as_json: bool) -> None:
    """Show the words whose vectors are nearest to each WORD, by cosine.

    FILE holds vectors in any form that --vectors takes, or is a model folder. In a fastText file any word has one.
    """
    from rubrica.vectors.stored import load_vectors

    loaded = load_vectors(file)
    for word in words:
        _print_near(word, loaded.neighbours(word, k), as_json)


@vectors.command("analogy")
@click.argument("file")
@click.argument("a")
@click.argument("b")
@click.argument("c")
@_K
@_JSON
def vectors_analogy(file: str, a: str, b: str, c: str, k: int, as_json: bool) -> None:
    """Show the words nearest to A - B + C: berlin germany france asks for paris.

    The order of the words is fastText's. FILE is as in `rubrica vectors neighbours`.
    """
    from rubrica.vectors.stored import load_vectors

    _print_near(f"{a} - {b} + {c}", load_vectors(file).analogy(a, b, c, k), as_json)


def _print_near(asked: str, near: "list[Neighbour]", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"asked": asked, "neighbours": [found._asdict() for found in near]}, ensure_ascii=False))
        return
    click.echo(asked)
    for found in near:
        click.echo(f"  {found.similarity:.4f} {found.word}")


@vectors.command("train")
@click.argument("data")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write: .txt, .vec or .bin.")
@click.option("--dim", default=50, type=click.IntRange(1, 1 << 16), help="Numbers per word.")
@click.option("--epochs", default=5, type=click.IntRange(1, 100_000), help="Passes over the texts.")
@click.option("--min-count", default=5, type=click.IntRange(1, 2**31 - 1), help="Rarer words get no vector.")
@click.option("--cbow", is_flag=True, help="Foresee a word from its neighbours; skip-gram does the opposite.")
@click.option(
    "--max-n", type=click.IntRange(1, 1000), help="Learn runs of characters too, up to this length: fastText's vectors."
)
@click.option("--min-n", type=click.IntRange(1, 1000), help="The shortest run, with --max-n.  [default: 3]")
@click.option("--keep-case", is_flag=True, help="Keep capitals; published vectors mostly have none.")
@click.option("--seed", default=0xDEAD, type=click.IntRange(0, 2**32 - 1), help="Seed of all random draws.")
@data_options
def vectors_train(
    data: str, out: Path, keep_case: bool, min_n: int | None, max_n: int | None, cbow: bool, **settings: Any
) -> None:
    """Make word vectors from the texts of a file, or the training texts of DATA: skip-gram or CBOW.

    Without --max-n they are word2vec's, by gensim. With --max-n they are fastText's: a .bin file then has a vector for
    any word, made of its runs of characters, and --vectors of any model takes it.
    """
    from rubrica.data.addresses import place_of
    from rubrica.data.dataset import read_dataset, read_texts
    from rubrica.vectors.stored import check_savable, save_vectors

    given = {name: settings.pop(name) for name in ("dim", "epochs", "min_count", "seed")}
    given |= {"cbow": cbow, "lowercase": not keep_case}
    if min_n is not None and max_n is None:
        raise click.UsageError("--min-n requires --max-n")
    if max_n is not None and (min_n or _MIN_N) > max_n:
        raise click.UsageError(f"--max-n {max_n} is below --min-n {min_n or _MIN_N}")
    out = check_savable(out)
    if place_of(data).is_file():
        texts = read_texts(data, **settings)  # labels may be there or not
    else:
        texts = next(iter(read_dataset(data, **settings).splits.values())).texts
    made = _make_vectors(texts, given, None if max_n is None else (min_n or _MIN_N, max_n))
    save_vectors(made, out)
    click.echo(f"{len(made.words)} words x {made.dim} written to {out}", err=True)


def _make_vectors(texts: "Sequence[str]", given: dict[str, Any], lengths: tuple[int, int] | None) -> "Vectors":
    """Vectors of the words of texts; with lengths of runs, fastText's, and a bar shows how far they are."""
    if lengths is None:
        from rubrica.vectors.word_vectors import train_vectors

        return train_vectors(texts, **given)
    from rubrica.learning.word_vectors import train_subword_vectors
    from rubrica.progress import share_bar

    with share_bar("cbow" if given["cbow"] else "skipgram") as show:
        return train_subword_vectors(texts, **given, min_n=lengths[0], max_n=lengths[1], progress=show)
