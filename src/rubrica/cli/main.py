"""The command line: parses, calls, prints.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted.
"""

import gc
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from rubrica import __version__
from rubrica.cli.answers import write_answers
from rubrica.cli.clean import clean
from rubrica.cli.compare import compare
from rubrica.cli.data import check_file, data, data_options, faults_of, read_split, text_options, texts_in, vectors
from rubrica.cli.doctor import doctor
from rubrica.cli.explain import explain
from rubrica.cli.export import convert, export, quantize
from rubrica.cli.report import check_report, report_answers, report_options
from rubrica.cli.serve import serve
from rubrica.cli.train import train
from rubrica.cli.tune import tune
from rubrica.cli.units import ray_option
from rubrica.errors import ConfigError, RubricaError, require

if TYPE_CHECKING:
    from pathlib import Path

    from rubrica.predict.classifier import Classifier

# Everything else is imported by the command that needs it: `rubrica --help` answers before numpy would be loaded.

SILENT = {"predict", "info"}  # commands that log nothing, and so start without `logging`


def main() -> None:
    """Run the command line; every error that a user can cause is one sentence."""
    from rubrica.cli.console import make_printable

    make_printable()
    try:
        rubrica(prog_name="rubrica", standalone_mode=False)
        sys.stdout.flush()  # a full disk is an error, too
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RubricaError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except MemoryError as error:
        click.echo(f"error: not enough memory ({error or 'Python'}); use smaller settings or more memory", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        _drop_output()
        sys.exit(0)
    except OSError as error:  # what the disk says of a path, and nobody has put in better words
        _drop_output()
        click.echo(f"error: {error.filename or 'the output'}: {error.strerror or error}", err=True)
        sys.exit(1)
    finally:
        gc.freeze()  # else Python searches all texts for cycles before it ends: 40 ms of a bag's training


def _drop_output() -> None:
    """Let Python write what is left of the output nowhere when it ends, instead of failing once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Commands(click.Group):
    """The commands; fastText's twins, of which there are many, are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, sorted."""
        return sorted([*super().list_commands(ctx), "fasttext"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name != "fasttext":
            return super().get_command(ctx, cmd_name)
        from rubrica.cli.fasttext import fasttext

        return fasttext


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True},
)
@click.version_option(__version__, prog_name="rubrica")
@click.option("-q", "--quiet", is_flag=True, help="Log nothing but errors.")
@click.pass_context
def rubrica(context: click.Context, quiet: bool) -> None:
    """Small, fast text classifiers: from a file of texts and labels to one safe folder that answers."""
    if context.invoked_subcommand in SILENT and not quiet:
        return
    import logging

    class Stderr(logging.StreamHandler[Any]):
        """Writes to the current `sys.stderr`: a running progress bar replaces it, and stays below the log."""

        def emit(self, record: logging.LogRecord) -> None:
            self.stream = sys.stderr
            super().emit(record)

    logger = logging.getLogger("rubrica")
    logger.handlers = [Stderr()]
    logger.setLevel(logging.ERROR if quiet else logging.INFO)


for _command in (data, doctor, clean, vectors, compare, explain, export, convert, quantize, serve, train, tune):
    rubrica.add_command(_command)


@rubrica.command()
@click.option("--data", default="ag_news", help="A data set with the splits train and test.")
@click.option("--vectors", default="glove-twitter-50", help="File, or name of `rubrica vectors list`.")
@click.option("--out", help="New folder for the results.  [default: runs/seminar or runs/ladder]")
@click.option("--ladder", is_flag=True, help="Instead, repair the rnn and the gru, one fault at a time.")
@click.option("--seeds", type=click.IntRange(1, 100), help="How often to train each rung of the ladder.  [default: 5]")
@data_options
def seminar(data: str, vectors: str, out: str | None, ladder: bool, seeds: int | None, **columns: Any) -> None:
    """Run the five experiments of the seminar: cnn, rnn, gru, gru-vectors, gru-frozen.

    With --ladder, repair its rnn and its gru one fault at a time, and show what each repair gains.
    """
    from rubrica.artifact.folder import check_writable
    from rubrica.cli.tables import print_ladder, print_seminar
    from rubrica.data.dataset import read_dataset
    from rubrica.vectors.stored import load_vectors

    if seeds and not ladder:
        raise click.UsageError("--seeds requires --ladder; the experiments run once, with the seminar's seed")
    folder = check_writable(out or ("runs/ladder" if ladder else "runs/seminar"))
    inputs = read_dataset(data, **columns), load_vectors(vectors), folder
    require("torch", "train")
    if ladder:
        from rubrica.seminar.ladder import SEEDS, run_ladder

        report = run_ladder(*inputs, seeds=SEEDS[: seeds or 5])
        print_ladder(report)
        click.echo(f"wrote {folder}/ladder.json and {folder}/ladder.png", err=True)
    else:
        from rubrica.seminar.experiments import run_seminar

        report = run_seminar(*inputs)
        print_seminar(report)
        click.echo(f"wrote {folder}/results.json, {folder}/report.html and {folder}/models/", err=True)
    if report["interrupted"]:
        raise click.Abort


def _load(model: str, abstain_below: float | None) -> "Classifier":
    from rubrica.predict.classifier import load

    classifier = load(model)
    try:
        classifier.task.check_abstaining(abstain_below)
    except ValueError as error:
        raise click.UsageError(f"--abstain-below: {error}") from None
    return classifier


abstain_option = click.option(
    "--abstain-below", type=click.FloatRange(0, 1), metavar="P", help="Give no label less probable than P."
)


@rubrica.command()
@click.argument("model")
@click.argument("data")
@click.option("--split", help="Which split of DATA.  [default: test, or the first one]")
@abstain_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@report_options
@data_options
def evaluate(
    model: str,
    data: str,
    split: str | None,
    abstain_below: float | None,
    as_json: bool,
    page: "Path | None",
    language: str,
    **columns: Any,
) -> None:
    """Score MODEL on DATA: accuracy, macro-F1, the scores of each class, confusion."""
    from rubrica.cli.tables import print_scores
    from rubrica.data.addresses import name_of
    from rubrica.data.stored_texts import hash_of_texts
    from rubrica.insight.compare import was_trained_on

    page, classifier = check_report(page), _load(model, abstain_below)
    examples = read_split(data, split, **columns | classifier.task.layout)
    about: dict[str, Any] = {"abstain_below": abstain_below, "name": name_of(data)}
    with faults_of(data):
        if page:
            scores = report_answers(classifier, examples, page, split=split or "", language=language, **about)
        else:
            scores = classifier.evaluate(examples, **about).to_json()
    if as_json:
        click.echo(json.dumps(scores, ensure_ascii=False))
    else:
        print_scores(scores)
    if was_trained_on(classifier.artifact, hash_of_texts(examples.texts)):
        told = "the model was trained on these very texts, so the scores do not say how it does on others"
        click.echo(f"{name_of(data)}: {told}", err=True)


@rubrica.command()
@click.argument("model")
@click.argument("file", default="-")
@click.option("--all", "all_classes", is_flag=True, help="Add the probability of every class.")
@click.option(
    "--out", help="New .jsonl or .parquet file for the answers; a killed command goes on when it is run again."
)
@click.option("--resume", is_flag=True, help="With --out: do nothing where the same command has written all answers.")
@ray_option("With --out: answer on Ray with N workers, or all that the cluster has room for.")
@text_options
@abstain_option
def predict(
    model: str,
    file: str,
    all_classes: bool,
    out: str | None,
    resume: bool,
    ray: int | None,
    abstain_below: float | None,
    **columns: Any,
) -> None:
    """Label each text of FILE: one JSON object a line, in order.

    FILE is a CSV, TSV, JSON, JSONL or Parquet file with a text column, or holds one text a line: a .txt, a file
    without a suffix, or - for standard input. It may be packed, lie at an address such as s3://bucket/file.csv, and
    hold fastText's labels, which are passed over.
    """
    if resume and not out:
        raise click.UsageError("--resume requires --out")
    if ray is not None and not out:
        raise click.UsageError("--ray requires --out")
    check_file(file)
    classifier = _load(model, abstain_below)
    options: dict[str, Any] = {"all_classes": all_classes, "abstain_below": abstain_below}
    if out:
        write_answers(classifier, model, file, out, resume=resume, workers=ray, options=options, **columns)
        return
    for lines in classifier.iter_answers(iter(texts_in(file, **columns)), **options):
        click.echo(lines)


@rubrica.command()
@click.argument("model", required=False)
@click.option("--env", is_flag=True, help="Show versions, processor, kernels and folders instead of a model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(model: str | None, env: bool, as_json: bool) -> None:
    """Show what MODEL is: classes, settings, size, scores; or, with --env, what it runs on."""
    if env == (model is not None):
        raise click.UsageError("give MODEL or --env, one of the two")
    from rubrica.artifact.fasttext_model import facts_of
    from rubrica.cli.tables import print_environment, print_info
    from rubrica.environment import describe

    facts, remark = facts_of(model) if model else (describe(), "")
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
    elif model:
        print_info(facts, remark)
    else:
        print_environment(facts)
