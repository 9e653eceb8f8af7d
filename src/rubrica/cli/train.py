"""`rubrica train`: from the flags to the settings of a training, and to its model."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica.cli.data import data_options
from rubrica.cli.report import check_report, print_training, report_options, report_training
from rubrica.cli.units import FamilyName, parse_seconds, parse_setting, ray_option

if TYPE_CHECKING:
    from rubrica.models.config import Config


@click.command()
@click.argument("data")
@click.option("--out", required=True, help="New folder for the model.")
@click.option("--model", type=FamilyName(), help="Which kind of model.  [default: gru]")
@click.option("--vectors", help="File of word vectors, or a name of `rubrica vectors list`.")
@click.option(
    "--from",
    "start",
    metavar="MODEL",
    help="Go on from this bag or fastText model; keep words and labels, add new.",
)
@click.option("--size", type=click.Choice(["small", "base", "large"]), help="Size of the model.  [default: base]")
@click.option("--recipe", help="A recipe's name, a TOML file, or the config.json of a model to repeat.")
@click.option("--epochs", type=int, help="Passes over the training texts; 0 lets their number decide.")
@click.option("--batch-size", type=int, help="Number of texts in an update.")
@click.option("--lr", type=float, help="The largest step size.")
@click.option("--seed", type=int, help="Seed of all random draws.")
@click.option("--time-budget", type=parse_seconds, metavar="TIME", help="Time to train in, such as 90s, 2m or 1h.")
@click.option("--class-weight", type=click.Choice(["none", "balanced"]), help="Let all classes count alike, or not.")
@click.option("--device", help="Where to train: cpu, cuda or auto.")
@click.option(
    "--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Change any setting of config.json."
)
@click.option(
    "--unlabeled",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Texts without labels to learn from too, in a file that is read as DATA is; repeat it.",
)
@click.option("--teacher", metavar="SCORES|MODEL", help="A file of scores, or a model, whose answers are learned too.")
@click.option("--resume", is_flag=True, help="Go on with what Ctrl-C stopped, too; leave a finished model as it is.")
@click.option(
    "--checkpoint-every", type=parse_seconds, metavar="TIME", help="Time between two checkpoints.  [default: 30s]"
)
@ray_option("Train on a worker of a Ray cluster; a worker that dies is replaced.")
@report_options
@data_options
def train(
    data: str,
    out: str,
    vectors: str | None,
    time_budget: float | None,
    start: str | None,
    resume: bool,
    checkpoint_every: float | None,
    ray: int | None,
    unlabeled: tuple[Path, ...],
    teacher: str | None,
    page: Path | None,
    language: str,
    **flags: Any,
) -> None:
    """Train a model on DATA (see `rubrica data --help`) and write it to a new folder.

    A training that is killed goes on from its last checkpoint, in OUT.checkpoint, when the same command is run again,
    and ends with the same weights.
    """
    import logging

    from rubrica.data.dataset import read_dataset
    from rubrica.data.layout import GIVEN_BY_USER

    columns = {name: flags.pop(name) for name in GIVEN_BY_USER}
    config = _read_settings(**flags, start=start)
    from rubrica.environment import join_processes, processes, torchrun_processes
    from rubrica.learning.checkpoint import EVERY
    from rubrica.learning.output import check_output
    from rubrica.scoring.tasks import check_labels

    join_processes(*torchrun_processes())
    if processes()[0]:  # the first process tells how it goes
        logging.getLogger("rubrica").setLevel(logging.ERROR)
    if ray is not None:
        _check_ray(keeps=resume or checkpoint_every is not None, learns_more=bool(unlabeled or teacher))
    folder = check_output(out, resume=resume, keeps=not time_budget and ray is None)  # before the data is read
    page = check_report(page)
    began = time.perf_counter()
    dataset = read_dataset(data, **columns)
    if page:
        check_labels(dataset.task, "a report")
    if time_budget:
        time_budget -= time.perf_counter() - began
    common: dict[str, Any] = {"config": config, "vectors": vectors, "time_budget": time_budget, "start": start}
    if ray is not None:
        from rubrica.scale.training import train_on_ray

        artifact = train_on_ray(dataset, out=folder, workers=ray or 1, **common)
    else:
        from rubrica.learning.train import train as run_training

        every = EVERY if checkpoint_every is None else checkpoint_every
        common |= {"resume": resume, "checkpoint_every": every, "unlabeled": unlabeled or None, "teacher": teacher}
        artifact = run_training(dataset, out=folder, **common).artifact
    if not processes()[0]:  # the first one tells the result
        print_training(artifact.metrics, folder)
        report_training(artifact, dataset, page, language)


def _check_ray(*, keeps: bool, learns_more: bool) -> None:
    """Make sure that nothing is asked of a training on Ray that it cannot do."""
    if keeps:
        raise click.UsageError("a training on Ray keeps no checkpoints; leave --resume and --checkpoint-every out")
    if learns_more:
        raise click.UsageError("a training on Ray takes no --unlabeled and no --teacher; leave them or --ray out")


def _read_settings(
    model: str | None,
    size: str | None,
    recipe: str | None,
    settings: tuple[str, ...],
    start: str | None,
    **flags: Any,
) -> "Config":
    """The settings of a training: a recipe, or of a model to go on from its own; then the flags, then each `--set`."""
    from rubrica.config.schema import fields_of
    from rubrica.models.config import make_config, read_recipe
    from rubrica.models.families import DEFAULT, FAMILIES

    if bool(size) + bool(recipe) + bool(start) > 1:
        raise click.UsageError("give --size, --recipe or --from, one of them")
    family = FAMILIES[model or DEFAULT]
    if size and size not in ("base", *family.recipes):
        raise click.UsageError(f"a {model} has one size; leave --size out, or take another model")
    named = recipe or (size if size != "base" else None)
    tables = read_recipe(named) if named else _settings_after(start) if start else {}
    if size and "model" in tables:  # a size says what suits a GRU; a family without a setting leaves it out
        known = ("name", *fields_of(family))
        tables["model"] = {key: value for key, value in tables["model"].items() if key in known}
    chosen = [("model", "name", model), *(("training", key, value) for key, value in flags.items())]
    for section, key, value in [*chosen, *map(parse_setting, settings)]:
        if value is not None:
            tables.setdefault(section, {})[key] = value
    return make_config(**tables)


def _settings_after(start: str) -> dict[str, Any]:
    from rubrica.artifact.fasttext_model import open_model
    from rubrica.learning.continuing import settings_after

    return settings_after(open_model(start), None).to_dict()
