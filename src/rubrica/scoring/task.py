"""The task: a text has one label, or may have several. No code outside this room asks which of the two it is.

A `Task` is made once, when data is read, and passed along. It turns labels into targets, logits into answers and
scores, and knows the loss. As it stands here, each text has one label, and a target is the number of its class.
`SeveralLabels` says what is different where a text may have several.

Letters: N texts, C classes, B texts of a batch, M members of a model.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import nearest
from rubrica.files import make_array
from rubrica.scoring import metrics
from rubrica.scoring.report import Abstaining, OneLabelReport, Report

Label = str | tuple[str, ...]
"""A text's label, or where a text may have several, all of its labels, each once."""
Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]
Targets = NDArray[Any]
"""The labels of N texts in numbers; what the numbers are is the task's own matter."""

_STRETCH = 1 << 16  # labels at a time
_LEAST_WEIGHT = 1e-30  # of a batch, so that its loss is not 0/0


@dataclass(frozen=True)
class Task:
    """What a text's labels are, and all that follows from it.

    Args:
        labels: The C class names in the order of their targets.
    """

    labels: tuple[str, ...]

    problem_type: ClassVar[str] = "single_label_classification"
    """What `transformers` calls the task in a config.json."""
    remark: ClassVar[str] = ""
    """What stands behind the word "classes" in a title."""
    has_confusion: ClassVar[bool] = True
    """Whether each text has one answer, so that there is a confusion matrix."""
    onnx_operator: ClassVar[tuple[str, dict[str, int]]] = ("Softmax", {"axis": 1})
    """What makes probabilities of logits in an ONNX graph, and its attributes."""
    loss_in_kernel: ClassVar[bool] = True
    """Whether the native core can compute the loss of a recurrent network."""

    probabilities = staticmethod(metrics.softmax)
    """From logits to the probability of each class, (N, C)."""
    losses = staticmethod(metrics.cross_entropy)
    """From logits and targets to the loss of each text in nats, (N,)."""
    divergence = staticmethod(metrics.divergence)
    """The KL divergence in nats, (F,), of class shares among some texts (F, C) from the shares among all texts (C,)."""

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.labels)

    @property
    def num_machines(self) -> int:
        """How many linear machines tell the classes apart. Two classes need one, the machine of the second class."""
        return 1 if self.num_classes == 2 else self.num_classes

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """How probable each label must be to be an answer, C; None where the most probable one is the answer."""
        return None

    # Labels to targets

    def encode(self, labels: Sequence[Any]) -> Targets:
        """The targets of N texts.

        Raises:
            ValueError: For a label that is not among the classes, or a text with more labels than the task allows.
        """
        targets, numbers = self.empty_targets(len(labels)), _Numbers({name: i for i, name in enumerate(self.labels)})
        for first in range(0, len(labels), _STRETCH):
            self.encode_into(targets[first : first + _STRETCH], labels[first : first + _STRETCH], numbers)
        return targets

    def empty_targets(self, count: int) -> Targets:
        """Room for the targets of `count` texts."""
        return make_array(count, np.int64)

    def encode_into(self, targets: Targets, labels: Sequence[Any], numbers: Mapping[str, int]) -> None:
        """Write the targets of some texts; `numbers` has the number of each class."""
        targets[:] = [numbers[label] for label in map(_only, labels)]

    def spell(self, label: Label) -> Label:
        """A text's label in the form of this task: a name, or a tuple of names.

        Raises:
            ValueError: If there are more than the task allows.
        """
        if not isinstance(label, str):
            raise ValueError(f"a list of labels ({len(label)}), but each text of train has a single label")
        return label

    def class_counts(self, targets: Targets, rows: NDArray[Any] | None = None) -> Rows:
        """How many texts each class has, (C,); of all texts, or of some by their places or a mask."""
        return np.bincount(targets if rows is None else targets[rows], minlength=self.num_classes)

    def has_label(self, targets: Targets, label: int) -> NDArray[np.bool_]:
        """Whether each text has this label, (N,)."""
        return np.asarray(targets == label)

    def hold_out_order(self, counts: Rows) -> list[int]:
        """The classes in the order in which a part of each is held out of train; any will do for one label a text."""
        return list(range(len(counts)))

    def mean_over_labels(self, targets: Targets, by_class: Floats) -> Floats:
        """The mean of a number of each class over each text's own labels, (N,); 1 for a text without labels."""
        return np.asarray(by_class[targets])

    def pairs(self, targets: Targets) -> tuple[Rows, Rows]:
        """Each pair of a text and a label that it has, (P,) and (P,)."""
        return np.arange(len(targets)), np.ascontiguousarray(targets, np.int64)

    def signs(self, targets: Targets, machine: int) -> NDArray[np.int8]:
        """1 where a text is on the positive side of a linear machine, else -1, (N,)."""
        return 2 * self.has_label(targets, self.num_classes - self.num_machines + machine).astype(np.int8) - 1

    # Logits to answers and scores

    def decide(self, logits: Floats, abstain_below: float | None = None) -> list[Any]:
        """The answer to each text, see `Classifier.predict`: the most probable label, or None."""
        best = logits.argmax(axis=1)
        if abstain_below is not None:
            best[self.probabilities(logits).max(axis=1) < abstain_below] = -1
        answers = [*self.labels, None]  # the last, -1, is the answer where the model abstains
        return [answers[i] for i in best.tolist()]

    def answer_lines(self, logits: Floats, *, all_classes: bool, abstain_below: float | None) -> list[str]:
        """Lines of JSON, `{"label": "a", "score": 0.9}`; with `all_classes` also the `scores` of all classes."""
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

    def check_abstaining(self, below: float | None) -> None:
        """Make sure that a text can stay without an answer where its label is less probable than this.

        Raises:
            ValueError: If it is no probability, or a text may have several labels: each has a threshold of its own.
        """
        if below is not None and not 0 <= below <= 1:
            raise ValueError(f"{below} is no probability; give 0 to 1")

    def evaluate(self, logits: Floats, targets: Targets, abstain_below: float | None = None) -> Report:
        """The scores of N texts."""
        tally = Tally(self, len(logits), abstain_below)
        tally.add(logits, targets)
        return tally.report()

    def count(self, logits: Floats, targets: Targets, abstain_below: float | None) -> list[Any]:
        """The right and wrong answers as counts that add up over the texts, for `report`.

        They are the confusion matrix; how many texts have an answer with `abstain_below`; how many of these are right.
        """
        answers = logits.argmax(axis=1)
        confusion = metrics.confusion_matrix(targets, answers, self.num_classes)
        if abstain_below is None:
            return [confusion, 0, 0]
        answered = self.probabilities(logits).max(axis=1) >= abstain_below
        return [confusion, int(answered.sum()), int((answers == targets)[answered].sum())]

    def report(self, counts: list[Any], texts: int, abstain_below: float | None, **losses: Any) -> Report:
        """The scores of all texts from their counts, and from the fields of `Report` that are losses."""
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

    def tuned(self, scored: Iterable[tuple[Floats, Targets]]) -> "Task":
        """The task with thresholds that fit held-out texts, given as logits and targets of some at a time."""
        return self

    # Training

    def wanted(self, targets: Targets) -> Floats:
        """The probabilities that a calibration aims at, (N, C): as if every class had been seen once more."""
        unsure = self.num_classes / (len(targets) + self.num_classes)
        wanted = np.full((len(targets), self.num_classes), unsure / self.num_classes)
        wanted[np.arange(len(targets)), targets] += 1 - unsure
        return wanted

    def derivatives(
        self, weights: Floats, logits: Floats, wanted: Floats, counts: Floats
    ) -> tuple[float, Floats, Floats]:
        """The mean loss of weighted logits, its first derivatives by the weights (M,) and its second (M, M).

        Args:
            weights: Of the members, (M,).
            logits: Of each member, (M, N, C).
            wanted: See `wanted`.
            counts: How much each text counts, (N,).
        """
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
        """The weighted mean loss of B texts, in torch.

        Args:
            functions: `torch.nn.functional`. The caller passes it, so that this room does not import torch.
            logits: (B, C).
            targets: Of the texts.
            weights: How much each text counts, (B,); None counts all alike.
            smoothing: The share of each target that is spread over all answers.
        """
        if weights is None:
            return functions.cross_entropy(logits, targets, label_smoothing=smoothing)
        losses = functions.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
        return weighted_mean(losses, weights)

    def torch_hits(self, logits: Any, targets: Any) -> Any:
        """Whether each text is answered rightly, (B,) of booleans."""
        return logits.argmax(dim=1) == targets

    def kernel_targets(self, targets: Targets) -> tuple[Targets | None, Targets | None]:
        """The targets as `kernels/bag.py` takes them: a class for each text, or a row of ones and zeros."""
        return targets, None


