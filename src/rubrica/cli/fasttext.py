"""The twins of fastText's own command: the same flags, arguments and output, under `rubrica fasttext`.

Source: fastText 0.9.3, src/main.cc. What differs: exit code 2 for a wrong usage; analogies end with their input; the
last line of a file may lack its line feed; n lines in, n lines out, whatever is in them.
"""

import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from rubrica.cli.fasttext_flags import PASS_ON, FlagCommand, read_flags
from rubrica.errors import RubricaError

if TYPE_CHECKING:
    from rubrica.fasttext.model import Model

_BLOCK = 4096  # vectors that are written together


@click.group()
def fasttext() -> None:
    """Run fastText's own commands, with its flags: `rubrica fasttext supervised -input FILE -output NAME`."""


class Failure(click.ClickException):
    """A command was used well, and failed; its sentence begins with `error:`, as every failure's does."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it."""
        click.echo(f"error: {self.format_message()}", file=file, err=True)


@contextmanager
def _usage() -> Iterator[None]:
    """Turn an argument's wrong value into a wrong usage of its flag, and any other ValueError into a failure."""
    try:
        yield
    except RubricaError:
        raise
    except ValueError as error:
        from rubrica.fasttext.arguments import ARGUMENTS
        from rubrica.fasttext.faults import ArgumentError

        if not isinstance(error, ArgumentError):
            raise Failure(str(error)) from None
        flag = {each.name: f"-{each.flag}" for each in ARGUMENTS}.get(error.name, f"-{error.name}")
        raise click.UsageError(f"{error.name if error.name == 'k' else flag} {error.problem}") from None


def _load(path: str) -> "Model":
    from rubrica.fasttext.model import load_model

    return load_model(path)


def _write(*pieces: bytes) -> None:
    sys.stdout.buffer.writelines(pieces)
    sys.stdout.buffer.flush()


def _train(command: str, flags: tuple[str, ...]) -> None:
    from rubrica.fasttext.arguments import ARGUMENTS, read_arguments
    from rubrica.fasttext.faults import check_folder
    from rubrica.fasttext.training import train

    found = read_flags(command, flags)
    names = {each.flag: each.name for each in ARGUMENTS}
    output, saves_output = found.pop("output", ""), found.pop("saveOutput", False)
    if not found.get("input") or not output:
        raise click.UsageError("give -input FILE and -output NAME")
    named = {names[flag]: value for flag, value in found.items()}
    supervised = command == "supervised"
    check_folder(output)  # before the training
    with _usage():
        values, given = read_arguments((), named if supervised else named | {"model": command}, supervised=supervised)
        model = train(values, given)
        small = values["autotuneValidationFile"] and values["autotuneModelSize"]
        model.save_model(f"{output}{'.ftz' if small else '.bin'}")
    dim = model.get_dimension()
    _save_vectors(Path(f"{output}.vec"), model.raw_words, dim, _word_vectors(model, model.raw_words))
    if saves_output:
        names_of = model.raw_labels if supervised else model.raw_words
        _save_vectors(Path(f"{output}.output"), names_of, dim, model.get_output_matrix())


def _save_vectors(path: Path, names: list[bytes], dim: int, vectors: Iterable[Any]) -> None:
    from rubrica.errors import VectorsError
    from rubrica.files import written_whole

    with written_whole(path, VectorsError) as part, part.open("wb") as file:
        file.write(b"%d %d\n" % (len(names), dim))
        for name, row in zip(names, vectors, strict=True):
            file.write(name + b" " + _numbers(row) + b"\n")


def _word_vectors(model: "Model", words: list[bytes]) -> Iterator[Any]:
    for first in range(0, len(words), _BLOCK):
        yield from model.vectors_of(words[first : first + _BLOCK])


def _numbers(vector: Any) -> bytes:
    """Numbers with 5 digits, each with a space behind it, as fastText writes them."""
    return (b"%.5g " * len(vector)) % tuple(vector.tolist())


