"""Texts as fastText's tutorial prepares them: lower-case, marks set apart, the labels in front; a line a text."""

import re


def write_lines(split, path, rows=None):
    """Write some texts of a split, or all, to a file that `train_supervised` reads."""
    rows = range(len(split.texts)) if rows is None else rows
    path.write_text(
        "".join(f"{labels_of(split.labels[i])} {words_of(split.texts[i])}\n" for i in rows), encoding="utf-8"
    )


def words_of(text):
    return " ".join(re.sub(r"([^\w\s])", r" \1 ", text.lower()).split())


def labels_of(label):
    """One label or several, each with fastText's prefix."""
    labels = [label] if isinstance(label, str) else label
    return " ".join(f"__label__{each.replace(' ', '_')}" for each in labels)
