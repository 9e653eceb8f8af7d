"""Models whose answers are given, texts to go with them, findings, and the pages about them."""

from dataclasses import replace
from functools import cache

import numpy as np

from made_models import make_bag
from rubrica.data.dataset import Examples
from rubrica.insight.findings import Cost, Finding, Row
from rubrica.insight.pages.page import findings_page, report
from rubrica.predict.classifier import Classifier
from rubrica.scoring.tasks import task_of

EVIL = (
    '<script>alert(1)</script> "><img src=https://evil.example/x onerror=alert(2)> </style> {{ 7 * 7 }} & \x00\x1b[31m'
)
EVIL += "\udc80 \ufffe \x9f \u202e \u2028 ${x} $\\frac{1}{2}$ 新闻 😀"
HISTORY = [
    record
    for step in range(1, 31)
    for record in (
        {"step": 50 * step, "epoch": 1 + step // 10, "loss": 2 / step, "accuracy": 1 - 0.6 / step},
        {"step": 50 * step, "epoch": 1 + step // 10, "validation_loss": 0.3 + 1 / step, "validation_accuracy": 0.8},
    )
]


class Given(Classifier):
    """A model whose logits are given. A text begins with its place among them."""

    def __init__(self, labels, logits, *, lists=False, history=(), **metrics):
        task = task_of(labels, lists=lists)
        self.artifact = replace(make_bag(1), task=task, history=list(history), metrics=metrics)
        self.task, self.config, self._given = task, self.artifact.config, logits

    def logits(self, texts):
        return self._given[[int(text.split()[0]) for text in texts]]

    def predict(self, texts, **_):
        return self.task.decide(self.logits(texts))


def one_label(labels=("World", "Sports", "Business", "Sci/Tech"), count=600, words="a text", sure=2.0, seed=0, **made):
    """A model and texts of one label each, which it often answers rightly."""
    draw = np.random.default_rng(seed)
    truths = draw.integers(0, len(labels), count)
    logits = draw.normal(size=(count, len(labels))).astype(np.float32)
    logits[np.arange(count), truths] += sure
    texts = [f"{place} {words} " + "word " * int(draw.integers(1, 40)) for place in range(count)]
    return Given(labels, logits, **made), Examples(texts, [labels[truth] for truth in truths])


def many_labels(labels=("grain", "wheat", "oil", "ship", "gold"), count=400, words="a text", seed=0):
    """A model and texts of any number of labels each."""
    draw = np.random.default_rng(seed)
    truths = draw.random((count, len(labels))) < 1.3 / len(labels)
    logits = (draw.normal(size=truths.shape) + 3.0 * truths - 2.0).astype(np.float32)
    texts = [f"{place} {words} " + "word " * int(draw.integers(1, 40)) for place in range(count)]
    chosen = [tuple(label for label, here in zip(labels, row, strict=True) if here) for row in truths]
    return Given(labels, logits, lists=True, history=HISTORY), Examples(texts, chosen)


def findings(text="Oil prices climb"):
    return [
        Finding(kind="a", severity="note", title=f"A note: {text}", why=text, remedy="Do it.", figures={}),
        Finding(
            kind="b", severity="error", title=f"An error: {text}", why=text, remedy="data.lowercase = true",
            figures={"share": 0.5}, rows=(Row("train", 12, text, text),), cost=Cost(7.4, 0.9, text),
        ),
        Finding(kind="c", severity="warning", title=text, why=text, remedy=f"rubrica clean {text}", figures={}),
    ]  # fmt: skip


@cache
def pages():
    """A page of each kind, by name; making them takes some seconds."""
    reuters = [f"topic-{place}" for place in range(90)]
    hostile, evil_examples = one_label([EVIL, "b" * 400, "<b>", "ok"], 120, words=EVIL, history=HISTORY)
    return {
        "one": report(*one_label(history=HISTORY), findings(), data="news.csv", split="test", compared=("bag", 0.7)),
        "one-ru": report(*one_label(), findings(), data="news.csv", language="ru", compared=("linear", 0.7)),
        "several": report(*many_labels(), data="reuters21578"),
        "ninety": report(*one_label(reuters, 3000, words="x" * 400, sure=3.0), data="ninety"),
        "ninety-several": report(*many_labels(reuters, 1000, words="x" * 400), data="ninety"),
        "findings": findings_page(findings(), data="news.csv"),
        "nothing-found": findings_page([], data="news.csv", language="ru"),
        "unscored": report(one_label(history=HISTORY)[0]),
        "hostile": report(hostile, evil_examples, findings(EVIL), data=EVIL),
    }
