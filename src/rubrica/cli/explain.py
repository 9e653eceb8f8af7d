"""The command `rubrica explain`."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica.cli.data import data_options, texts_in

if TYPE_CHECKING:
    from rubrica.insight.explanations.explain import Explanation
    from rubrica.insight.explanations.reading import Reader

_METHODS = ("exact", "leave-one-out", "gradients")  # of `insight/explanations/explain.py`, which needs numpy
_NEAREST = 5  # texts that fit a terminal beside the rest
_TOGETHER = 64  # texts whose nearest ones are looked for in one pass over the training texts


@click.command()
@click.argument("model")
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--label", "labels", multiple=True, metavar="NAME", help="Explain this label instead of the answer.")
@click.option(
    "--method", type=click.Choice(_METHODS), help="How to find the shares.  [default: exact, else leave-one-out]"
)
@click.option("--beliefs", is_flag=True, help="Also show how probable the classes are after each token.")
@click.option("--nearest", type=click.IntRange(1, 1000), metavar="K", help="Also show the K nearest training texts.")
@click.option("--data", help="The training texts.  [default: where the model says that they are]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per text.")
@click.option("--html", metavar="FILE", help="Write a page instead.")
@data_options
def explain(
    model: str,
    texts: tuple[str, ...],
    labels: tuple[str, ...],
    method: Any,
    beliefs: bool,
    nearest: int | None,
    data: str | None,
    as_json: bool,
    html: str | None,
    **columns: Any,
) -> None:
    """Show why MODEL answers each TEXT as it does: what each token adds to the score of the answer.

    Without TEXT the lines of standard input are the texts. The score is the logit of the label. Shares are exact for
    linear models, bags and fastText models. For a network they are what the score loses without the token; with
    --method gradients, integrated gradients.
    """
    from rubrica.insight.explanations.explain import check_labels, explain_text
    from rubrica.insight.explanations.reading import Reader
    from rubrica.predict.classifier import load

    reader = Reader(load(model).artifact)
    try:
        check_labels(labels, reader.artifact.task.labels)
    except ValueError as error:
        raise click.UsageError(f"--label: {error}") from None
    lines = texts or texts_in("-", encoding=columns["encoding"], label_prefix=columns["label_prefix"])
    found: Iterator[Explanation] = (
        explain_text(reader, text, labels=labels, method=method, beliefs=beliefs) for text in lines
    )
    if nearest or data:
        found = _with_nearest(reader, found, data, nearest or _NEAREST, columns)
    if html:
        _write_page(found, model, Path(html))
    else:
        _print_all(found, as_json=as_json)


def _with_nearest(
    reader: "Reader", found: Iterator["Explanation"], data: str | None, k: int, columns: dict[str, Any]
) -> Iterator["Explanation"]:
    from rubrica.insight.explanations.nearest import nearest_texts, training_texts

    split, examples = training_texts(reader.artifact, data, **columns)
    while some := list(islice(found, _TOGETHER)):
        near = nearest_texts(reader.artifact, [one.text for one in some], split, examples, k)
        yield from (replace(one, nearest=tuple(texts)) for one, texts in zip(some, near, strict=True))


def _print_all(found: "Iterable[Explanation]", *, as_json: bool) -> None:
    if as_json:
        for one in found:
            click.echo(json.dumps(one.to_json(), ensure_ascii=False, allow_nan=False))
        return
    from rubrica.cli.shares import print_explanation

    for one in found:
        print_explanation(one)


def _write_page(found: "Iterable[Explanation]", model: str, place: Path) -> None:
    from rubrica.files import check_html, user_path, written_whole
    from rubrica.insight.explanations.show import render_page

    place = user_path(place)
    check_html(place)
    page = render_page(found, f"Why {Path(model).name} answers so")
    with written_whole(place) as part:
        part.write_text(page, encoding="utf-8")
    click.echo(f"wrote {place}", err=True)