for _command, _help in (
    ("supervised", "Train a classifier; write NAME.bin and NAME.vec."),
    ("skipgram", "Train word vectors that foresee the words around; write NAME.bin and NAME.vec."),
    ("cbow", "Train word vectors that foresee the word between; write NAME.bin and NAME.vec."),
):

    @fasttext.command(
        _command, cls=FlagCommand, context_settings=PASS_ON, help=_help, options_metavar="-FLAG VALUE ..."
    )
    @click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="")
    @click.pass_context
    def _run(context: click.Context, flags: tuple[str, ...]) -> None:
        _train(context.command.name or "", flags)


@fasttext.command(cls=FlagCommand, context_settings=PASS_ON, options_metavar="-FLAG VALUE ...")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="")
def quantize(flags: tuple[str, ...]) -> None:
    """Make NAME.bin smaller; write NAME.ftz."""
    found = read_flags("quantize", flags)
    output = found.pop("output", "")
    if not output:
        raise click.UsageError("give -output NAME, the name of the model NAME.bin")
    model = _load(f"{output}.bin")
    with _usage():
        model.quantize(**{"lr": 0.05, "epoch": 5} | found)
        model.save_model(f"{output}.ftz")


def _asked(model: str, file: str, k: int, threshold: float) -> Any:
    with _usage():
        return _load(model).measure(file, k, threshold)


def _measuring(command: Any) -> Any:
    for argument in (
        click.argument("threshold", type=float, default=0.0),
        click.argument("k", type=int, default=1),
        click.argument("file"),
        click.argument("model"),
    ):
        command = argument(command)
    return command


@fasttext.command(context_settings=PASS_ON)
@_measuring
def test(model: str, file: str, k: int, threshold: float) -> None:
    """Print how many lines of FILE have labels, and the precision and recall of the K best labels."""
    meter = _asked(model, file, k, threshold)
    scores = meter.scores()
    _write(b"N\t%d\nP@%d\t%.3g\nR@%d\t%.3g\n" % (meter.num_texts, k, scores.precision, k, scores.recall))


@fasttext.command("test-label", context_settings=PASS_ON)
@_measuring
def test_label(model: str, file: str, k: int, threshold: float) -> None:
    """Print F1, precision and recall of each label, then what `test` prints."""
    with _usage():
        opened = _load(model)
        meter = opened.measure(file, k, threshold)
    for i, label in enumerate(opened.raw_labels):
        found = meter.scores(i)
        parts = (("F1-Score", found.f1), ("Precision", found.precision), ("Recall", found.recall))
        shown = "".join(f"{name} : {'--------' if math.isnan(value) else f'{value:.6f}'}  " for name, value in parts)
        _write(shown.encode() + b" " + label + b"\n")
    scores = meter.scores()
    _write(b"N\t%d\nP@%d\t%.3f\nR@%d\t%.3f\n" % (meter.num_texts, k, scores.precision, k, scores.recall))


def _predict(model: str, file: str, k: int, threshold: float, *, probabilities: bool) -> None:
    opened = _load(model)
    names = [*opened.raw_labels, b""]  # the last is the name of no label, -1
    with _usage():
        for _, labels, scores, counts in opened.iter_best(file, k, threshold):
            lines = []
            for row, sure, count in zip(labels.tolist(), scores.tolist(), counts.tolist(), strict=True):
                if probabilities:
                    pairs = zip(row[:count], sure[:count], strict=True)
                    lines.append(b" ".join([b"%b %g" % (names[label], score) for label, score in pairs]))
                else:
                    lines.append(b" ".join([names[label] for label in row[:count]]))
            _write(b"\n".join(lines), b"\n")


@fasttext.command(context_settings=PASS_ON)
@_measuring
def predict(model: str, file: str, k: int, threshold: float) -> None:
    """Print the K best labels of each line of FILE (- is standard input), those with at least THRESHOLD."""
    _predict(model, file, k, threshold, probabilities=False)


@fasttext.command("predict-prob", context_settings=PASS_ON)
@_measuring
def predict_prob(model: str, file: str, k: int, threshold: float) -> None:
    """Print what `predict` prints, each label with its probability."""
    _predict(model, file, k, threshold, probabilities=True)


def _words_in() -> Iterator[bytes]:
    """The words of standard input, as they come."""
    for line in sys.stdin.buffer:
        yield from line.split()


