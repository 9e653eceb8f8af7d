"""The settings that do not depend on the family of the model: how texts are read, and the three ways of training.

Each family names the way that it is trained in: `AdamTraining` for networks, `SgdTraining` for a bag, `DescentTraining`
for a linear model. A field means one thing in each.
"""

from typing import Annotated, ClassVar, Literal, Self

from msgspec import Meta, structs

from rubrica.config.ranges import Between, OneOf, Range, Times
from rubrica.config.schema import Count, Settings, Share

MANY = 20_000
"""Texts of train from which on an update takes more texts, and learns some of them less often."""

Storage = Literal["float32", "bfloat16", "int8", "int4"]
"""What the numbers of a table are rounded to, see `models/storage.py`."""


class DataSettings(Settings, frozen=True, kw_only=True):
    """From texts to ids."""

    section: ClassVar[str] = "data"
    searched: ClassVar[dict[str, Range]] = {"max_length": Between(64, 512, log=True), "min_count": Between(1, 4)}

    lowercase: bool | Literal["auto"] = "auto"
    """Lower-case a text before it is split. "auto" lower-cases unless the given vectors know more of train's tokens as
    they are written, see `vectors/case.py`. The seminar kept the case, and its vectors know no capitals."""
    split_unspaced: bool | Literal["auto"] = "auto"
    """Make each character of a script without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) a token; else a sentence is
    one token. "auto" does, unless given vectors know no larger share of train's tokens then, see `vectors/case.py`.
    A linear model does not read tokens; it has its own n-grams of characters."""
    max_length: Annotated[int, Meta(ge=1, le=1 << 20)] = 128
    """How many tokens of a text are read, from its start."""
    min_count: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 2
    """A word that occurs less often in train is read as an unknown word, whose vector would otherwise never train.
    Word vectors bring their own vocabulary: with them the setting has no effect."""
    validation_fraction: Share = 0.1
    """Share of train that is held out, per class, when the data has no validation split; 2,000 texts at most."""


class Training(Settings, frozen=True, kw_only=True):
    """What every way of training has."""

    section: ClassVar[str] = "training"

    epochs: Annotated[int, Meta(ge=0, le=100_000)] = 0
    """Passes over train; 0 chooses by the amount of text, see `learning/budget.py`."""
    max_steps: Count = 0
    """Most updates; 0 sets no limit. The step size falls to 0 with the last one, and the held-out texts are not learned
    in the end. A training in a given time chooses the number itself."""
    batch_size: Annotated[int, Meta(ge=0, le=1 << 20)] = 0
    """Texts of one update; 0 chooses by the amount of text, see `learning/budget.py`."""
    class_weight: Literal["none", "balanced"] = "none"
    """"none" counts every text alike. "balanced" counts every class alike: a text counts n / (C * texts of its class),
    as in scikit-learn."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """Start of every random draw: weights, order, the validation split."""
    storage: Storage = "int8"
    """What the tables of the trained model are rounded to before it is scored and saved."""

    needs_torch: ClassVar[bool] = False
    has_steps: ClassVar[bool] = True
    """Whether fewer updates make a complete training, with a step size that falls to 0."""
    least_steps: ClassVar[int] = 0
    """Fewer updates are not worth their time; 0 always makes an epoch, however little time there is."""

    def choose_epochs(
        self, num_texts: int, batch_size: int, num_classes: int, compared: int, *, can_read: bool = False
    ) -> int:
        """How many epochs a data set of this size needs. Source of the numbers: docs/decisions.md.

        A text is `compared` with so many rows of the head: one for each class, or fewer where a tree finds the class.
        With `can_read` a network starts at a layer that foresees words.
        """
        raise NotImplementedError

    def choose_rest(self, num_texts: int, num_classes: int, compared: int, *, beside: bool = False) -> Self:
        """The settings with the numbers that are left open besides epochs and batch size; the epochs are chosen.

        Whether a linear model stands `beside` the one that is trained.
        """
        return self

    def thawed(self) -> Self:
        """The settings for a table that trains from the first update on."""
        return self


class AdamTraining(Training, frozen=True, kw_only=True):
    """The loop of `learning/loop.py`, for networks."""

    searched: ClassVar[dict[str, Range]] = {
        "batch_size": Times(0.5, 2),  # before the epochs, which follow from it
        "epochs": Times(0.5, 2),
        "lr": Between(3e-3, 2e-2, log=True),
        "label_smoothing": Between(0.0, 0.15),
        "word_dropout": Between(0.0, 0.4),
        "dropout": Between(0.0, 0.3),
        "adversarial": OneOf((0.0, 1.5, 3.0)),  # 0 takes half the time
        "freeze_steps": OneOf((0, 300, 800)),
    }

    similar_lengths: bool = True
    """Batches hold texts of similar length, in a random order. Else texts are drawn at random, and half of a batch is
    padding."""
    dense_updates: bool = False
    """Adam moves every row of the embedding table in every update, as the seminar's did; else only the batch's rows."""
    lr: Annotated[float, Meta(gt=0, le=1e6)] = 8e-3
    """Adam's largest step size."""
    warmup: Share = 0.05
    """Share of all updates over which the step size rises from 0."""
    decay: Literal["none", "linear"] = "linear"
    """Whether the step size stays, or falls to 0 with the last update."""
    label_smoothing: Share = 0.05
    """Share of a target that is spread over all classes, so that no text is learned by heart."""
    word_dropout: Share = 0.2
    """Share of the words that an epoch reads as unknown words, drawn anew for each epoch."""
    dropout: Share = 0.05
    """Share of the features that an update sets to zero before the head."""
    adversarial: Annotated[float, Meta(ge=0, le=1e6)] = 1.5
    """A batch is learned a second time with its word vectors moved by this L2 distance, taken over all of them, to
    where the loss is higher. It takes twice the time; 0 leaves it out. A frozen table's vectors are not moved."""
    adversarial_every: Count = 0
    """How often it is: every batch with 1, every third one with 3. 0 chooses 1; from 20,000 texts on
    3, where a linear model stands beside the network."""
    read_seldom: Share | Literal["auto"] = "auto"
    """The share of the texts that the network reads in one epoch of three, where a linear model stands beside it: the
    texts that the linear model is surest of. "auto" is 0, and from 20,000 texts on 0.75."""
    max_grad_norm: Annotated[float, Meta(gt=0, le=1e30)] = 1.0
    """Longer gradients are scaled down to this L2 norm."""
    freeze_steps: Count = 300
    """A table that starts from given vectors does not train in this many first updates."""
    freeze_epochs: Count = 0
    """The same in epochs, in place of freeze_steps; 0 leaves it to freeze_steps."""
    patience: Count = 0
    """Stop after this many epochs without a better validation loss; 0 never stops early."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: an accelerator if torch sees one."""

    needs_torch: ClassVar[bool] = True
    least_steps: ClassVar[int] = 200

    def choose_epochs(
        self, num_texts: int, batch_size: int, num_classes: int, compared: int, *, can_read: bool = False
    ) -> int:
        """Chooses the number of epochs that gives about 2,000 updates, or 1,000 to a layer that `can_read`; 3 to 10."""
        updates = 1000 if can_read else 2000
        return max(3, min(10, round(updates * batch_size / num_texts)))

    def choose_rest(self, num_texts: int, num_classes: int, compared: int, *, beside: bool = False) -> Self:
        every, share = (3, 0.75) if beside and num_texts >= MANY else (1, 0.0)
        seldom = share if self.read_seldom == "auto" else self.read_seldom
        return structs.replace(self, adversarial_every=self.adversarial_every or every, read_seldom=seldom)

    def thawed(self) -> Self:
        return structs.replace(self, freeze_steps=0, freeze_epochs=0)


