"""The flags `--report` and `--language`, and the pages that they ask for."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rubrica.artifact.folder import Artifact
    from rubrica.data.dataset import Dataset, Examples
    from rubrica.insight.findings import Finding
    from rubrica.insight.pages.page import Page
    from rubrica.predict.classifier import Classifier


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of every command that writes a page about a model."""
    language = click.option("--language", type=click.Choice(["en", "ru"]), default="en", help="Language of the report.")
    file = click.option(
        "--report", "page", type=click.Path(path_type=Path), metavar="FILE.html",
        help="Write a page with all that was found; its plots go into a folder beside it, too.",
    )  # fmt: skip
    return file(language(command))


def check_report(page: Path | None) -> Path | None:
    """Make sure that the page can be written, before any work is done for it."""
    if page is None:
        return None
    from rubrica.insight.pages.page import check_page

    return check_page(page)


def _compared(metrics: dict[str, Any], split: str) -> tuple[str, float] | None:
    """Which simpler model a model was compared with, and its main score on a split."""
    from rubrica.models.families import FAMILIES

    simple = (name for name, family in FAMILIES.items() if family.is_baseline)
    return next(((name, metrics[name][split]) for name in simple if split in metrics.get(name, {})), None)


def print_training(metrics: dict[str, Any], folder: Path) -> None:
    """The scores of a new model, and where it is."""
    from rubrica.models.families import BASELINE
    from rubrica.scoring.report import headline

    for split in ("validation", "test"):
        if scores := metrics.get(split):
            line = f"{split}: {headline(scores)}, {scores['texts']} texts"
            if compared := _compared(metrics, split):
                simpler = "a bag of words" if compared[0] == BASELINE else f"its {compared[0]} part alone"
                figure = f"{compared[1]:.4f}"
                if "mean_absolute_error" in scores:
                    figure = f"mean absolute error {1 - compared[1]:.4f}"
                line += f" ({simpler}: {figure})"
            click.echo(line, err=True)
    if found := metrics.get("unlabeled"):
        _print_learned(found, judged="validation" in metrics and not metrics["interrupted"])
    click.echo(f"trained in {metrics['train_seconds']:.1f} s; the model is in {folder}", err=True)


def _print_learned(found: dict[str, Any], *, judged: bool) -> None:
    """What a model learned beside labels."""
    taught = f"a teacher's answers to {found['taught']:,} texts" if "taught" in found else None
    names = (("word_vectors", "word vectors"), ("answers_learned", taught or "its own answers"))
    told = " and ".join(what for name, what in names if found[name])
    texts = f"{found['texts']:,} unlabelled texts" if found["texts"] else None
    source = texts or taught
    if told:
        click.echo(f"learned from {texts}: {told}" if texts else f"learned beside the labels: {told}", err=True)
    elif source and judged:  # else it was said that nothing could be judged, or Ctrl-C came before
        click.echo(f"learned nothing from {source}: held-out texts got worse", err=True)


def report_training(artifact: "Artifact", dataset: "Dataset", page: Path | None, language: str) -> None:
    """Write the page of a training: of its test split, else of the texts that it was judged by, else of the model."""
    if page is None:
        return
    from rubrica.insight.pages.measure import measured_before
    from rubrica.insight.pages.page import report
    from rubrica.predict.classifier import Classifier

    split = next((name for name in ("test", "validation") if name in dataset.splits), "")
    examples, measured = dataset.splits.get(split), None
    if examples is None and (scores := artifact.metrics.get("validation")):
        split, measured = "validation", measured_before(scores)
    compared = _compared(artifact.metrics, split)
    about: dict[str, Any] = {"data": dataset.name, "split": split, "compared": compared, "language": language}
    _write(report(Classifier(artifact), examples, measured=measured, **about), page)


def report_answers(
    model: "Classifier", examples: "Examples", page: Path, *, name: str, abstain_below: float | None, **about: Any
) -> dict[str, Any]:
    """Write the page of answers, and return their scores: the texts are answered once."""
    from rubrica.insight.pages.measure import measure
    from rubrica.insight.pages.page import report

    measured = measure(model, examples, abstain_below=abstain_below, name=name)
    _write(report(model, examples, measured=measured, data=name, **about), page)
    return measured.scores


def report_findings(findings: "list[Finding]", target: str, page: Path | None, language: str) -> None:
    """Write the page of what the doctor found."""
    if page is None:
        return
    from rubrica.insight.pages.page import findings_page

    _write(findings_page(findings, data=target, language=language), page)


def _write(made: "Page", page: Path) -> None:
    from rubrica.insight.pages.page import write_page

    for written in write_page(made, page):
        click.echo(f"wrote {written}{'/' if written.is_dir() else ''}", err=True)
