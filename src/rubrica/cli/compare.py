"""The command `rubrica compare`."""

import json
from typing import Any

import click

from rubrica.cli.data import data_options


@click.command()
@click.argument("first")
@click.argument("second")
@click.argument("data", required=False)
@click.option("--split", help="Which split of DATA.  [default: test, else validation]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@data_options
def compare(first: str, second: str, data: str | None, split: str | None, as_json: bool, **columns: Any) -> None:
    """Say what differs between two models, and whether their scores differ beyond chance.

    Both answer the texts of DATA, on which neither was trained; without it, the texts that FIRST was tested on, if they
    are still where they were.
    """
    from rubrica.cli.tables import print_comparison
    from rubrica.data.addresses import name_of
    from rubrica.data.dataset import read_dataset
    from rubrica.insight.compare import check_unseen, differences, held_out, texts_of_run
    from rubrica.insight.compare import compare as run_comparison
    from rubrica.predict.classifier import load

    models = load(first), load(second)
    columns |= models[0].task.layout
    if data is None:
        name, examples = texts_of_run(models[0].artifact, split, **columns)
    else:
        dataset = read_dataset(data, **columns)
        name, examples = held_out(dataset, split)
    check_unseen([model.artifact for model in models], examples)
    found = {"models": [first, second], "split": name, "differences": differences(*(m.artifact for m in models))}
    found |= run_comparison(*models, examples)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:  # the name of a file's only split says nothing
        print_comparison(found, name if data is None or len(dataset.splits) > 1 else name_of(data))
