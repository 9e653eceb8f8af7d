"""The task: a text has one label, or may have several. No code outside this room asks which of the two it is.

A `Task` is made once, when data is read, and passed along. It turns labels into targets, logits into answers and
scores, and knows the loss. As it stands here, each text has one label, and a target is the number of its class.
`SeveralLabels` says what is different where a text may have several.

Letters: N texts, C classes, U unknown labels, B texts of a batch, M members of a model.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import nearest, quote_names
from rubrica.files import make_array
from rubrica.scoring import metrics
from rubrica.scoring.lookup import ModelNames, parts_of
from rubrica.scoring.report import Abstaining, OneLabelReport, Report
from rubrica.scoring.shares import shares_of_one

Label = str | tuple[str, ...]
"""A text's label, or where a text may have several, all of its labels, each once."""
Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]
Targets = NDArray[Any]
"""The labels of N texts in numbers; what the numbers are is the task's own matter."""

_STRETCH = 1 << 16  # labels at a time
_MOST_CONFUSED = 1000  # classes; the matrix of 3,000 is 9 million numbers, almost all of them 0
_MOST_UNKNOWN = 1000  # labels; a confusion matrix of more is no help, and the wrong column may hold a million
_MOST_ONCE_MORE = 20  # texts, spread over all classes; a text of each of 3,000 would outweigh 2,000 that were seen


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
    fits_tree: ClassVar[bool] = True
    """Whether a tree of decisions can find the answer."""
    gives_labels: ClassVar[bool] = True
    """Whether an answer is made of labels."""
    measure: ClassVar[str] = OneLabelReport.measure
    """The score that models are compared by, as a person calls it."""
    layout: ClassVar[dict[str, Any]] = {}
    """How data of this task is read, see `Layout`."""

    probabilities = staticmethod(metrics.softmax)
    """From logits to the probability of each class, (N, C)."""
    losses = staticmethod(metrics.cross_entropy)
    """From logits and targets to the loss of each text in nats, (N,)."""
    soft_losses = staticmethod(metrics.soft_cross_entropy)
    """From logits and the probabilities of the classes, (N, C), to the loss of each text in nats, (N,)."""
    divergence = staticmethod(metrics.divergence)
    """The KL divergence in nats, (F,), of class shares among some texts (F, C) from the shares among all texts (C,)."""

    shares = staticmethod(shares_of_one)
    """From labels and probabilities (N, C) to each text shared out over the labels that it may have."""

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

    def joined(self, other: "Task") -> "Task":
        """The task with the labels of another behind its own.

        Raises:
            ValueError: If the other one's texts may have several labels, and this one's have one; or they have scores.
        """
        other.check_joinable()
        if type(other) is not Task:
            raise ValueError("its texts may have several labels, and the model gives one; train a new model")
        return Task(tuple(dict.fromkeys((*self.labels, *other.labels))))

    def check_joinable(self) -> None:
        """Make sure that texts have labels, to be added to a model's.

        Raises:
            ValueError: If they have scores.
        """
        if not self.gives_labels:
            raise ValueError("its texts have scores, and the model gives labels; train a new model")

    # Labels to targets

    def encode(self, labels: Sequence[Any]) -> Targets:
        """The targets of N texts; each label may have any spelling, see `label_names.spell`.

        Raises:
            ValueError: For a label that is not among the classes, or a text with more labels than the task allows.
        """
        targets, unknown = self.encode_all(labels)
        if unknown:
            raise ValueError(f"the model does not know the label {unknown[0]!r}; {nearest(unknown[0], self.labels)}")
        return targets

    def encode_all(self, labels: Sequence[Any]) -> tuple[Targets, tuple[str, ...]]:
        """The targets of N texts to be scored, and the labels that are not among the classes, U.

        The unknown labels are numbered from C on, in alphabetical order. See `count` for what they do to the scores.

        Raises:
            ValueError: If a text has more labels than the task allows, if something is no label, or if there are more
                than 1,000 unknown labels.
        """
        names = ModelNames(self.labels)
        for first in range(0, len(labels), _STRETCH):  # a slice at a time: labels may come from a mapped file
            stretch = labels[first : first + _STRETCH]
            strings = {label for label in stretch if isinstance(label, str)}
            for label in chain(strings.difference(names), (label for label in stretch if not isinstance(label, str))):
                try:
                    list(map(names.__getitem__, self.parts(label)))  # a name that is looked up is remembered
                except ValueError as error:
                    place = next(place for place, found in enumerate(stretch, first) if found is label)
                    raise ValueError(f"label {place}: {error}") from None
        unknown = tuple(sorted(set(names.values()).difference(self.labels)))
        if len(unknown) > _MOST_UNKNOWN:
            found = f"{len(unknown):,} labels that the model does not know ({quote_names(unknown[:3])}, ...)"
            raise ValueError(f"{found}; check that these are labels")
        numbers = {name: number for number, name in enumerate([*self.labels, *unknown])}
        numbers = {label: numbers[name] for label, name in names.items()}
        targets = self.empty_targets(len(labels), len(unknown))
        for first in range(0, len(labels), _STRETCH):
            self.encode_into(targets[first : first + _STRETCH], labels[first : first + _STRETCH], numbers)
        return targets, unknown

    def parts(self, label: Any) -> list[str]:
        """The names in what was given as a text's label.

        Raises:
            ValueError: If there are more than the task allows, or something is no label.
        """
        parts = parts_of(label)
        if len(parts) != 1:
            raise ValueError(f"a text has {len(parts)} labels, and the model gives one; give one label a text")
        return parts

    def empty_targets(self, count: int, num_unknown: int = 0) -> Targets:
        """Room for the targets of `count` texts, with U unknown labels."""
        return make_array(count, np.int64)

    def encode_into(self, targets: Targets, labels: Sequence[Any], numbers: Mapping[str, int]) -> None:
        """Write the targets of some texts; `numbers` has the number of each label."""
        targets[:] = [numbers[label if isinstance(label, str) else self.parts(label)[0]] for label in labels]

    def has_unknown(self, targets: Targets) -> NDArray[np.bool_]:
        """Whether a label of each text is unknown, (N,)."""
        return np.asarray(targets >= self.num_classes)

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
        """The labels that are the answer to each text: the most probable one, or None."""
        if abstain_below is None:
            return self.name_answers(logits.argmax(axis=1))
        return self.name_answers(logits.argmax(axis=1), self.probabilities(logits).max(axis=1) >= abstain_below)

    def answers(self, logits: Floats, abstain_below: float | None = None) -> list[Any]:
        """What `Classifier.predict` gives for each text."""
        return self.decide(logits, abstain_below)

    def name_answers(self, best: metrics.Ints, sure: NDArray[np.bool_] | None = None) -> list[Any]:
        """The labels of the best classes; None for each text that is not sure enough."""
        answers = [*self.labels, None]
        return [answers[i] for i in (best if sure is None else np.where(sure, best, -1)).tolist()]

    def answer_lines(self, logits: Floats, *, all_classes: bool, abstain_below: float | None) -> list[str]:
        """Lines of JSON, `{"label": "a", "score": 0.9}`; with `all_classes` also the `scores` of all classes."""
        probabilities = self.probabilities(logits)
        best = logits.argmax(axis=1)  # of two almost equal logits the probabilities may be equal
        lines = self.best_lines(best, probabilities[range(len(logits)), best], abstain_below)
        if all_classes:
            names = [json.dumps(label, ensure_ascii=False) for label in self.labels]
            rows = probabilities.astype(float).round(6).tolist()
            every = (metrics.score_lines(names, row) for row in rows)
            lines = [f'{line[:-1]}, "scores": {scores}}}' for line, scores in zip(lines, every, strict=True)]
        return lines

    def best_lines(self, best: metrics.Ints, highest: Floats, abstain_below: float | None) -> list[str]:
        """Lines of JSON with the best class of each text and its probability."""
        shown = [*(json.dumps(label, ensure_ascii=False) for label in self.labels), "null"]
        places = np.where(highest < (abstain_below or 0.0), -1, best)
        # Put together by hand: json.dumps would take longer than the model.
        answers = zip(places.tolist(), highest.astype(float).round(6).tolist(), strict=True)
        return [f'{{"label": {shown[i]}, "score": {score!r}}}' for i, score in answers]

    def check_abstaining(self, below: float | None) -> None:
        """Make sure that a text can stay without an answer where its label is less probable than this.

        Raises:
            ValueError: If it is no probability, or a text may have several labels: each has a threshold of its own.
        """
        if below is not None and not 0 <= below <= 1:
            raise ValueError(f"{below} is no probability; give 0 to 1")

    def known_losses(self, logits: Floats, targets: Targets, probabilities: Floats | None = None) -> Floats:
        """The loss of each text in nats, (N,); -1 where the text's label is unknown and there is no loss.

        Args:
            logits: (N, C).
            targets: Of the texts.
            probabilities: How probable each class is, (N, C), where the targets are not certain; else None.
        """
        unknown = self.has_unknown(targets)
        if probabilities is not None:
            return np.where(unknown, metrics.NO_LOSS, self.soft_losses(logits, probabilities))
        return np.where(unknown, metrics.NO_LOSS, self.losses(logits, np.where(unknown, 0, targets)))

    def count(
        self,
        logits: Floats,
        targets: Targets,
        abstain_below: float | None,
        unknown: Sequence[str] = (),
        probabilities: Floats | None = None,
    ) -> list[Any]:
        """The right and wrong answers as counts that add up over the texts, for `report`.

        They are how often each class is rightly answered, answered, and there (3, C); the confusion matrix, empty where
        it would be too large to be read; how many texts have an answer with `abstain_below`; how many of these are
        right. As in scikit-learn, an unknown label is a class that is never answered.
        """
        sure = None if abstain_below is None else self.probabilities(logits).max(axis=1) >= abstain_below
        return self.count_answers(logits.argmax(axis=1), sure, targets, unknown)

    def hits(self, logits: Floats, targets: Targets, probabilities: Floats | None = None) -> metrics.Ints:
        """How many labels of each text are answered rightly; and how many are answered or there, each counted, (N, 2).

        The main score of the texts is twice the sum of the first over the sum of the second: accuracy, or micro-F1.
        """
        right = logits.argmax(axis=1) == targets
        return np.stack([right, np.full(len(right), 2)], axis=1).astype(np.int64)

    def count_answers(
        self, answers: metrics.Ints, sure: NDArray[np.bool_] | None, targets: Targets, unknown: Sequence[str] = ()
    ) -> list[Any]:
        """The counts of `count`, from the class that each text is answered with, and whether it is sure enough."""
        size = self.num_classes + len(unknown)
        by_class = [np.bincount(of, minlength=size) for of in (answers[answers == targets], answers, targets)]
        confusion = metrics.confusion_matrix(targets, answers, size) if size <= _MOST_CONFUSED else np.zeros((0, 0))
        if sure is None:
            return [np.stack(by_class), confusion, 0, 0]
        return [np.stack(by_class), confusion, int(sure.sum()), int((answers == targets)[sure].sum())]

    def report(
        self, counts: list[Any], texts: int, abstain_below: float | None, unknown: Sequence[str] = (), **losses: Any
    ) -> Report:
        """The scores of all texts from their counts, and from the fields of `Report` that are losses."""
        by_class, confusion, sure, hits = counts
        rows, macro_f1 = metrics.class_scores(by_class, [*self.labels, *unknown])
        abstaining = None
        if abstain_below is not None:
            abstaining = Abstaining(abstain_below, sure / texts, hits / sure if sure else None)
        return OneLabelReport(
            texts=texts,
            accuracy=float(by_class[0].sum() / texts),
            macro_f1=macro_f1,
            per_class=rows,
            confusion=confusion.tolist() if confusion.size else None,
            abstaining=abstaining,
            **losses,
        )

    def tuned(self, scored: Iterable[tuple[Floats, Targets]]) -> "Task":
        """The task with thresholds that fit held-out texts, given as logits and targets of some at a time."""
        return self

    # Training

    def wanted(self, targets: Targets, probabilities: Floats | None = None) -> Floats:
        """The probabilities that a calibration aims at, (N, C): as if every class had been seen once more.

        Of more than 20 classes, as if 20 texts more had been seen, spread over all classes. `probabilities` are of the
        classes, (N, C), where the targets are not certain.
        """
        once_more = min(self.num_classes, _MOST_ONCE_MORE)
        unsure = once_more / (len(targets) + once_more)
        wanted = np.full((len(targets), self.num_classes), unsure / self.num_classes)
        if probabilities is not None:
            return wanted + (1 - unsure) * probabilities
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
        return metrics.weighted_mean(losses, weights)

    def torch_hits(self, logits: Any, targets: Any) -> Any:
        """Whether each text is answered rightly, (B,) of booleans."""
        return logits.argmax(dim=1) == targets

    def kernel_targets(self, targets: Targets) -> tuple[Targets | None, Targets | None]:
        """The targets as `kernels/bag.py` takes them: a class for each text, or a row of ones and zeros."""
        return targets, None
