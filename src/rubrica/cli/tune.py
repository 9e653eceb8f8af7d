"""The command `rubrica tune`."""

import time
from pathlib import Path
from typing import Any

import click

from rubrica.cli.data import data_options
from rubrica.cli.report import check_report, print_training, report_options, report_training
from rubrica.cli.units import parse_seconds, parse_size


@click.command()
@click.argument("data")
@click.option("--out", required=True, help="New folder for the model.")
@click.option(
    "--time", "seconds", type=parse_seconds, required=True, metavar="TIME",
    help="Time of the search and the final training, such as 90s, 10m or 1h.",
)  # fmt: skip
@click.option("--size", type=parse_size, metavar="SIZE", help="Largest size of the model: 2M, 800k or bytes.")
@click.option(
    "--vectors", multiple=True,
    help="File of word vectors, or a name of `rubrica vectors list`, to choose from; repeat it.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Seed of all random draws.")
@click.option("--trials", type=click.IntRange(1), help="Most settings to try.  [default: what fits into the time]")
@report_options
@data_options
def tune(
    data: str,
    out: str,
    seconds: float,
    size: float | None,
    vectors: tuple[str, ...],
    seed: int,
    trials: int | None,
    page: Path | None,
    language: str,
    **columns: Any,
) -> None:
    """Search for settings that suit DATA better than the defaults, and train a model with them.

    Settings are judged on parts of train that a training has not learned; test is scored once, in the end. The model
    has the defaults if nothing is better by more than luck. A search that is killed goes on when the same command is
    run again: it is in OUT.search, with a table and a plot of all trials.
    """
    from rubrica.artifact.folder import check_writable
    from rubrica.cli.tables import print_trials
    from rubrica.data.dataset import read_dataset
    from rubrica.errors import require
    from rubrica.scoring.tasks import check_labels
    from rubrica.tuning.report import verdict
    from rubrica.tuning.tune import run_tuning

    began = time.perf_counter()
    require("optuna", "tune")
    folder, page = check_writable(out), check_report(page)  # before the data is read
    dataset = read_dataset(data, **columns)
    if page:
        check_labels(dataset.task, "a report")
    seconds = max(1e-3, seconds - (time.perf_counter() - began))
    found = run_tuning(dataset, seconds=seconds, out=folder, size=size, vectors=vectors, seed=seed, trials=trials)
    metrics = found.model.artifact.metrics
    if found.rows:
        print_trials(found.rows, metrics["tuning"]["measure"])
    click.echo(verdict(metrics["tuning"]), err=True)
    print_training(metrics, folder)
    for path in found.files:
        click.echo(f"wrote {path}", err=True)
    report_training(found.model.artifact, dataset, page, language)
