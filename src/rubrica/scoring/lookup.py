"""Labels as people give them, looked up among the labels of a model."""

from collections.abc import Collection, Sequence
from typing import Any

from rubrica.scoring.label_names import spell


class ModelNames(dict[str, str]):
    """What a model calls a label, by any spelling of it; a label that the model lacks has the name that `spell` gives.

    The exact name comes first, then the spelled one. Last come the model's own labels, spelled: a model from before
    may have the label `1.0`.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__(
            {_spell_own(label): label for label in reversed(labels)} | dict(zip(labels, labels, strict=True))
        )

    def __missing__(self, label: str) -> str:
        name = spell(label)
        self[label] = found = self.get(name, name)
        return found


def _spell_own(label: str) -> str:
    try:
        return spell(label)
    except ValueError:  # a model that scikit-learn's way in trained may have the label ""
        return label


def parts_of(label: Any) -> list[str]:
    """The names in what was given as a text's label: one, or of a list each.

    Raises:
        ValueError: If something is no label.
    """
    if isinstance(label, str):
        return [label]
    several = isinstance(label, Collection) and not isinstance(label, bytes)
    return [part if isinstance(part, str) else spell(part) for part in (label if several else [label])]
