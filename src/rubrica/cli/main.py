"""The command line: parses, calls, prints.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica import __version__
from rubrica.cli.data import data, data_options, read_split, vectors
from rubrica.cli.units import FamilyName, parse_seconds, parse_setting, parse_size
from rubrica.errors import ConfigError, DataError, RubricaError, require

if TYPE_CHECKING:
    from rubrica.artifact.folder import Artifact
    from rubrica.config.groups import Storage
    from rubrica.models.config import Config
    from rubrica.predict.classifier import Classifier

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
    except MemoryError as error:
        _fail(RubricaError(f"not enough memory ({error or 'Python'}); use smaller settings, or a machine with more"), 1)
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

    class Stderr(logging.StreamHandler[Any]):
        """Writes to the `sys.stderr` of the moment: a running progress bar stands in for it and stays below."""

        def emit(self, record: logging.LogRecord) -> None:
            self.stream = sys.stderr
            super().emit(record)

    logger = logging.getLogger("rubrica")
    logger.handlers = [Stderr()]
    logger.setLevel(logging.ERROR if quiet else logging.INFO)


rubrica.add_command(data)
rubrica.add_command(vectors)


@rubrica.command()
@click.option("--data", default="ag_news", show_default=True, help="Needs the splits train and test.")
@click.option("--vectors", default="glove-twitter-50", show_default=True, help="File, or name of `vectors list`.")
@click.option("--out", help="New folder for what comes out.  [default: runs/seminar or runs/ladder]")
@click.option("--ladder", is_flag=True, help="Mend its rnn and its gru instead, one fault at a time.")
@click.option("--seeds", type=click.IntRange(1, 100), help="Trainings of each rung of the ladder.  [default: 5]")
@data_options
def seminar(data: str, vectors: str, out: str | None, ladder: bool, seeds: int | None, **columns: Any) -> None:
    """Run the seminar's five experiments: cnn, rnn, gru, gru-vectors, gru-frozen; or climb the ladder out of them."""
    from rubrica.artifact.folder import check_writable

    if seeds and not ladder:
        raise click.UsageError("--seeds requires --ladder; the experiments run once, with the seminar's seed")
    out = out or ("runs/ladder" if ladder else "runs/seminar")
    check_writable(out)
    from rubrica.cli.tables import print_ladder, print_seminar
    from rubrica.data.dataset import read_dataset
    from rubrica.vectors.word_vectors import load_vectors

    dataset = read_dataset(data, **columns)
    loaded = load_vectors(vectors)
    require("torch", "train")
    if ladder:
        from rubrica.seminar.ladder import SEEDS, run_ladder

        report = run_ladder(dataset, loaded, out, seeds=SEEDS[: seeds or 5])
        print_ladder(report)
        click.echo(f"wrote {out}/ladder.json and {out}/ladder.png", err=True)
        if report["interrupted"]:
            raise click.Abort
        return
    from rubrica.seminar.experiments import run_seminar

    report = run_seminar(dataset, loaded, out)
    print_seminar(report)
    click.echo(f"wrote {out}/results.json, {out}/report.html and {out}/models/", err=True)


@rubrica.command()
@click.argument("data")
@click.option("--out", required=True, help="New folder for the model.")
@click.option("--model", type=FamilyName(), help="Which kind of model.  [default: gru]")
@click.option("--vectors", help="File of word vectors, or a name of `rubrica vectors list`.")
@click.option("--size", type=click.Choice(["small", "base", "large"]), help="How large a model.  [default: base]")
@click.option("--recipe", help="A recipe's name, a TOML file, or the config.json of a model to repeat.")
@click.option("--epochs", type=int, help="Passes over the training texts.")
@click.option("--batch-size", type=int, help="Texts of one update.")
@click.option("--lr", type=float, help="Adam's step size.")
@click.option("--seed", type=int, help="Start of every random draw.")
@click.option("--time-budget", metavar="TIME", help="End in 90s, 2m or 1h, with the best that fits.")
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
    time_budget: str | None,
    settings: tuple[str, ...],
    **flags: Any,
) -> None:
    """Train a model on DATA (see `rubrica data --help`) and write it to a new folder."""
    from rubrica.artifact.folder import check_writable
    from rubrica.data.dataset import read_dataset

    columns = {name: flags.pop(name) for name in ("text_columns", "label_column", "delimiter", "label_separator")}
    try:
        seconds = parse_seconds(time_budget) if time_budget else None
    except ValueError as error:
        raise click.UsageError(f"--time-budget: {error}") from None
    config = _read_settings(model, size, recipe, settings, flags)
    check_writable(out)
    began = time.perf_counter()
    dataset = read_dataset(data, **columns)
    if seconds:
        seconds -= time.perf_counter() - began
    from rubrica.learning.train import train as run_training
    from rubrica.models.families import BASELINE
    from rubrica.scoring.report import headline

    metrics = run_training(dataset, out=out, config=config, vectors=vectors, time_budget=seconds).artifact.metrics
    for split in ("validation", "test"):
        if scores := metrics.get(split):
            line = f"{split}: {headline(scores)}, {scores['texts']} texts"
            bag = metrics.get(BASELINE, {}).get(split)
            click.echo(line if bag is None else f"{line} (a bag of words: {bag:.4f})", err=True)
    click.echo(f"trained in {metrics['train_seconds']:.1f} s; the model is in {out}", err=True)


