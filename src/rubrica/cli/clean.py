"""The command `rubrica clean`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rubrica.cli.data import data_options

if TYPE_CHECKING:
    from rubrica.insight.cleaning.suspects import Suspect

_SHOWN = 10  # suspects on the screen; all are in the review


@click.command()
@click.argument("data")
@click.option("--out", type=click.Path(path_type=Path), help="New file or folder for the cleaned data, as DATA is.")
@click.option(
    "--review",
    type=click.Path(path_type=Path, dir_okay=False),
    help="New CSV file with the suspects, to be reviewed.  [default: DATA.review.csv, here]",
)
@click.option(
    "--apply",
    "reviewed",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A reviewed file, whose decisions make the cleaned data.",
)
@click.option("--split", help="Which split of DATA to check.  [default: train, or the first one]")
@click.option("--seed", default=0, type=click.IntRange(0, 2**32 - 1), help="Seed of all random draws.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; no review is written without --review.")
@data_options
def clean(
    data: str,
    out: Path | None,
    review: Path | None,
    reviewed: Path | None,
    split: str | None,
    seed: int,
    as_json: bool,
    **columns: Any,
) -> None:
    """Find wrong labels and repeated texts in DATA, write them down to be reviewed, and drop them.

    The review is a CSV file. Write keep, drop or the right label into its column `decision`, and pass it to --apply:
    the cleaned data has these decisions, and everything else stays as it is. Without --apply, --out leaves out what is
    rather wrong than right.
    """
    from rubrica.data.addresses import place_of
    from rubrica.data.dataset import read_dataset
    from rubrica.data.layout import Layout
    from rubrica.data.rewrite import check_rewritable, rewrite_data
    from rubrica.insight.cleaning.repeated import find_suspects
    from rubrica.insight.cleaning.review import SURE, check_new, read_review, sure_edits, write_review

    if reviewed and not out:
        raise click.UsageError("--apply requires --out, a name for the cleaned data")
    if reviewed and (review or split):
        raise click.UsageError("--apply takes the decisions of a review; leave --review and --split out")
    if out and columns["on_bad_row"] != "error":
        raise click.UsageError("--out needs every row; repair what --on-bad-row leaves out first")
    if review is None and not as_json and not reviewed:
        review = Path(f"{Path(data).name}.review.csv")
    if review:
        check_new(review)
    if out:
        check_rewritable(place_of(data), out)
    dataset = read_dataset(data, **columns)
    found: dict[str, Any] = {"data": dataset.name, "review": review and str(review), "out": out and str(out)}
    if reviewed:
        edits = read_review(reviewed, dataset)
    else:
        suspects = find_suspects(dataset, split, seed)
        edits = sure_edits(suspects)
        expected = sum(suspect.probability for suspect in suspects)
        found |= {"suspects": [suspect._asdict() for suspect in suspects], "expected": round(expected, 1)}
        if review:
            write_review(review, suspects)
    if out:
        rewrite_data(place_of(data), out, edits, Layout(**columns))
        found |= _count(edits)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    if not reviewed:
        _print_suspects(dataset.name, suspects, expected)
    if review:
        click.echo(f"rows to review: {len(suspects):,}, in {review}", err=True)
    if out:
        done = f"rows dropped: {found['dropped']:,}, with another label: {found['relabelled']:,}"
        why = "" if reviewed else f" (all that are wrong with a probability above {SURE:g})"
        click.echo(f"{done}{why}; the cleaned data is in {out}", err=True)


def _count(edits: "Mapping[str, Mapping[int, Any]]") -> dict[str, int]:
    labels = [label for rows in edits.values() for label in rows.values()]
    dropped = labels.count(None)
    return {"dropped": dropped, "relabelled": len(labels) - dropped}


def _print_suspects(name: str, suspects: "Sequence[Suspect]", expected: float) -> None:
    from rubrica.data.labels import as_list
    from rubrica.insight.findings import shorten

    click.echo(f"{name}: rows that are suspected: {len(suspects):,}, about {expected:,.0f} of them rightly")
    for found in suspects[:_SHOWN]:
        label, other = ("|".join(as_list(each or ())) or "no label" for each in (found.label, found.suggested))
        suggested = "drop" if found.suggested is None else other
        why = "" if found.why == "label" else f" ({found.why})"
        click.echo(f"{found.probability:.2f}  {found.split} {found.row}  {label} -> {suggested}{why}")
        click.echo(f"      {shorten(found.text, 90)}")
    if len(suspects) > _SHOWN:
        click.echo(f"... and {len(suspects) - _SHOWN:,} more")
