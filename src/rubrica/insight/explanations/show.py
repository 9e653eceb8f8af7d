"""Explanations as a page: one HTML file that needs nothing else, no script, no web font, no network.

`templates/explanation.html.j2` holds the layout. This file says how strongly each token is marked. A share is shown by
the colour and by the line under the token, so that it can be read without colours, too.
"""

from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from rubrica.insight.explanations.explain import Explanation, Reason
from rubrica.insight.pages.template import open_template
from rubrica.notebook import printable

STEPS = 5  # shades of a colour; more cannot be told apart
_FAINT = 0.05  # of the largest share: weaker tokens are not marked


class Mark(NamedTuple):
    """A token as it is shown, and what stands before it.

    Args:
        gap: The characters between the token before and this one.
        text: The token as it is written.
        share: What it adds.
        step: How strong that is beside the largest share of its text, from -STEPS to STEPS.
        read: Whether the model reads it.
    """

    gap: str
    text: str
    share: float
    step: int
    read: bool


def marks(found: Explanation, reason: Reason) -> tuple[list[Mark], str]:
    """The tokens of a text as they are shown for one label, and what stands behind the last."""
    largest = max((abs(share) for share in reason.shares.tolist()), default=0.0)
    shown = []
    for i, (before, token) in enumerate(pairwise([(None, 0, 0), *found.tokens])):
        share = float(reason.shares[i])
        weight = abs(share) / largest if largest else 0.0
        step = 0 if weight < _FAINT else max(1, round(STEPS * weight))
        gap, text = found.text[before[2] : token[1]], found.text[token[1] : token[2]]
        shown.append(Mark(gap, text, share, step if share > 0 else -step, i < found.limit))
    return shown, found.text[found.tokens[-1].end :] if found.tokens else found.text


def strongest(found: Explanation, reason: Reason, most: int) -> list[tuple[str, float]]:
    """The tokens with the largest shares, and their shares; a token that occurs twice is there twice."""
    order = sorted(range(len(found.tokens)), key=lambda i: -abs(reason.shares[i]))
    return [(found.tokens[i].text, float(reason.shares[i])) for i in order[:most] if reason.shares[i]]


def limits(found: Explanation) -> list[str]:
    """A sentence for each member of the model that does not read the text to its end."""
    count = len(found.tokens)
    return [
        f"The {name} reads the first {read:,} of {count:,} tokens."
        for name, read in found.reads.items()
        if read < count
    ]


def render_page(explanations: Iterable[Explanation], title: str) -> str:
    """The whole page as HTML.

    Raises:
        MissingExtraError: If Jinja2 is not installed.
    """
    pieces = {"marks": marks, "strongest": strongest, "limits": limits, "signed": "{:+.3f}".format}
    return printable(_template().render(title=title, explanations=list(explanations), steps=STEPS, **pieces))


@cache
def _template() -> Any:
    return open_template(Path(__file__).parent / "templates" / "explanation.html.j2")
