"""The task in which each text has one label; a target is the number of its class.

Letters: N texts, C classes, M members of a model.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import nearest
from rubrica.files import make_array
from rubrica.scoring import metrics
from rubrica.scoring.metrics import score_lines
from rubrica.scoring.report import Abstaining, OneLabelReport
from rubrica.scoring.task import Floats, Label, Rows, Tally, Targets, Task, weighted_mean


class OneLabel(Task):
    """Each text has one label."""

    problem_type: ClassVar[str] = "single_label_classification"
    has_confusion: ClassVar[bool] = True
    onnx_operator: ClassVar[tuple[str, dict[str, int]]] = ("Softmax", {"axis": 1})
    loss_in_kernel: ClassVar[bool] = True

    @property
    def num_machines(self) -> int:
        """One for each class; of two classes the second one's, since the first is its opposite."""
        return 1 if self.num_classes == 2 else self.num_classes

    @property
    def thresholds(self) -> None:
        """There are none: the most probable class is the answer."""
        return None

    def empty_targets(self, count: int) -> Targets:
        """See `Task`."""
        return make_array(count, np.int64)

    def encode_into(self, targets: Targets, labels: Sequence[Any]) -> None:
        """See `Task`."""
        places = {label: i for i, label in enumerate(self.labels)}
        targets[:] = [places[label] if label in places else self._find(label) for label in map(_only, labels)]

    def _find(self, label: Any) -> int:
        raise ValueError(f"the model does not know the label {label!r}; {nearest(str(label), self.labels)}")

    def spell(self, label: Label) -> Label:
        """See `Task`."""
        if not isinstance(label, str):
            raise ValueError(f"{len(label)} labels")
        return label

    def class_counts(self, targets: Targets, rows: NDArray[Any] | None = None) -> Rows:
        """See `Task`."""
        return np.bincount(targets if rows is None else targets[rows], minlength=int(targets.max(initial=-1)) + 1)

    def has_label(self, targets: Targets, label: int) -> NDArray[np.bool_]:
        """See `Task`."""
        return np.asarray(targets == label)

    def hold_out_order(self, counts: Rows) -> list[int]:
        """Any order will do: no text has two labels."""
        return list(range(len(counts)))

    def mean_over_labels(self, targets: Targets, by_class: Floats) -> Floats:
        """See `Task`."""
        return np.asarray(by_class[targets])

    def pairs(self, targets: Targets) -> tuple[Rows, Rows]:
        """See `Task`."""
        return np.arange(len(targets)), np.ascontiguousarray(targets, np.int64)

    def signs(self, targets: Targets, machine: int) -> NDArray[np.int8]:
        """See `Task`."""
        return 2 * (targets == machine + (self.num_machines == 1)).astype(np.int8) - 1

    def divergence(self, found: Floats, prior: Floats) -> Floats:
        """The Kullback-Leibler divergence of two distributions over the classes."""
        return np.asarray((found * np.log(found / prior)).sum(axis=1))

    def probabilities(self, logits: Floats) -> Floats:
        """Of all classes together 1."""
        return metrics.softmax(logits)

    def losses(self, logits: Floats, targets: Targets) -> Floats:
        """The cross-entropy."""
        return metrics.cross_entropy(logits, targets)

    def decide(self, logits: Floats, abstain_below: float | None = None) -> list[Any]:
        """The most probable label; None where it is less probable than `abstain_below`."""
        answers: list[Any] = [self.labels[i] for i in logits.argmax(axis=1)]
        if abstain_below is not None:
            for row in np.flatnonzero(self.probabilities(logits).max(axis=1) < abstain_below):
                answers[row] = None
        return answers

    def answer_lines(self, logits: Floats, *, all_classes: bool, abstain_below: float | None) -> list[str]:
        """`{"label": "a", "score": 0.9}`, and with `all_classes` the `scores` of all; null where the model abstains."""
        probabilities = self.probabilities(logits)
        best = probabilities.argmax(axis=1)
        highest = probabilities[range(len(logits)), best]
        scores = highest.astype(float).round(6)
        names = [json.dumps(label, ensure_ascii=False) for label in self.labels]
        shown = [*names, "null"]  # the last, -1, is the answer where the model abstains
        best[highest < (abstain_below or 0.0)] = -1
        # Put together by hand: json.dumps would take longer than the model.
        answers = zip(best.tolist(), scores.tolist(), strict=True)
        lines = [f'{{"label": {shown[i]}, "score": {score!r}}}' for i, score in answers]
        if all_classes:
            rows = probabilities.astype(float).round(6).tolist()
            lines = [
                f'{line[:-1]}, "scores": {score_lines(names, row)}}}' for line, row in zip(lines, rows, strict=True)
            ]
        return lines

    def check_abstaining(self, below: float | None) -> None:
        """See `Task`."""
        if below is not None and not 0 <= below <= 1:
            raise ValueError(f"{below} is no probability; give 0 to 1")

    def tally(self, num_texts: int, abstain_below: float | None = None) -> "OneLabelTally":
        """See `Task`."""
        return OneLabelTally(self, num_texts, abstain_below)

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
        return weighted_mean(
            functions.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none"), weights
        )

    def kernel_targets(self, targets: Targets) -> tuple[Targets | None, Targets | None]:
        """See `Task`."""
        return targets, None

    def torch_hits(self, logits: Any, targets: Any) -> Any:
        """See `Task`."""
        return logits.argmax(dim=1) == targets


def _only(label: Any) -> Any:
    """The one label of a text, also where it stands in a list."""
    if isinstance(label, str) or not isinstance(label, Collection):
        return label
    if len(label) != 1:
        raise ValueError(f"a text has {len(label)} labels, and the model gives one; give one label a text")
    return next(iter(label))


class OneLabelTally(Tally):
    """See `Tally`."""

    def __init__(self, task: Task, num_texts: int, abstain_below: float | None) -> None:
        super().__init__(task, num_texts)
        self.confusion = np.zeros((task.num_classes, task.num_classes), np.int64)
        self.abstain_below, self.answered, self.hits = abstain_below, 0, 0

    def count(self, logits: Floats, targets: Targets) -> None:
        """See `Tally`."""
        answers = logits.argmax(axis=1)
        self.confusion += metrics.confusion_matrix(targets, answers, self.task.num_classes)
        if self.abstain_below is not None:
            answered = self.task.probabilities(logits).max(axis=1) >= self.abstain_below
            self.answered += int(answered.sum())
            self.hits += int((answers == targets)[answered].sum())

    def report(self, batch_size: int | None = None) -> OneLabelReport:
        """See `Tally`."""
        answered, there = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        counts = np.stack([np.diag(self.confusion), answered, there])
        rows, f1 = metrics.class_scores(counts, self.task.labels)
        abstaining = None
        if self.abstain_below is not None:
            accuracy = self.hits / self.answered if self.answered else None
            abstaining = Abstaining(self.abstain_below, self.answered / len(self.losses), accuracy)
        return OneLabelReport(
            texts=len(self.losses),
            accuracy=float(np.trace(self.confusion) / len(self.losses)),
            # Classes that neither occur nor are answered say nothing about the model.
            macro_f1=float(f1[answered + there > 0].mean()),
            loss=float(self.losses.mean()),
            per_class=rows,
            confusion=self.confusion.tolist(),
            mean_batch_loss=self.mean_batch_loss(batch_size),
            abstaining=abstaining,
        )
