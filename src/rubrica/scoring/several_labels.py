"""The task in which a text may have several labels, each a question of its own; targets are ones at a text's labels.

An answer is every label that is at least as probable as its threshold. The thresholds are found on held-out texts.

Letters: N texts, C classes, U unknown labels, M members of a model.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rubrica.files import make_array
from rubrica.scoring import metrics
from rubrica.scoring.lookup import parts_of
from rubrica.scoring.report import Report, SeveralLabelsReport
from rubrica.scoring.shares import shares_of_several
from rubrica.scoring.task import Floats, Label, Rows, Targets, Task
from rubrica.scoring.thresholds import tune_thresholds


@dataclass(frozen=True)
class SeveralLabels(Task):
    """A text may have several labels, or none.

    Args:
        labels: The C class names.
        cuts: How probable each label must be to be an answer, C; none means 0.5 for all.
    """

    cuts: tuple[float, ...] = ()

    problem_type: ClassVar[str] = "multi_label_classification"
    remark: ClassVar[str] = ", several of a text"
    onnx_operator: ClassVar[tuple[str, dict[str, int]]] = ("Sigmoid", {})
    has_confusion: ClassVar[bool] = False
    loss_in_kernel: ClassVar[bool] = False
    fits_tree: ClassVar[bool] = False
    measure: ClassVar[str] = SeveralLabelsReport.measure

    probabilities = staticmethod(metrics.sigmoid)
    losses = staticmethod(metrics.binary_cross_entropy)
    soft_losses = staticmethod(metrics.binary_cross_entropy)
    shares = staticmethod(shares_of_several)

    @staticmethod
    def divergence(found: Floats, prior: Floats) -> Floats:
        """The divergences of each label's yes or no, summed over the labels."""
        return metrics.divergence(found, prior) + metrics.divergence(1 - found, 1 - prior)

    @property
    def num_machines(self) -> int:
        return self.num_classes

    @property
    def thresholds(self) -> tuple[float, ...]:
        return self.cuts or (0.5,) * self.num_classes

    def joined(self, other: Task) -> "SeveralLabels":
        other.check_joinable()
        return SeveralLabels(tuple(dict.fromkeys((*self.labels, *other.labels))))

    def parts(self, label: Any) -> list[str]:
        return parts_of(label)

    def empty_targets(self, count: int, num_unknown: int = 0) -> Targets:
        columns = self.num_classes + num_unknown
        return make_array(count * columns, np.uint8).reshape(count, columns)

    def encode_into(self, targets: Targets, labels: Sequence[Any], numbers: Mapping[str, int]) -> None:
        targets[:] = 0
        for row, label in zip(targets, labels, strict=True):
            for part in parts_of(label):
                row[numbers[part]] = 1

    def has_unknown(self, targets: Targets) -> NDArray[np.bool_]:
        return np.asarray(targets[:, self.num_classes :].any(axis=1))

    def spell(self, label: Label) -> Label:
        return (label,) if isinstance(label, str) else label

    def class_counts(self, targets: Targets, rows: NDArray[Any] | None = None) -> Rows:
        return np.asarray((targets if rows is None else targets[rows]).sum(axis=0, dtype=np.int64))

    def has_label(self, targets: Targets, label: int) -> NDArray[np.bool_]:
        return np.asarray(targets[:, label] == 1)

    def hold_out_order(self, counts: Rows) -> list[int]:
        """The rarest label first: of a text with a rare and a common label the rare one has few others."""
        return [int(label) for label in np.argsort(counts, kind="stable")]

    def mean_over_labels(self, targets: Targets, by_class: Floats) -> Floats:
        own = targets.sum(axis=1)
        return np.where(own > 0, targets @ by_class / np.maximum(own, 1), 1)

    def pairs(self, targets: Targets) -> tuple[Rows, Rows]:
        texts, classes = map(np.ascontiguousarray, np.nonzero(targets))  # views of one array
        return texts, classes

    def decide(self, logits: Floats, abstain_below: float | None = None) -> list[Any]:
        """A list of labels, the most probable first; it may be empty."""
        return [[self.labels[i] for i in places] for places in self._ranked(logits)]

    def _ranked(self, logits: Floats) -> list[list[int]]:
        answers = metrics.chosen(logits, self.thresholds)
        order = np.argsort(-logits, axis=1, kind="stable")
        kept = np.take_along_axis(answers, order, axis=1)
        return [row[mask].tolist() for row, mask in zip(order, kept, strict=True)]

    def answer_lines(self, logits: Floats, *, all_classes: bool, abstain_below: float | None) -> list[str]:
        """`{"labels": ["a", "b"], "scores": {"a": 0.9, "b": 0.7}}`; with `all_classes` the `scores` of all."""
        names = [json.dumps(label, ensure_ascii=False) for label in self.labels]
        rows = self.probabilities(logits).astype(float).round(6).tolist()
        lines = []
        for row, places in zip(rows, self._ranked(logits), strict=True):
            mine = [names[i] for i in places]
            scored = (names, row) if all_classes else (mine, [row[i] for i in places])
            lines.append(f'{{"labels": [{", ".join(mine)}], "scores": {metrics.score_lines(*scored)}}}')
        return lines

    def check_abstaining(self, below: float | None) -> None:
        if below is not None:
            raise ValueError("this model may give a text no label: each label has a threshold; leave abstain_below out")

    def known_losses(self, logits: Floats, targets: Targets, probabilities: Floats | None = None) -> Floats:
        """Every text has a loss: the sum over the labels that the model knows."""
        return self.losses(logits, targets[:, : self.num_classes] if probabilities is None else probabilities)

    def count(
        self,
        logits: Floats,
        targets: Targets,
        abstain_below: float | None,
        unknown: Sequence[str] = (),
        probabilities: Floats | None = None,
    ) -> list[Any]:
        """The counts of each label, see `metrics.set_counts`; and how many texts have all labels right.

        An unknown label is never answered.
        """
        answers = np.zeros(targets.shape, bool)
        answers[:, : self.num_classes] = metrics.chosen(logits, self.thresholds)
        return [metrics.set_counts(targets, answers), int((answers == targets).all(axis=1).sum())]

    def hits(self, logits: Floats, targets: Targets, probabilities: Floats | None = None) -> metrics.Ints:
        answers = metrics.chosen(logits, self.thresholds)
        right = (answers & (targets[:, : self.num_classes] == 1)).sum(axis=1)
        return np.stack([right, answers.sum(axis=1) + targets.sum(axis=1, dtype=np.int64)], axis=1)

    def report(
        self, counts: list[Any], texts: int, abstain_below: float | None, unknown: Sequence[str] = (), **losses: Any
    ) -> Report:
        by_label, exact = counts
        hits, answered, there = by_label.astype(np.float64)
        rows, macro_f1 = metrics.class_scores(by_label, [*self.labels, *unknown])
        return SeveralLabelsReport(
            texts=texts,
            micro_f1=float(metrics.f1_score(hits.sum(), answered.sum(), there.sum())),
            macro_f1=macro_f1,
            subset_accuracy=exact / texts,
            hamming_loss=float((answered + there - 2 * hits).sum() / (texts * len(there))),
            per_class=rows,
            **losses,
        )

    def tuned(self, scored: Iterable[tuple[Floats, Targets]]) -> "SeveralLabels":
        parts = ((self.probabilities(logits), targets) for logits, targets in scored)
        return replace(self, cuts=tuple(tune_thresholds(parts, self.num_classes)))

    def wanted(self, targets: Targets, probabilities: Floats | None = None) -> Floats:
        """As if every label had been seen once more at a text, and once more not."""
        unsure, there = 1 / (len(targets) + 2), targets > 0 if probabilities is None else probabilities
        return np.asarray(there * (1 - unsure) + (1 - there) * unsure)

    def derivatives(
        self, weights: Floats, logits: Floats, wanted: Floats, counts: Floats
    ) -> tuple[float, Floats, Floats]:
        """Of the binary cross-entropy of each label's sigmoid."""
        z = np.tensordot(weights, logits, 1)
        p = np.exp(-np.logaddexp(0, -z))
        loss = counts @ (np.logaddexp(0, z) - wanted * z).sum(axis=1)
        curve = np.einsum("mnc,knc->mk", logits * (p * (1 - p) * counts[:, None]), logits)
        slope = np.einsum("mnc,nc->m", logits, (p - wanted) * counts[:, None])
        return float(loss) / len(z), slope / len(z), curve / len(z)

    def torch_loss(self, functions: Any, logits: Any, targets: Any, weights: Any, smoothing: float) -> Any:
        """The binary cross-entropy, summed over the labels; smoothing spreads over yes and no."""
        wanted = targets.to(logits.dtype) * (1 - smoothing) + smoothing / 2
        losses = functions.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(dim=1)
        return metrics.weighted_mean(losses, weights)

    def kernel_targets(self, targets: Targets) -> tuple[Targets | None, Targets | None]:
        return None, targets

    def torch_hits(self, logits: Any, targets: Any) -> Any:
        """Whether every label of a text is answered rightly, at a threshold of 0.5."""
        return ((logits >= 0) == targets).all(dim=1)
