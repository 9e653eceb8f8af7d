"""The task: a text has one label, or may have several. No code outside this room asks which of the two it is.

A `Task` is made once, when data is read, and passed along. It turns labels into targets, logits into answers and
scores, and knows the loss. `OneLabel` and `SeveralLabels` are the two kinds.

Letters: N texts, C classes, B texts of a batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rubrica.files import make_array
from rubrica.scoring.report import Report

Label = str | tuple[str, ...]
"""A text's label, or where a text may have several, all of its labels, each once."""
Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]
Targets = NDArray[Any]
"""The labels of N texts in numbers; what the numbers are is the task's own matter."""

_STRETCH = 1 << 16  # labels at a time
_LEAST_WEIGHT = 1e-30  # of a batch, so that its loss is not 0/0


class Tally(ABC):
    """Scores of texts that are answered some at a time.

    Args:
        task: What the texts are scored by.
        num_texts: N.
    """

    def __init__(self, task: "Task", num_texts: int) -> None:
        self.task, self.losses, self.done = task, make_array(num_texts, np.float64), 0

    def add(self, logits: Floats, targets: Targets) -> None:
        """Score some texts more."""
        self.losses[self.done : self.done + len(logits)] = self.task.losses(logits, targets)
        self.done += len(logits)
        self.count(logits, targets)

    @abstractmethod
    def count(self, logits: Floats, targets: Targets) -> None:
        """Count the right and wrong answers of some texts."""

    @abstractmethod
    def report(self, batch_size: int | None = None) -> Report:
        """The scores of all texts; `batch_size` is that of `Report.mean_batch_loss`."""

    def mean_batch_loss(self, batch_size: int | None) -> float | None:
        """The mean over batches of each batch's mean; a short last batch weighs as much as a full one."""
        if batch_size is None:
            return None
        starts = range(0, len(self.losses), batch_size)
        return float(np.mean([self.losses[i : i + batch_size].mean() for i in starts]))