def _read_settings(
    model: str | None, size: str | None, recipe: str | None, settings: tuple[str, ...], flags: dict[str, Any]
) -> "Config":
    """The settings of a training: a recipe, then the flags, then each `--set`."""
    from rubrica.config.schema import fields_of
    from rubrica.models.config import make_config, read_recipe
    from rubrica.models.families import DEFAULT, FAMILIES

    if size and recipe:
        raise click.UsageError("give --size or --recipe, one of the two")
    sizes = ("base", *FAMILIES[model or DEFAULT].recipes)
    if size and size not in sizes:
        raise click.UsageError(f"a {model} has one size; leave --size out, or take another model")
    named = recipe or (size if size != "base" else None)
    tables = {section: dict(values) for section, values in read_recipe(named).items()} if named else {}
    if size and "model" in tables:  # a size says what suits a GRU; a family without a setting leaves it out
        known = fields_of(FAMILIES[model or DEFAULT])
        tables["model"] = {key: value for key, value in tables["model"].items() if key == "name" or key in known}
    given = {"training": {key: value for key, value in flags.items() if value is not None}}
    if model is not None:
        given["model"] = {"name": model}
    for section, values in given.items():
        tables[section] = {**tables.get(section, {}), **values}
    for section, key, value in map(parse_setting, settings):
        tables.setdefault(section, {})[key] = value
    return make_config(**tables)


def _load(model: str, abstain_below: float | None) -> "Classifier":
    from rubrica.predict.classifier import load

    classifier = load(model)
    try:
        classifier.task.check_abstaining(abstain_below)
    except ValueError as error:
        raise click.UsageError(f"--abstain-below: {error}") from None
    return classifier


abstain_option = click.option(
    "--abstain-below", type=click.FloatRange(0, 1), metavar="P", help="No label where the best is less probable."
)


@rubrica.command()
@click.argument("model")
@click.argument("data")
@click.option("--split", help="Which part of DATA.  [default: test, or the only one]")
@abstain_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@data_options
def evaluate(
    model: str,
    data: str,
    split: str | None,
    abstain_below: float | None,
    as_json: bool,
    **columns: Any,
) -> None:
    """Score MODEL on DATA: accuracy, macro-F1, per class, confusion."""
    classifier = _load(model, abstain_below)
    examples = read_split(data, split, **columns)
    try:
        scores = classifier.evaluate(examples.texts, examples.labels, abstain_below=abstain_below)
    except ValueError as error:
        raise DataError(data, str(error)) from None
    if as_json:
        click.echo(json.dumps(scores.to_json(), ensure_ascii=False))
        return
    from rubrica.cli.tables import print_scores

    print_scores(scores.to_json())


@rubrica.command()
@click.argument("model")
@click.argument("file", default="-")
@click.option("--all", "all_classes", is_flag=True, help="Add the probability of every class.")
@click.option("--text-column", "text_columns", multiple=True, help="Column of the text; several are joined.")
@click.option("--delimiter", help="What separates the columns of a CSV file.")
@abstain_option
def predict(
    model: str,
    file: str,
    all_classes: bool,
    text_columns: tuple[str, ...],
    delimiter: str | None,
    abstain_below: float | None,
) -> None:
    """Label each text of FILE: one JSON object a line, in order.

    FILE holds one text a line (- is standard input), or is a CSV, TSV, JSONL or Parquet file with a text column.
    """
    from rubrica.data.files import FORMATS, file_suffix, iter_lines
    from rubrica.predict.answers import iter_answers

    classifier = _load(model, abstain_below)
    if file != "-" and file_suffix(Path(file)) in FORMATS:
        from rubrica.data.dataset import read_texts

        texts = iter(read_texts(file, text_columns=text_columns, delimiter=delimiter))
    else:
        texts = iter_lines(file)
    for lines in iter_answers(classifier, texts, all_classes=all_classes, abstain_below=abstain_below):
        click.echo(lines)


@rubrica.command()
@click.argument("model", required=False)
@click.option("--env", is_flag=True, help="Show versions, processor, kernels and folders instead of a model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(model: str | None, env: bool, as_json: bool) -> None:
    """Show what MODEL is: classes, settings, size, scores; or, with --env, what it runs on."""
    if env == (model is not None):
        raise click.UsageError("give MODEL or --env, one of the two")
    from rubrica.cli.tables import print_environment, print_info

    if model is None:
        from rubrica.environment import describe

        facts, show = describe(), print_environment
    else:
        from rubrica.predict.classifier import load

        facts, show = load(model).artifact.facts(), print_info
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        show(facts)


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
    from rubrica.export.shrink import store

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
    from rubrica.export.shrink import shrink

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
    from rubrica.cli.tables import print_export
    from rubrica.export.shrink import export_model

    examples = read_split(data, None, **columns) if data else None
    try:
        report = export_model(Path(model), Path(out), change, onnx=onnx, examples=examples)
    except ValueError as error:
        raise DataError(data or model, str(error)) from None
    print_export(report)


if __name__ == "__main__":
    main()
