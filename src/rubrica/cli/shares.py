"""What `rubrica explain` prints for a person: tokens coloured by their share, with figures where there is no colour."""

from typing import TYPE_CHECKING, Any

from rubrica.insight.explanations.show import limits, marks, strongest
from rubrica.insight.findings import shorten

if TYPE_CHECKING:
    from rubrica.insight.explanations.explain import Explanation, Reason

_FOR = ("#d5e4ee", "#a9cbe0", "#7db2d2", "#5199c4", "#2f80b0")
_AGAINST = ("#f6dfcf", "#f0c3a2", "#e9a776", "#e38b4a", "#d9701f")
_MOST = 10  # tokens, and steps of a bar
_COLUMNS = 4  # classes whose probabilities fit a line


def print_explanation(found: "Explanation") -> None:
    """The answer, the text, the strongest tokens, and what else was asked for."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    plain = console.color_system is None or console.no_color
    for reason in found.reasons:
        console.print(_headline(reason))
        console.print(_text(found, reason, plain=plain))
        for token, share in strongest(found, reason, _MOST):
            console.print(Text(f"  {share:+8.3f}  {printable(token)}"))
    methods = ", ".join(f"{name}: {method}" for name, method in found.methods.items())
    console.print(Text(" ".join([methods + ".", *limits(found)]), "dim"))
    if found.beliefs is not None:
        console.print(_beliefs(found))
    for near in found.nearest:
        shares = [f" {share:.1%}" for share in near.shares] or [""] * len(near.labels)
        labels = ", ".join(map("".join, zip(near.labels, shares, strict=True)))
        text = shorten(printable(near.text))
        console.print(Text(f"  {near.similarity:.3f}  {labels}: {text} ({near.split}, row {near.row})"))
    console.print()


def printable(text: str) -> str:
    """The text without characters that would move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else " " for character in text)


def _headline(reason: "Reason") -> Any:
    from rich.text import Text

    parts = {"base": reason.base, "tokens": float(reason.shares.sum()), "rest": reason.rest}
    if abs(reason.rest) < 0.0005:  # the figures have three digits
        del parts["rest"]
    sums = " ".join(f"{name} {amount:+.3f}" for name, amount in parts.items())
    return Text.assemble(
        (printable(reason.label), "bold"), f" {reason.probability:.1%}, score {reason.score:+.3f} = {sums}"
    )


def _text(found: "Explanation", reason: "Reason", *, plain: bool) -> Any:
    from rich.text import Text

    shown, behind = marks(found, reason)
    line = Text()
    for mark in shown:
        line.append(printable(mark.gap))
        color = (_FOR if mark.step > 0 else _AGAINST)[abs(mark.step) - 1]
        style = f"black on {color}" if mark.step else "" if mark.read else "dim italic"
        line.append(printable(mark.text), style)
        if plain and mark.step:
            line.append(f"({mark.share:+.2f})")
    line.append(printable(behind))
    return line


def _beliefs(found: "Explanation") -> Any:
    from rich.table import Table
    from rich.text import Text

    assert found.beliefs is not None
    classes = found.believed[:_COLUMNS]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(["after", *(found.labels[i] for i in classes)]):
        table.add_column(Text(printable(name)), justify="right" if i else "left")
    for i, row in enumerate(found.beliefs[: found.limit + 1]):
        read = printable(found.tokens[i - 1].text) if i else "nothing"
        table.add_row(Text(read, "" if i else "italic"), *(f"{row[c]:.1%}" for c in classes))
    return table
