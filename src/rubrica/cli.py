"""The command line: parses, calls, prints.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted.
"""

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica import __version__
from rubrica.errors import ConfigError, DataError, RubricaError, require

if TYPE_CHECKING:
    from rubrica.artifact import Artifact
    from rubrica.config import Storage
    from rubrica.data import Examples

MODELS = ["bag", "linear", "cnn", "rnn", "gru", "lstm", "mingru", "drnn"]

# Everything else is imported by the command that needs it: `rubrica --help` answers before numpy would be loaded.

SILENT = {"predict", "info"}  # commands that log nothing, and start without the library that does


def main() -> None:
    """Run the command line; every error that a user can cause is one sentence."""
    try:
        rubrica(prog_name="rubrica", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ConfigError as error:
        _fail(error, 2)
    except RubricaError as error:
        _fail(error, 1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _fail(error: Exception, exit_code: int) -> None:
    click.echo(f"error: {error}", err=True)
    sys.exit(exit_code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="rubrica")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
@click.pass_context
def rubrica(context: click.Context, quiet: bool) -> None:
    """Small, fast text classifiers: from a file of texts and labels to one safe folder that answers."""
    if context.invoked_subcommand in SILENT:
        return
    import logging

    logger = logging.getLogger("rubrica")
    logger.handlers = [logging.StreamHandler()]
    logger.setLevel(logging.ERROR if quiet else logging.INFO)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of every command that reads a data set."""
    options = (
        click.option("--text-column", "text_columns", multiple=True, help="Column of the text; several are joined."),
        click.option("--label-column", help="Column of the label."),
        click.option("--delimiter", help="What separates the columns of a CSV file."),
        click.option("--label-separator", default="|", help='Between labels of a text, [default: |] or "" for none.'),
    )
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)


def _read_split(data: str, split: str | None, **columns: Any) -> "Examples":
    """One part of a data set: the one that is named, else test, else the first."""
    from rubrica.data import read_dataset

    splits = read_dataset(data, **columns).splits
    if split is None:
        split = "test" if "test" in splits else next(iter(splits))
    if split not in splits:
        raise click.UsageError(f"--split {split}: {data} has {', '.join(splits)}")
    return splits[split]


@rubrica.command()
@click.argument("data")
@click.option("--vectors", help="File of word vectors, or a name of `rubrica vectors list`.")
@click.option("--keep-case", is_flag=True, help="Show ids of the text as written, as the seminar's are.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@data_options
def data(
    data: str,
    vectors: str | None,
    keep_case: bool,
    as_json: bool,
    **columns: Any,
) -> None:
    """Show what is in DATA: splits, classes, texts, tokens, ids, unknown words.

    DATA is a CSV, TSV, JSONL, Parquet or fastText file, a folder of train.* and test.*, a Hugging Face hub id, or
    mini-news.
    """
    from rubrica.config import DataConfig
    from rubrica.data import read_dataset
    from rubrica.overview import describe
    from rubrica.vectors import load_vectors

    dataset = read_dataset(data, **columns)
    loaded = load_vectors(vectors) if vectors else None
    facts = describe(dataset, loaded, DataConfig(lowercase=not keep_case))
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    from rubrica.tables import print_overview

    print_overview(facts)


@rubrica.group()
def vectors() -> None:
    """Word vectors: list, download, make."""


@vectors.command("list")
def vectors_list() -> None:
    """Show the thirteen published vectors of the gensim list, and which are already here."""
    from rubrica.tables import print_vectors_list
    from rubrica.vectors_hub import list_known

    print_vectors_list(list_known())


@vectors.command("get")
@click.argument("name")
def vectors_get(name: str) -> None:
    """Download the vectors NAME of `rubrica vectors list` and print where they lie."""
    from rubrica.vectors_hub import download_vectors

    click.echo(download_vectors(name))


@vectors.command("train")
@click.argument("data")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write: .txt, .vec or .bin.")
@click.option("--dim", default=50, show_default=True, type=click.IntRange(1), help="Numbers per word.")
@click.option("--epochs", default=5, show_default=True, type=click.IntRange(1))
@click.option("--min-count", default=5, show_default=True, type=click.IntRange(1), help="Rarer words get no vector.")
@click.option("--keep-case", is_flag=True, help="Keep capitals; published vectors mostly have none.")
@click.option("--seed", default=0xDEAD, show_default=True, type=click.IntRange(0))
@data_options
def vectors_train(
    data: str,
    out: Path,
    dim: int,
    epochs: int,
    min_count: int,
    keep_case: bool,
    seed: int,
    **columns: Any,
) -> None:
    """Make word vectors from the training texts of DATA (word2vec, by gensim)."""
    from rubrica.data import read_dataset
    from rubrica.vectors import check_savable, save_vectors, train_vectors

    check_savable(out)

    dataset = read_dataset(data, **columns)
    texts = next(iter(dataset.splits.values())).texts
    made = train_vectors(texts, dim=dim, epochs=epochs, min_count=min_count, lowercase=not keep_case, seed=seed)
    save_vectors(made, out)
    click.echo(f"{len(made.words)} words x {made.dim} written to {out}", err=True)


@rubrica.command()
@click.option("--data", default="ag_news", show_default=True, help="Needs the splits train and test.")
@click.option("--vectors", default="glove-twitter-50", show_default=True, help="File, or name of `vectors list`.")
@click.option("--out", default="runs/seminar", show_default=True, help="New folder for results, report and models.")
@data_options
def seminar(
    data: str,
    vectors: str,
    out: str,
    **columns: Any,
) -> None:
    """Run the seminar's five experiments: cnn, rnn, gru, gru-vectors, gru-frozen."""
    from rubrica.artifact import check_writable

    check_writable(out)
    from rubrica.data import read_dataset
    from rubrica.tables import print_seminar
    from rubrica.vectors import load_vectors

    dataset = read_dataset(data, **columns)
    loaded = load_vectors(vectors)
    require("torch", "train")
    from rubrica.seminar import run_seminar

    report = run_seminar(dataset, loaded, out)
    print_seminar(report)
    click.echo(f"wrote {out}/results.json, {out}/report.html and {out}/models/", err=True)


@rubrica.command()
@click.argument("data")
@click.option("--out", required=True, help="New folder for the model.")
@click.option("--model", type=click.Choice(MODELS), help="Which network.  [default: gru]")
@click.option("--vectors", help="File of word vectors, or a name of `rubrica vectors list`.")
@click.option("--size", type=click.Choice(["small", "base", "large"]), help="How large a model.  [default: base]")
@click.option("--recipe", help="A recipe's name, a TOML file, or the config.json of a model to repeat.")
@click.option("--epochs", type=int, help="Passes over the training texts.")
@click.option("--batch-size", type=int, help="Texts of one update.")
@click.option("--lr", type=float, help="Adam's step size.")
@click.option("--seed", type=int, help="Start of every random draw.")
@click.option("--class-weight", type=click.Choice(["none", "balanced"]), help="Count all classes alike.")
@click.option("--device", help="cpu, cuda or auto.")
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Any setting of the config.")
@data_options
def train(
    data: str,
    out: str,
    model: str | None,
    vectors: str | None,
    size: str | None,
    recipe: str | None,
    settings: tuple[str, ...],
    **flags: Any,
) -> None:
    """Train a model on DATA (see `rubrica data --help`) and write it to a new folder."""
    from rubrica.artifact import check_writable
    from rubrica.config import Config, load_recipe, recipe_names
    from rubrica.data import read_dataset

    if size and recipe:
        raise click.UsageError("give --size or --recipe, one of the two")
    columns = {name: flags.pop(name) for name in ("text_columns", "label_column", "delimiter", "label_separator")}
    named = recipe or (size if size != "base" else None) or (model if model in recipe_names() else None)
    config = load_recipe(named) if named else Config()
    given = {"model.name": model} | {f"training.{name}": value for name, value in flags.items()}
    config = config.changed([*settings, *(f"{key}={value}" for key, value in given.items() if value is not None)])
    check_writable(out)
    dataset = read_dataset(data, **columns)
    from rubrica.metrics import headline
    from rubrica.training import train as run_training

    metrics = run_training(dataset, out=out, config=config, vectors=vectors).artifact.metrics
    for split in ("validation", "test"):
        if scores := metrics.get(split):
            line = f"{split}: {headline(scores)}, {scores['texts']} texts"
            bag = metrics.get("bag", {}).get(split)
            click.echo(line if bag is None else f"{line} (a bag of words: {bag:.4f})", err=True)
    click.echo(f"trained in {metrics['train_seconds']:.1f} s; the model is in {out}", err=True)


@rubrica.command()
@click.argument("model")
@click.argument("data")
@click.option("--split", help="Which part of DATA.  [default: test, or the only one]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@data_options
def evaluate(
    model: str,
    data: str,
    split: str | None,
    as_json: bool,
    **columns: Any,
) -> None:
    """Score MODEL on DATA: accuracy, macro-F1, per class, confusion."""
    from rubrica.runtime import load

    classifier = load(model)
    examples = _read_split(data, split, **columns)
    try:
        scores = classifier.evaluate(examples.texts, examples.labels)
    except ValueError as error:
        raise DataError(data, str(error)) from None
    if as_json:
        click.echo(json.dumps(scores, ensure_ascii=False))
        return
    from rubrica.tables import print_scores

    print_scores(scores)


@rubrica.command()
@click.argument("model")
@click.argument("file", default="-")
@click.option("--all", "all_classes", is_flag=True, help="Add the probability of every class.")
@click.option("--text-column", "text_columns", multiple=True, help="Column of the text; several are joined.")
@click.option("--delimiter", help="What separates the columns of a CSV file.")
def predict(model: str, file: str, all_classes: bool, text_columns: tuple[str, ...], delimiter: str | None) -> None:
    """Label each text of FILE: one JSON object a line, in order.

    FILE holds one text a line (- is standard input), or is a CSV, TSV, JSONL or Parquet file with a text column.
    """
    from rubrica.answers import iter_answers
    from rubrica.data_files import FORMATS, file_suffix, iter_lines
    from rubrica.runtime import load

    classifier = load(model)
    if file != "-" and file_suffix(Path(file)) in FORMATS:
        from rubrica.data import read_texts

        texts = iter(read_texts(file, text_columns=text_columns, delimiter=delimiter))
    else:
        texts = iter_lines(file)
    for lines in iter_answers(classifier, texts, all_classes=all_classes):
        click.echo(lines)


@rubrica.command()
@click.argument("model", required=False)
@click.option("--env", is_flag=True, help="Show versions, processor, kernels and folders instead of a model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(model: str | None, env: bool, as_json: bool) -> None:
    """Show what MODEL is: classes, settings, size, scores; or, with --env, what it runs on."""
    if env == (model is not None):
        raise click.UsageError("give MODEL or --env, one of the two")
    if model is None:
        from rubrica.environment import describe

        facts = describe()
    else:
        from rubrica.runtime import load

        facts = load(model).artifact.facts()
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    from rubrica.tables import print_environment, print_info

    (print_environment if env else print_info)(facts)


@rubrica.command()
@click.argument("model")
@click.option("--out", required=True, help="New folder; with --onnx a new file, NAME.onnx.")
@click.option("--onnx", is_flag=True, help="An ONNX graph, checked in onnxruntime before it is written.")
@click.option("--int8", is_flag=True, help="The word table with one byte a number.")
@click.option("--bf16", is_flag=True, help="All weights with two bytes a number.")
@click.option("--data", help="Texts with labels, to measure what it costs in accuracy.")
@data_options
def export(model: str, out: str, onnx: bool, int8: bool, bf16: bool, data: str | None, **columns: Any) -> None:
    """Write MODEL as an ONNX file, or as a folder with smaller weights; print sizes and what they cost."""
    if not (onnx or int8 or bf16) or (int8 and bf16):
        raise click.UsageError("give --onnx, --int8 or --bf16; --onnx goes together with one of the others")
    from rubrica.export import store

    storage: Storage | None = "int8" if int8 else "bfloat16" if bf16 else None
    _export(model, out, lambda artifact: store(artifact, storage) if storage else artifact, data, columns, onnx=onnx)


@rubrica.command()
@click.argument("model")
@click.option("--max-size", required=True, metavar="SIZE", help="Of the whole folder: 2M, 800k, or in bytes.")
@click.option("--out", required=True, help="New folder for the model.")
@click.option("--data", help="Texts with labels, to measure what it costs in accuracy.")
@data_options
def quantize(model: str, max_size: str, out: str, data: str | None, **columns: Any) -> None:
    """Write MODEL to a folder of at most --max-size, by one-byte rows, fewer words, half-byte rows, in this order."""
    from rubrica.export import parse_size, shrink

    try:
        max_bytes = parse_size(max_size)
    except ValueError as error:
        raise click.UsageError(f"--max-size: {error}") from None
    _export(model, out, lambda artifact: shrink(artifact, max_bytes), data, columns)


def _export(
    model: str,
    out: str,
    change: "Callable[[Artifact], Artifact]",
    data: str | None,
    columns: dict[str, Any],
    *,
    onnx: bool = False,
) -> None:
    from rubrica.export import export_model
    from rubrica.tables import print_export

    examples = _read_split(data, None, **columns) if data else None
    try:
        report = export_model(Path(model), Path(out), change, onnx=onnx, examples=examples)
    except ValueError as error:
        raise DataError(data or model, str(error)) from None
    print_export(report)


if __name__ == "__main__":
    main()