class SgdTraining(Training, frozen=True, kw_only=True):
    """Plain gradient descent on a bag of words and n-grams, see `kernels/bag.py`."""

    searched: ClassVar[dict[str, Range]] = {
        "epochs": Times(0.5, 2),
        "lr": Times(0.25, 4),
        "label_smoothing": Between(0.0, 0.2),
    }

    batch_size: Annotated[int, Meta(ge=0, le=1 << 20)] = 64
    """Texts whose rows move together."""
    lr: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    """Step size at the start; it falls to 0 with the last text. 0 chooses by the number of classes and their texts."""
    label_smoothing: Share = 0.1
    """Share of a target that is spread over all classes; without it five epochs learn the texts by heart. It has no
    effect where a tree finds the class (model.loss "hs")."""
    storage: Storage = "float32"
    """The rows of a bag are read in place."""

    def choose_epochs(
        self, num_texts: int, batch_size: int, num_classes: int, compared: int, *, can_read: bool = False
    ) -> int:
        """Chooses the number of epochs that reads about 200,000 texts, from 5 to 50; fewer above 600 classes.

        A text takes as long as it has classes to be compared with. Each class is read about 75 times at least where a
        tree finds it; elsewhere 50 times, unless it takes more than 8 epochs.
        """
        by_class = 75 * num_classes / num_texts if compared < num_classes else min(8, 50 * num_classes / num_texts)
        return max(5, min(50, round(max(by_class, 200_000 / num_texts * min(1, 600 / compared)))))

    def choose_rest(self, num_texts: int, num_classes: int, compared: int, *, beside: bool = False) -> Self:
        """Chooses a step size of 0.5 up to 150 classes; of 0.5 to 4 above, where a class has under 1,000 updates.

        An update moves the row of its text's class by a share of `lr` and hardly moves the other classes, so few
        updates of a class have to be long. Where a tree finds the class it is 1: an update moves each decision on the
        way.
        """
        if compared < num_classes:
            return structs.replace(self, lr=self.lr or 1.0)
        updates = self.epochs * num_texts / num_classes
        return structs.replace(self, lr=self.lr or 0.5 * max(1, min(8, num_classes / 150, 1000 / updates)))


class DescentTraining(Training, frozen=True, kw_only=True):
    """Dual coordinate descent on a linear model, see `kernels/linear.py`."""

    epochs: Annotated[int, Meta(ge=0, le=100_000)] = 20
    """Most passes over train; the descent mostly ends after 5 to 10."""

    has_steps: ClassVar[bool] = False

    def choose_epochs(
        self, num_texts: int, batch_size: int, num_classes: int, compared: int, *, can_read: bool = False
    ) -> int:
        return 20
