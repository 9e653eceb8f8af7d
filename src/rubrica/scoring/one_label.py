"""The task in which each text has one label; a target is the number of its class.

Letters: N texts, C classes, M members of a model.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rubrica.files import make_array
from rubrica.scoring import metrics
from rubrica.scoring.report import Abstaining, OneLabelReport
from rubrica.scoring.task import Floats, Label, Rows, Targets, Task, weighted_mean


class OneLabel(Task):
    """Each text has one label."""

    problem_type: ClassVar[str] = "single_label_classification"
    has_confusion: ClassVar[bool] = True
    onnx_operator: ClassVar[tuple[str, dict[str, int]]] = ("Softmax", {"axis": 1})
    loss_in_kernel: ClassVar[bool] = True
    probabilities = staticmethod(metrics.softmax)
    losses = staticmethod(metrics.cross_entropy)
    divergence = staticmethod(metrics.divergence)

    @property
    def num_machines(self) -> int:
        """One for each class; of two classes the second one's, since the first is its opposite."""
        return 1 if self.num_classes == 2 else self.num_classes

    def empty_targets(self, count: int) -> Targets:
        return make_array(count, np.int64)

    def encode_into(self, targets: Targets, labels: Sequence[Any], numbers: Mapping[str, int]) -> None:
        targets[:] = [numbers[label] for label in map(_only, labels)]

    def spell(self, label: Label) -> Label:
        if not isinstance(label, str):
            raise ValueError(f"{len(label)} labels")
        return label

    def class_counts(self, targets: Targets, rows: NDArray[Any] | None = None) -> Rows:
        return np.bincount(targets if rows is None else targets[rows], minlength=self.num_classes)

    def has_label(self, targets: Targets, label: int) -> NDArray[np.bool_]:
        return np.asarray(targets == label)

    def mean_over_labels(self, targets: Targets, by_class: Floats) -> Floats:
        return np.asarray(by_class[targets])

    def pairs(self, targets: Targets) -> tuple[Rows, Rows]:
        return np.arange(len(targets)), np.ascontiguousarray(targets, np.int64)

    def decide(self, logits: Floats, abstain_below: float | None = None) -> list[Any]:
        """The most probable label; None where it is less probable than `abstain_below`."""
        best = logits.argmax(axis=1)
        if abstain_below is not None:
            best[self.probabilities(logits).max(axis=1) < abstain_below] = -1
        answers = [*self.labels, None]  # the last, -1, is the answer where the model abstains
        return [answers[i] for i in best.tolist()]

    def answer_lines(self, logits: Floats, *, all_classes: bool, abstain_below: float | None) -> list[str]:
        """`{"label": "a", "score": 0.9}`, and with `all_classes` the `scores` of all; null where the model abstains."""
        probabilities = self.probabilities(logits)
        best = logits.argmax(axis=1)  # of two almost equal logits the probabilities may be equal
        highest = probabilities[range(len(logits)), best]
        scores = highest.astype(float).round(6)
        names = [json.dumps(label, ensure_ascii=False) for label in self.labels]
        shown = [*names, "null"]
        best[highest < (abstain_below or 0.0)] = -1
        # Put together by hand: json.dumps would take longer than the model.
        answers = zip(best.tolist(), scores.tolist(), strict=True)
        lines = [f'{{"label": {shown[i]}, "score": {score!r}}}' for i, score in answers]
        if all_classes:
            rows = probabilities.astype(float).round(6).tolist()
            every = (metrics.score_lines(names, row) for row in rows)
            lines = [f'{line[:-1]}, "scores": {scores}}}' for line, scores in zip(lines, every, strict=True)]
        return lines

    def count(self, logits: Floats, targets: Targets, abstain_below: float | None) -> list[Any]:
        """The confusion matrix; how many texts `abstain_below` leaves an answer, and how many of them rightly."""
        answers = logits.argmax(axis=1)
        confusion = metrics.confusion_matrix(targets, answers, self.num_classes)
        if abstain_below is None:
            return [confusion, 0, 0]
        answered = self.probabilities(logits).max(axis=1) >= abstain_below
        return [confusion, int(answered.sum()), int((answers == targets)[answered].sum())]

    def report(self, counts: list[Any], texts: int, abstain_below: float | None, **losses: Any) -> OneLabelReport:
        confusion, sure, hits = counts
        answered, there = confusion.sum(axis=0), confusion.sum(axis=1)
        rows, f1 = metrics.class_scores(np.stack([np.diag(confusion), answered, there]), self.labels)
        abstaining = None
        if abstain_below is not None:
            abstaining = Abstaining(abstain_below, sure / texts, hits / sure if sure else None)
        return OneLabelReport(
            texts=texts,
            accuracy=float(np.trace(confusion) / texts),
            # Classes that neither occur nor are answered say nothing about the model.
            macro_f1=float(f1[answered + there > 0].mean()),
            per_class=rows,
            confusion=confusion.tolist(),
            abstaining=abstaining,
            **losses,
        )

    def wanted(self, targets: Targets) -> Floats:
        """As if every class had been seen once more."""
        unsure = self.num_classes / (len(targets) + self.num_classes)
        wanted = np.full((len(targets), self.num_classes), unsure / self.num_classes)
        wanted[np.arange(len(targets)), targets] += 1 - unsure
        return wanted

    def derivatives(
        self, weights: Floats, logits: Floats, wanted: Floats, counts: Floats
    ) -> tuple[float, Floats, Floats]:
        """Of the cross-entropy of the softmax."""
        z = np.tensordot(weights, logits, 1)
        below = z - z.max(axis=1, keepdims=True)
        p = np.exp(below)
        sums = p.sum(axis=1, keepdims=True)
        p /= sums
        loss = counts @ (np.log(sums[:, 0]) - (wanted * below).sum(axis=1))
        mean = np.einsum("mnc,nc->mn", logits, p)
        curve = np.einsum("mnc,knc->mk", logits * (p * counts[:, None]), logits) - (mean * counts) @ mean.T
        slope = np.einsum("mnc,nc->m", logits, (p - wanted) * counts[:, None])
        return float(loss) / len(z), slope / len(z), curve / len(z)

    def torch_loss(self, functions: Any, logits: Any, targets: Any, weights: Any, smoothing: float) -> Any:
        """The cross-entropy."""
        if weights is None:
            return functions.cross_entropy(logits, targets, label_smoothing=smoothing)
        losses = functions.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
        return weighted_mean(losses, weights)

    def kernel_targets(self, targets: Targets) -> tuple[Targets | None, Targets | None]:
        return targets, None

    def torch_hits(self, logits: Any, targets: Any) -> Any:
        return logits.argmax(dim=1) == targets


def _only(label: Any) -> Any:
    """The one label of a text, also where it stands in a list."""
    if isinstance(label, str) or not isinstance(label, Collection):
        return label
    if len(label) != 1:
        raise ValueError(f"a text has {len(label)} labels, and the model gives one; give one label a text")
    return next(iter(label))
