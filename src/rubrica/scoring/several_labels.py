"""The task in which a text may have several labels, each a question of its own; targets are ones at a text's labels.

An answer is every label that is at least as probable as its threshold. The thresholds are found on held-out texts.

Letters: N texts, C classes, M members of a model.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import nearest
from rubrica.files import make_array
from rubrica.scoring import metrics
from rubrica.scoring.metrics import score_lines
from rubrica.scoring.report import SeveralLabelsReport
from rubrica.scoring.task import Floats, Label, Rows, Tally, Targets, Task, weighted_mean
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

    @property
    def num_machines(self) -> int:
        """One for each label."""
        return self.num_classes

    @property
    def thresholds(self) -> tuple[float, ...]:
        """See `Task`."""
        return self.cuts or (0.5,) * self.num_classes

    def empty_targets(self, count: int) -> Targets:
        """See `Task`."""
        return make_array(count * self.num_classes, np.uint8).reshape(count, self.num_classes)

    def encode_into(self, targets: Targets, labels: Sequence[Any]) -> None:
        """See `Task`."""
        places = {label: i for i, label in enumerate(self.labels)}
        targets[:] = 0
        for row, own in zip(targets, labels, strict=True):
            for label in (own,) if isinstance(own, str) else own:
                if label not in places:
                    hint = nearest(str(label), self.labels)
                    raise ValueError(f"the model does not know the label {label!r}; {hint}")
                row[places[label]] = 1

    def spell(self, label: Label) -> Label:
        """See `Task`."""
        return (label,) if isinstance(label, str) else label

    def class_counts(self, targets: Targets, rows: NDArray[Any] | None = None) -> Rows:
        """See `Task`."""
        return np.asarray((targets if rows is None else targets[rows]).sum(axis=0, dtype=np.int64))

    def has_label(self, targets: Targets, label: int) -> NDArray[np.bool_]:
        """See `Task`."""
        return np.asarray(targets[:, label] == 1)

    def hold_out_order(self, counts: Rows) -> list[int]:
        """The rarest label first: of a text with a rare and a common label the rare one has few others."""
        return [int(label) for label in np.argsort(counts, kind="stable")]

    def mean_over_labels(self, targets: Targets, by_class: Floats) -> Floats:
        """See `Task`."""
        own = targets.sum(axis=1)
        return np.where(own > 0, targets @ by_class / np.maximum(own, 1), 1)

    def pairs(self, targets: Targets) -> tuple[Rows, Rows]:
        """See `Task`."""
        texts, classes = map(np.ascontiguousarray, np.nonzero(targets))  # views of one array
        return texts, classes

    def signs(self, targets: Targets, machine: int) -> NDArray[np.int8]:
        """See `Task`."""
        return 2 * targets[:, machine].astype(np.int8) - 1

    def divergence(self, found: Floats, prior: Floats) -> Floats:
        """The Kullback-Leibler divergences of each label's yes or no, summed over the labels."""
        nats = (found * np.log(found / prior)).sum(axis=1)
        nats += ((1 - found) * np.log((1 - found) / (1 - prior))).sum(axis=1)
        return np.asarray(nats)

    def probabilities(self, logits: Floats) -> Floats:
        """Of each label by itself."""
        return metrics.sigmoid(logits)

    def losses(self, logits: Floats, targets: Targets) -> Floats:
        """The binary cross-entropy, summed over the labels."""
        return metrics.binary_cross_entropy(logits, targets)

    def decide(self, logits: Floats, abstain_below: float | None = None) -> list[Any]:
        """A list of labels, the most probable first; it may be empty."""
        self.check_abstaining(abstain_below)
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
            scores = score_lines(names, row) if all_classes else score_lines(mine, [row[i] for i in places])
            lines.append(f'{{"labels": [{", ".join(mine)}], "scores": {scores}}}')
        return lines

    def check_abstaining(self, below: float | None) -> None:
        """See `Task`."""
        if below is not None:
            raise ValueError("this model gives a text several labels or none, each by its own threshold; leave it out")

    def tally(self, num_texts: int, abstain_below: float | None = None) -> "SeveralLabelsTally":
        """See `Task`."""
        self.check_abstaining(abstain_below)
        return SeveralLabelsTally(self, num_texts)

    def tuned(self, scored: Iterable[tuple[Floats, Targets]]) -> "SeveralLabels":
        """See `Task`."""
        parts = ((self.probabilities(logits), targets) for logits, targets in scored)
        return replace(self, cuts=tuple(tune_thresholds(parts, self.num_classes)))

    def wanted(self, targets: Targets) -> Floats:
        """As if every label had been seen once more at a text, and once more not."""
        unsure = 1 / (len(targets) + 2)
        return np.where(targets > 0, 1 - unsure, unsure)

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
        return weighted_mean(losses, weights)

    def kernel_targets(self, targets: Targets) -> tuple[Targets | None, Targets | None]:
        """See `Task`."""
        return None, targets

    def torch_hits(self, logits: Any, targets: Any) -> Any:
        """Whether every label of a text is answered rightly, at a threshold of 0.5."""
        return ((logits >= 0) == targets).all(dim=1)


class SeveralLabelsTally(Tally):
    """See `Tally`."""

    def __init__(self, task: Task, num_texts: int) -> None:
        super().__init__(task, num_texts)
        self.counts, self.exact = np.zeros((3, task.num_classes), np.int64), 0

    def count(self, logits: Floats, targets: Targets) -> None:
        """See `Tally`."""
        answers = metrics.chosen(logits, self.task.thresholds or ())
        self.counts += metrics.set_counts(targets, answers)
        self.exact += int((answers == targets).all(axis=1).sum())

    def report(self, batch_size: int | None = None) -> SeveralLabelsReport:
        """See `Tally`."""
        count, (hits, answered, there) = len(self.losses), self.counts.astype(np.float64)
        rows, f1 = metrics.class_scores(self.counts, self.task.labels)
        occur = there > 0
        return SeveralLabelsReport(
            texts=count,
            micro_f1=float(metrics.f1_score(hits.sum(), answered.sum(), there.sum())),
            # Over the labels that occur: of the others there is nothing to find.
            macro_f1=float(f1[occur].mean()) if occur.any() else 0.0,
            subset_accuracy=self.exact / count,
            hamming_loss=float((answered + there - 2 * hits).sum() / (count * self.task.num_classes)),
            loss=float(self.losses.mean()),
            per_class=rows,
            mean_batch_loss=self.mean_batch_loss(batch_size),
        )
