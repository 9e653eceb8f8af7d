"""The report: one HTML file about a model and its answers, with no script and no address of any other file.

    html = report(model, examples, findings, data="news.csv")
    write_page(html, "report.html")

`measure.py` lets the model answer, `facts.py` computes what there is to say, `plots.py` draws it, `languages/` holds
the sentences, and `templates/report.html.j2` lays them out. The same inputs give the same bytes.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from rubrica import __version__
from rubrica.data.dataset import Examples
from rubrica.data.stored_texts import hash_of_texts
from rubrica.errors import FileError, require
from rubrica.files import check_html, check_place, user_path, written_whole
from rubrica.insight.compare import was_trained_on
from rubrica.insight.findings import SEVERITIES, Finding, ordered
from rubrica.insight.pages.facts import MATRIX_UP_TO, SHOWN, facts
from rubrica.insight.pages.language import Language, read_language
from rubrica.insight.pages.measure import NOTHING, Measured, measure
from rubrica.insight.pages.plots import MOST_LABELS, NAMES, Plot, plots, save_png, to_svg
from rubrica.insight.pages.template import FOLDER, open_template
from rubrica.insight.pages.training import curves, making
from rubrica.insight.pages.translation import translate
from rubrica.notebook import printable
from rubrica.predict.classifier import Classifier
from rubrica.scoring.tasks import check_labels

LIBRARIES = ("jinja2", "matplotlib", "scipy")
"""What a page is made with, of the extra `report`."""


class Page(NamedTuple):
    """A page, and its plots for files of their own."""

    html: str
    plots: list[Plot]


def report(
    model: Classifier,
    examples: Examples | None = None,
    findings: Iterable[Finding] = (),
    *,
    measured: Measured | None = None,
    data: str = "",
    split: str = "",
    compared: tuple[str, float] | None = None,
    language: str = "en",
) -> Page:
    """The page about a model.

    Args:
        model: What is reported on.
        examples: Labelled texts that it answers.
        findings: What the doctor found.
        measured: The answers to the texts, where they are known already; or what `measured_before` makes of scores.
        data: What the data is called.
        split: The split that the texts are of.
        compared: The main score of a simpler model on the same texts, and which: a `bag`, or the `linear` part alone.
        language: `en` or `ru`.

    Raises:
        MissingExtraError: If one of `LIBRARIES` is not installed.
        ConfigError: If no page speaks the language.
        ValueError: As in `measure`.
    """
    check_libraries()
    check_labels(model.task, "a report")
    spoken = read_language(language)
    if measured is None and examples is not None:
        measured = measure(model, examples, name=data or "the data")
    found = None if measured is None else facts(measured, model, examples)
    lines, made = curves(model.artifact.history), making(model.artifact)
    drawn = plots(found, lines, spoken)
    seen = examples is not None and was_trained_on(model.artifact, hash_of_texts(examples.texts))
    about = {
        "found": found, "made": made, "curves": lines, "compared": compared, "seen": seen, "split": split,
        "title": spoken.plain("title", model=made["title"], data=_short(data)) if data else made["title"], "data": data,
    }  # fmt: skip
    return _render(about, findings, drawn, spoken)


def findings_page(findings: Iterable[Finding], *, data: str, language: str = "en") -> Page:
    """The page of findings alone, as the doctor writes it before there is a model.

    Raises:
        MissingExtraError: If one of `LIBRARIES` is not installed.
        ConfigError: If no page speaks the language.
    """
    check_libraries()
    spoken = read_language(language)
    title = spoken.plain("title_findings", data=_short(data))
    about: dict[str, Any] = {
        "found": None,
        "made": None,
        "curves": {},
        "compared": None,
        "seen": False,
        "split": "",
        "data": data,
    }
    return _render(about | {"title": title}, findings, [], spoken)


def write_page(page: Page, path: str | Path) -> list[Path]:
    """Write the page, and its plots as PNG files into a folder beside it: `report.html` and `report_plots/`.

    Each file is written whole or not at all. The pictures of an older page of this name go.

    Returns:
        The page, and the folder if there are plots.

    Raises:
        FileError: If a file cannot be written.
    """
    path = check_page(path)
    folder = plots_folder(path)
    with written_whole(path) as part:
        part.write_text(page.html, encoding="utf-8")
    for name in set(NAMES) - {plot.name for plot in page.plots}:
        (folder / f"{name}.png").unlink(missing_ok=True)  # of an older page
    for plot in page.plots:
        with written_whole(folder / f"{plot.name}.png") as part:
            save_png(plot, part)
    return [path, folder] if page.plots else [path]


def plots_folder(path: Path) -> Path:
    """The folder of the pictures of a page."""
    return path.with_name(f"{path.stem}_plots")


def check_page(path: str | Path) -> Path:
    """Make sure that a page can be written here, before any work is done for it.

    Raises:
        FileError: If it cannot.
        MissingExtraError: If one of `LIBRARIES` is not installed.
    """
    path = user_path(path)
    check_libraries()
    if path.is_dir():
        raise FileError(path, "is a folder, expected the name of a file; give one such as report.html")
    check_html(path)
    if plots_folder(path).is_file():
        raise FileError(plots_folder(path), "is a file, and the plots go into a folder of this name; rename it")
    check_place(path)
    return path


def check_libraries() -> None:
    """Make sure that pages can be made, before any work is done for one.

    Raises:
        MissingExtraError: If one of `LIBRARIES` is not installed.
    """
    for library in LIBRARIES:
        require(library, "report")


@cache
def _template() -> Any:
    return open_template(FOLDER / "report.html.j2")


def _render(about: dict[str, Any], findings: Iterable[Finding], drawn: Sequence[Plot], spoken: Language) -> Page:
    sorted_findings = ordered(findings)
    counts = [
        spoken.count(severity, number)
        for severity in reversed(SEVERITIES)
        if (number := sum(finding.severity == severity for finding in sorted_findings))
    ]
    html = _template().render(
        **about,
        findings=[translate(finding, spoken) for finding in sorted_findings],
        counts=", ".join(counts),
        drawings={plot.name: to_svg(plot) for plot in drawn if _is_inline(plot, about["found"])},
        language=spoken.name,
        version=__version__,
        say=spoken.say, plain=spoken.plain, number=spoken.number, percent=spoken.percent, count=spoken.count,
        between=spoken.between, is_command=_is_command,
        NOTHING=NOTHING, SHOWN=SHOWN, MOST_LABELS=MOST_LABELS,
    )  # fmt: skip
    return Page(printable(html), list(drawn))


def _short(data: str) -> str:
    """The last part of a path or a name: it fits into a headline."""
    return Path(data).name or data


def _is_inline(plot: Plot, found: Any) -> bool:
    """A matrix of few labels is a table in the page, whose cells lead to texts."""
    return plot.name != "confusion" or len(found.labels) > MATRIX_UP_TO


def _is_command(remedy: str) -> bool:
    """Whether a remedy is to be typed: a command, or a line of the settings."""
    return bool(re.match(r"rubrica |[a-z_]+(\.[a-z_]+)* ?= ?\S+$", remedy))