@fasttext.command("print-word-vectors")
@click.argument("model")
def print_word_vectors(model: str) -> None:
    """Print the vector of each word of standard input."""
    opened = _load(model)
    for line in sys.stdin.buffer:
        words = line.split()
        vectors = opened.vectors_of(words)
        _write(*(word + b" " + _numbers(vector) + b"\n" for word, vector in zip(words, vectors, strict=True)))


@fasttext.command("print-sentence-vectors")
@click.argument("model")
def print_sentence_vectors(model: str) -> None:
    """Print the vector of each line of standard input."""
    from rubrica.fasttext.lines import iter_packed

    opened = _load(model)
    for texts in iter_packed("-", _BLOCK):
        _write(*(_numbers(vector) + b"\n" for vector in opened.sentence_vectors(texts)))


@fasttext.command("print-ngrams")
@click.argument("model")
@click.argument("word")
def print_ngrams(model: str, word: str) -> None:
    """Print the vector of WORD and of each run of its characters."""
    opened = _load(model)
    runs, rows = opened.get_subwords(word, "surrogateescape")
    for run, row in zip(runs, rows.tolist(), strict=False):  # a run that was pruned has no row
        _write(run.encode(errors="surrogateescape") + b" " + _numbers(opened.get_input_vector(row)) + b"\n")


def _write_pairs(pairs: list[tuple[float, str]]) -> None:
    _write(*(b"%b %g\n" % (word.encode(errors="surrogateescape"), cosine) for cosine, word in pairs))


@fasttext.command(context_settings=PASS_ON)
@click.argument("model")
@click.argument("k", type=int, default=10)
def nn(model: str, k: int) -> None:
    """Print the K words nearest to each word of standard input."""
    opened = _load(model)
    _write(b"Query word? ")
    for word in _words_in():
        _write_pairs(opened.get_nearest_neighbors(word.decode(errors="surrogateescape"), k, "surrogateescape"))
        _write(b"Query word? ")


@fasttext.command(context_settings=PASS_ON)
@click.argument("model")
@click.argument("k", type=int, default=10)
def analogies(model: str, k: int) -> None:
    """Print the K words nearest to A - B + C, for each three words of standard input."""
    if k <= 0:
        raise click.UsageError(f"k is {k}, expected 1 or more")
    _write(f"Loading model {model}\n".encode(errors="surrogateescape"))
    opened, prompt = _load(model), b"Query triplet (A - B + C)? "
    _write(prompt)
    words = (word.decode(errors="surrogateescape") for word in _words_in())
    while len(three := list(islice(words, 3))) == 3:
        _write_pairs(opened.get_analogies(three[0], three[1], three[2], k, "surrogateescape"))
        _write(prompt)


_ARGS = (
    "dim", "ws", "epoch", "minCount", "neg", "wordNgrams", "loss", "model", "bucket", "minn", "maxn", "lrUpdateRate",
    "t",
)  # fmt: skip
_SHORT = {"supervised": "sup", "skipgram": "sg", "ova": "one-vs-all"}


@fasttext.command()
@click.argument("model")
@click.argument("option", type=click.Choice(["args", "dict", "input", "output"]))
def dump(model: str, option: str) -> None:
    """Print the arguments, the words or a matrix of MODEL."""
    opened = _load(model)
    if option == "args":
        values = opened.arguments
        shown = {name: _SHORT.get(values[name], values[name]) for name in _ARGS}
        _write(*(f"{name} {value:g}\n".encode() if name == "t" else f"{name} {value}\n".encode()
                 for name, value in shown.items()))  # fmt: skip
    elif option == "dict":
        words, labels = opened.entries()
        _write(b"%d\n" % (len(words) + len(labels)))
        for kind, entries in ((b"word", words), (b"label", labels)):
            _write(*(b"%b %d %b\n" % (name, count, kind) for name, count in entries))
    else:
        with _usage():
            matrix = opened.get_input_matrix() if option == "input" else opened.get_output_matrix()
        _write(b"%d %d\n" % matrix.shape)
        for row in matrix:
            _write(b" ".join([b"%g" % value for value in row.tolist()]), b"\n")