def _only(label: Any) -> Any:
    """The one label of a text, also where it stands in a list."""
    if isinstance(label, str) or not isinstance(label, Collection):
        return label
    if len(label) != 1:
        raise ValueError(f"a text has {len(label)} labels, and the model gives one; give one label a text")
    return next(iter(label))


class _Numbers(dict[str, int]):
    """The number of each class."""

    def __missing__(self, label: Any) -> int:
        raise ValueError(f"the model does not know the label {label!r}; {nearest(str(label), self)}")


class Tally:
    """Scores of texts that are answered some at a time.

    Args:
        task: What the texts are scored by.
        num_texts: N, at least 1.
        abstain_below: See `Classifier.evaluate`.
    """

    def __init__(self, task: Task, num_texts: int, abstain_below: float | None = None) -> None:
        task.check_abstaining(abstain_below)
        self.task, self.abstain_below = task, abstain_below
        self.losses, self.done = make_array(num_texts, np.float64), 0
        self.counts: list[Any] = []

    def add(self, logits: Floats, targets: Targets) -> None:
        """Score some more texts."""
        self.losses[self.done : self.done + len(logits)] = self.task.losses(logits, targets)
        self.done += len(logits)
        counts = self.task.count(logits, targets, self.abstain_below)
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)] if self.counts else counts

    def report(self, batch_size: int | None = None) -> Report:
        """The scores of all texts; with `batch_size`, `Report.mean_batch_loss` is among them."""
        mean_batch_loss = None
        if batch_size is not None:  # a short last batch weighs as much as a full one
            starts = range(0, len(self.losses), batch_size)
            mean_batch_loss = float(np.mean([self.losses[i : i + batch_size].mean() for i in starts]))
        return self.task.report(
            self.counts, len(self.losses), self.abstain_below,
            loss=float(self.losses.mean()), mean_batch_loss=mean_batch_loss,
        )  # fmt: skip


def weighted_mean(losses: Any, weights: Any) -> Any:
    """The mean of the losses of B texts, in torch; 0 where no text counts."""
    if weights is None:
        return losses.mean()
    return (weights.to(losses) * losses).sum() / weights.sum().clamp(min=_LEAST_WEIGHT)
