"""What a notebook shows of a data set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from rubrica.data.labels import as_list
from rubrica.notebook import bar, card, escaped, quiet, shown, table

_COUNTED = 1 << 17  # texts of a split whose labels are counted: some ten milliseconds
_LABELS = 12
_TEXTS = 3
_LONG = 160  # characters


def show_dataset(name: str, splits: Mapping[str, Any], labels: Sequence[str], remark: str) -> str:
    """The texts of each label in each split, the most frequent first, and the first texts.

    Args:
        name: Of the data set.
        splits: Its `Examples` by name.
        labels: Its classes.
        remark: The task's.
    """
    counts = {split: _count(examples.labels) for split, examples in splits.items()}
    total = sum(counts.values(), Counter[str]())
    ranked, more = shown(sorted({*labels, *total}, key=lambda label: -total[label]), _LABELS)
    most = {split: max(count.values(), default=0) or 1 for split, count in counts.items()}
    rows = [
        (escaped(label), *(bar(count[label] / most[split], f"{count[label]:,}") for split, count in counts.items()))
        for label in ranked
    ]
    sizes = ", ".join(f"{split} {len(examples.texts):,}" for split, examples in splits.items())
    partly = any(len(examples.texts) > _COUNTED for examples in splits.values())
    first = next(iter(splits.values()))
    texts = [
        (escaped(", ".join(as_list(label))), escaped(text if len(text) <= _LONG else f"{text[:_LONG]}…"))
        for text, label in zip(first.texts[:_TEXTS], first.labels[:_TEXTS], strict=True)
    ]
    return card(
        name, f"{len(labels):,} labels{remark}; texts: {sizes}", table(("label", *counts), rows), more,
        quiet(f"counted among the first {_COUNTED:,} texts of each split") if partly else "",
        table(("label", "text"), texts, "left"),
    )  # fmt: skip


def _count(labels: Sequence[Any]) -> Counter[str]:
    return Counter(chain.from_iterable(map(as_list, labels[:_COUNTED])))