@dataclass(frozen=True)
class Task(ABC):
    """What a text's labels are, and all that follows from it.

    Args:
        labels: The C class names in the order of their targets.
    """

    labels: tuple[str, ...]

    problem_type: ClassVar[str]
    """What `transformers` calls the task in a config.json."""
    remark: ClassVar[str] = ""
    """What a title says behind "classes"."""
    has_confusion: ClassVar[bool] = False
    """Whether each text has one answer, so that there is a confusion matrix."""
    onnx_operator: ClassVar[tuple[str, dict[str, int]]]
    """What makes probabilities of logits in an ONNX graph, and its attributes."""
    loss_in_kernel: ClassVar[bool] = False
    """Whether the native core can compute the loss of a recurrent network."""

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.labels)

    @property
    @abstractmethod
    def num_machines(self) -> int:
        """How many linear machines tell the classes apart."""

    @property
    @abstractmethod
    def thresholds(self) -> tuple[float, ...] | None:
        """How probable each label must be to be an answer, C; None where the most probable one is the answer."""

    # Labels to targets

    def encode(self, labels: Sequence[Any]) -> Targets:
        """The targets of N texts.

        Raises:
            ValueError: For a label that is not among the classes, or a text with more labels than the task allows.
        """
        targets = self.empty_targets(len(labels))
        for first in range(0, len(labels), _STRETCH):
            self.encode_into(targets[first : first + _STRETCH], labels[first : first + _STRETCH])
        return targets

    @abstractmethod
    def empty_targets(self, count: int) -> Targets:
        """Room for the targets of so many texts."""

    @abstractmethod
    def encode_into(self, targets: Targets, labels: Sequence[Any]) -> None:
        """Write the targets of some texts."""

    @abstractmethod
    def spell(self, label: Label) -> Label:
        """A text's labels in the form that the task has for them.

        Raises:
            ValueError: If there are more than the task allows.
        """

    @abstractmethod
    def class_counts(self, targets: Targets, rows: NDArray[Any] | None = None) -> Rows:
        """How many texts each class has, (C,); of all texts, or of some by their places or a mask."""

    @abstractmethod
    def has_label(self, targets: Targets, label: int) -> NDArray[np.bool_]:
        """Whether each text has this label, (N,)."""

    @abstractmethod
    def hold_out_order(self, counts: Rows) -> list[int]:
        """The classes in the order in which a part of each is held out of train."""

    @abstractmethod
    def mean_over_labels(self, targets: Targets, by_class: Floats) -> Floats:
        """The mean of a number of each class over each text's own labels, (N,); 1 for a text without labels."""

    @abstractmethod
    def pairs(self, targets: Targets) -> tuple[Rows, Rows]:
        """Each pair of a text and a label that it has, (P,) and (P,)."""

    @abstractmethod
    def signs(self, targets: Targets, machine: int) -> NDArray[np.int8]:
        """1 where a text is on the positive side of a linear machine, else -1, (N,)."""

    @abstractmethod
    def divergence(self, found: Floats, prior: Floats) -> Floats:
        """Nats that shares of the classes among some texts (F, C) say against their shares among all (C,); (F,)."""

    # Logits to answers and scores

    @abstractmethod
    def probabilities(self, logits: Floats) -> Floats:
        """The probability of each class, (N, C)."""

    @abstractmethod
    def losses(self, logits: Floats, targets: Targets) -> Floats:
        """The loss of each text in nats, (N,)."""

    @abstractmethod
    def decide(self, logits: Floats, abstain_below: float | None = None) -> list[Any]:
        """The answer to each text, see `Classifier.predict`."""

    @abstractmethod
    def answer_lines(self, logits: Floats, *, all_classes: bool, abstain_below: float | None) -> list[str]:
        """The answer to each text as a line of JSON, see `Classifier.iter_answers`."""

    @abstractmethod
    def check_abstaining(self, below: float | None) -> None:
        """Make sure that a text can stay without an answer where its label is less probable than this.

        Raises:
            ValueError: If it is no probability, or a text may have several labels: each has a threshold of its own.
        """

    @abstractmethod
    def tally(self, num_texts: int, abstain_below: float | None = None) -> Tally:
        """Scores of N texts, of which none is counted yet."""

    def evaluate(self, logits: Floats, targets: Targets, abstain_below: float | None = None) -> Report:
        """The scores of N texts."""
        tally = self.tally(len(logits), abstain_below)
        tally.add(logits, targets)
        return tally.report()

    def tuned(self, scored: Iterable[tuple[Floats, Targets]]) -> "Task":
        """The task with thresholds that fit held-out texts, given as logits and targets of some at a time."""
        return self

    # Training

    @abstractmethod
    def wanted(self, targets: Targets) -> Floats:
        """The probabilities that a calibration aims at, (N, C): a little less than sure."""

    @abstractmethod
    def derivatives(
        self, weights: Floats, logits: Floats, wanted: Floats, counts: Floats
    ) -> tuple[float, Floats, Floats]:
        """The weighted mean loss of weighted logits, its first derivatives by the weights (M,) and its second (M, M).

        Args:
            weights: Of M members, (M,).
            logits: Of each member, (M, N, C).
            wanted: See `wanted`.
            counts: How much each text counts, (N,).
        """

    @abstractmethod
    def torch_loss(self, functions: Any, logits: Any, targets: Any, weights: Any, smoothing: float) -> Any:
        """The weighted mean loss of B texts, in torch.

        Args:
            functions: `torch.nn.functional`. The caller passes it, so that this room does not import torch.
            logits: (B, C).
            targets: Of the texts.
            weights: How much each text counts, (B,); None counts all alike.
            smoothing: The share of each target that is spread over all answers.
        """

    @abstractmethod
    def torch_hits(self, logits: Any, targets: Any) -> Any:
        """Whether each text is answered rightly, (B,) of booleans."""

    @abstractmethod
    def kernel_targets(self, targets: Targets) -> tuple[Targets | None, Targets | None]:
        """The targets as `kernels/bag.py` takes them: a class for each text, or a row of ones and zeros."""

    # The model folder

    def with_labels(self, labels: Sequence[str]) -> Self:
        """The same kind of task with other classes."""
        return replace(self, labels=tuple(labels))


def weighted_mean(losses: Any, weights: Any) -> Any:
    """The mean of the losses of B texts, in torch; 0 where no text counts."""
    if weights is None:
        return losses.mean()
    return (weights.to(losses) * losses).sum() / weights.sum().clamp(min=_LEAST_WEIGHT)
