"""What the doctor looks at: a model, texts that it was trained on, texts that it was not, and what both show.

What takes long (the inside of a network, more updates on a copy, a linear model to compare with) is done when a check
first asks for it, and once.

Letters: N texts, C classes, B texts that are looked at closely, V words, U words in use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rubrica.config.groups import AdamTraining
from rubrica.corpus.corpus import Split
from rubrica.data.dataset import Dataset, Examples
from rubrica.insight.findings import Row, shorten
from rubrica.models.config import make_config
from rubrica.models.ensemble import Ensemble
from rubrica.models.family import NetworkFamily
from rubrica.models.linear import Linear
from rubrica.models.storage import Tensors, take_rows
from rubrica.predict.classifier import Classifier
from rubrica.scoring.calibration import fit_weights
from rubrica.scoring.task import Floats, Label, Rows, Targets
from rubrica.text.batching import pad_batch
from rubrica.text.vocab import PAD_ID, TokenIds, Vocab
from rubrica.vectors.word_vectors import Vectors

if TYPE_CHECKING:
    from rubrica.learning.replay import Replay
    from rubrica.networks.probe import Inside

CLOSE = 256  # texts that are looked at closely: enough for shares within 3 points, and a second of a GRU's time
REPLAYED = 40  # updates: at a sound step size a tenth of an epoch, and hundreds of texts
_SCORED = 1024  # held-out texts that a replay is judged by: the loss is known within 5 % or so
_BASELINE = 4000  # texts that a linear model is trained on, in a second


@dataclass(frozen=True)
class Sample:
    """Texts with labels that the model knows, and its answers.

    Args:
        split: Where they are from.
        rows: Their numbers in the split, from 0, (N,).
        texts: N of them.
        labels: As they are written.
        targets: The labels in numbers, see `Task.encode`.
        logits: The model's, (N, C).
        columns: Values of other columns of the data, by their names.
        certain: Whether the labels are certain, so that an answer is right or wrong.
    """

    split: str
    rows: Rows
    texts: list[str]
    labels: list[Label]
    targets: Targets
    logits: Floats
    columns: Mapping[str, Sequence[Label]] = field(default_factory=dict)
    certain: bool = True

    def __len__(self) -> int:
        return len(self.texts)

    def row(self, place: int, note: str = "") -> Row:
        """A text of the sample to show."""
        return Row(self.split, int(self.rows[place]) + 1, shorten(self.texts[place]), note)


@dataclass(frozen=True)
class Subject:
    """A model under examination.

    Args:
        model: The model.
        held: Texts that it did not learn; None where there are none.
        train: Texts that it learned; None where they are not at hand.
        vectors: What its word vectors started from, where that is at hand.
        data: What it was trained on, where that is at hand.
    """

    model: Classifier
    held: Sample | None
    train: Sample | None = None
    vectors: Vectors | None = None
    data: Dataset | None = None

    @property
    def seen(self) -> Sample:
        """The texts to read where it does not matter whether they were learned."""
        sample = self.held or self.train
        assert sample is not None  # a subject has one of them
        return sample

    @property
    def network(self) -> NetworkFamily | None:
        """The settings of the network among the members; None where none counts, or torch is missing."""
        model = self.model.config.model
        return model if isinstance(model, NetworkFamily) and self.weight > 0 and find_spec("torch") else None

    @property
    def weight(self) -> float:
        """What the first member's logits were multiplied by when the members were added; 1 where nobody knows."""
        kept = self.model.artifact.metrics.get("weights")
        weight = kept.get(self.model.config.model.name) if isinstance(kept, dict) else None
        return float(weight) if isinstance(weight, int | float) and weight >= 0 else 1.0

    @cached_property
    def ensemble(self) -> Ensemble:
        """The members."""
        return Ensemble(self.model.config, self.model.artifact.tensors)

    @cached_property
    def tensors(self) -> Tensors:
        """The weights as they were trained: a member's own weight is taken out of its last layer."""
        artifact = self.model.artifact
        scale, layer = self.weight or 1.0, artifact.config.model.last_layer
        return {
            name: tensor / np.float32(scale) if name in layer else tensor for name, tensor in artifact.tensors.items()
        }

    def encode(self, sample: Sample, most: int) -> TokenIds:
        """The ids of the first `most` texts of a sample."""
        return self.model.artifact.vocab.encode(sample.texts[:most], self.model.config.data.max_length)

    @cached_property
    def inside(self) -> "Inside | None":
        """What happens in the network while it reads a few texts; None without a network, or without words."""
        settings, sample = self.network, self.seen
        if settings is None:
            return None
        import rubrica.networks.probe as probe  # late: it imports torch

        tokens = self.encode(sample, CLOSE)
        rows = np.flatnonzero(tokens.lengths)
        if not len(rows):
            return None
        used, (tokens,) = in_use(self.model.artifact.vocab, [tokens])
        table = take_rows(self.tensors, "embedding.weight", used).astype(np.float64)
        network = probe.open_network(settings, self.tensors, table, self.model.task.num_classes)
        return probe.look_inside(
            network, self.model.task, *pad_batch(tokens, rows), sample.targets[rows], masked=settings.masks_padding
        )

    def replayed(self, factor: float) -> "Replay | None":
        """What more updates do with `factor` times the step size of the training; None where it cannot be tried."""
        if factor not in self._replays:
            self._replays[factor] = self._replay(factor)
        return self._replays[factor]

    @cached_property
    def _replays(self) -> "dict[float, Replay | None]":
        return {}

    def _replay(self, factor: float) -> "Replay | None":
        settings, config = self.network, self.model.config
        if settings is None or self.held is None or self.train is None or not isinstance(config.training, AdamTraining):
            return None
        from rubrica.learning.replay import replay  # late: they import torch
        from rubrica.networks.probe import open_network

        vocab = self.model.artifact.vocab
        used, tokens = in_use(vocab, [self.encode(self.train, len(self.train)), self.encode(self.held, _SCORED)])
        splits = [
            Split(ids, sample.targets[: len(ids)], sample.texts[: len(ids)])
            for ids, sample in zip(tokens, (self.train, self.held), strict=True)
        ]
        table = take_rows(self.tensors, "embedding.weight", used).astype(np.float32)
        network = open_network(settings, self.tensors, table, self.model.task.num_classes)
        unknown, lr = int(np.searchsorted(used, vocab.unknown_id)), factor * config.training.lr
        return replay(
            network, config, self.model.task, *splits, lr=lr, steps=REPLAYED if factor else 0, unknown=unknown
        )

    def replay_losses(self, factor: float) -> Floats | None:
        """The loss of each held-out text after more updates, (N,), once the logits are calibrated on these texts.

        Without this a change of sureness alone would count as learning. A factor of 0 leaves the network as it is.
        """
        found = self.replayed(factor)
        if found is None or self.held is None or not np.isfinite(found.logits).all():
            return None
        targets = self.held.targets[: len(found.logits)]
        weight = fit_weights(self.model.task, [found.logits], targets)[0]
        return self.model.task.losses(weight * found.logits, targets)

    @cached_property
    def baseline(self) -> Classifier | None:
        """A linear model of the training texts, or of some of them: what a model has to be better than."""
        if self.train is None:
            return None
        data = Dataset("train", {"train": Examples(self.train.texts[:_BASELINE], self.train.labels[:_BASELINE])},
                       ("text",), "label", self.model.task)  # fmt: skip
        return train_quietly(data)


def train_quietly(data: Dataset) -> Classifier:
    """A linear model of a few thousand texts, none held out."""
    from rubrica.learning.train import train_dataset  # late: most checks train nothing

    config = make_config(model=Linear().to_dict(), data={"validation_fraction": 0.0}, training={"storage": "float32"})
    return Classifier(train_dataset(data, None, config)[1])


def in_use(vocab: Vocab, tokens: Sequence[TokenIds]) -> tuple[Rows, list[TokenIds]]:
    """The ids that texts use, (U,), with padding and the unknown word; and the texts with their places among them."""
    used: NDArray[Any] = np.unique(np.concatenate([[PAD_ID, vocab.unknown_id], *(found.ids for found in tokens)]))
    places = [np.searchsorted(used, found.ids).astype(np.int32) for found in tokens]
    return used.astype(np.int64), [replace(f, ids=ids) for f, ids in zip(tokens, places, strict=True)]
