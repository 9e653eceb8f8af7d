"""The command `rubrica doctor`."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica.cli.data import data_options
from rubrica.cli.report import check_report, report_findings, report_options
from rubrica.errors import RubricaError

if TYPE_CHECKING:
    from rubrica.data.dataset import Dataset
    from rubrica.insight.findings import Finding
    from rubrica.predict.classifier import Classifier
    from rubrica.vectors.word_vectors import Vectors


@click.command()
@click.argument("target")
@click.argument("data", required=False)
@click.option("--vectors", help="The word vectors of the training: a file, or a name of `rubrica vectors list`.")
@click.option(
    "--trials",
    is_flag=True,
    help="Measure by short trainings what faults cost: of a model the three gravest, of data six kinds.",
)
@click.option("--slice-column", multiple=True, metavar="COLUMN", help="Compare texts by the values of this column.")
@click.option(
    "--fail-on",
    type=click.Choice(["note", "warning", "error"]),
    help="Exit with 1 if something as grave was found.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@report_options
@data_options
def doctor(
    target: str,
    data: str | None,
    vectors: str | None,
    trials: bool,
    slice_column: tuple[str, ...],
    fail_on: Any,
    as_json: bool,
    page: Path | None,
    language: str,
    **columns: Any,
) -> None:
    """Say what is wrong with TARGET, what it costs, and what to do.

    TARGET is a model folder, a fastText file, or data to train on (see `rubrica data --help`). A model is examined with
    the texts of DATA: the splits that it was trained and tested on, or a new file. Without DATA these are the texts of
    its training, if they are still where they were.
    """
    from rubrica.cli.finding_tables import print_findings
    from rubrica.insight.findings import at_least
    from rubrica.vectors.stored import load_vectors

    page = check_report(page)
    loaded = load_vectors(vectors) if vectors else None
    model = _open(target)
    if model is None:
        findings = _examine_data(target, data, loaded, trials=trials, **columns)
    else:
        findings = _examine_model(model, data, loaded, slice_column, trials=trials, **columns)
        findings = [replace(found, remedy=_whole(found.remedy, target)) for found in findings]
    if as_json:
        found = {"target": target, "findings": [finding.to_json() for finding in findings]}
        click.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))
    else:
        print_findings(target, findings)
    report_findings(findings, target, page, language)
    if fail_on and at_least(findings, fail_on):
        sys.exit(1)


def _whole(remedy: str, target: str) -> str:
    """A remedy of flags alone as a command that trains anew with the model's own settings."""
    return f"rubrica train DATA --out NEW --recipe {target}/config.json {remedy}" if remedy.startswith("--") else remedy


def _open(target: str) -> "Classifier | None":
    """The model that a target is; None where it is data."""
    from rubrica.artifact.fasttext_file import is_fasttext_file
    from rubrica.artifact.folder import is_model_folder
    from rubrica.files import user_path
    from rubrica.predict.classifier import load

    is_file = user_path(target).is_file() and is_fasttext_file(target)
    return load(target) if is_file or is_model_folder(target) else None


def _examine_data(
    target: str, data: str | None, vectors: "Vectors | None", *, trials: bool, **columns: Any
) -> "list[Finding]":
    """The findings about data to train on."""
    if data is not None:
        raise click.UsageError(f"{target} is no model, so there is nothing to examine with {data}; give one of the two")
    from rubrica.data.dataset import read_dataset
    from rubrica.insight.data_doctor import examine_data

    return examine_data(read_dataset(target, **columns), vectors, trials=trials)


def _examine_model(
    model: "Classifier",
    data: str | None,
    vectors: "Vectors | None",
    slice_column: tuple[str, ...],
    *,
    trials: bool,
    **columns: Any,
) -> "list[Finding]":
    """The findings about a model."""
    from rubrica.data.dataset import read_dataset
    from rubrica.insight.model_doctor import data_of_run, examine_model

    columns |= model.task.layout
    learned = data_of_run(model.artifact, **columns)
    if data is None and learned is None:
        raise RubricaError("the model does not name training texts that are here; give DATA")
    dataset = read_dataset(data, **columns) if data is not None else learned
    assert dataset is not None  # one of the two is there
    groups = {name: _values(data or dataset.name, name, dataset, **columns) for name in slice_column}
    return examine_model(model, dataset, learned=learned, vectors=vectors, columns=groups, trials=trials)


def _values(data: str, name: str, dataset: "Dataset", **columns: Any) -> "dict[str, Any]":
    """The values of a column by split."""
    from rubrica.data.dataset import read_dataset

    layout = columns | {"label_column": (name,), "label_separator": "", "text_columns": dataset.text_columns}
    return {split: examples.labels for split, examples in read_dataset(data, **layout).splits.items()}
