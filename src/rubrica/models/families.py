"""The dict of model families, whose keys `rubrica train --model NAME` takes; and families that are only read."""

from rubrica.models.bag import Bag
from rubrica.models.conv import Convolutional
from rubrica.models.disconnected import Disconnected
from rubrica.models.family import Family
from rubrica.models.fasttext import FastText
from rubrica.models.linear import Linear
from rubrica.models.recurrent import Recurrent

FAMILIES: dict[str, type[Family]] = {
    "bag": Bag,
    "linear": Linear,
    "cnn": Convolutional,
    "rnn": Recurrent,
    "gru": Recurrent,
    "lstm": Recurrent,
    "mingru": Recurrent,
    "drnn": Disconnected,
}

FOREIGN: dict[str, type[Family]] = {"fasttext": FastText}
"""Families whose models come from another program's file; `rubrica train` makes none of them."""

DEFAULT = "gru"
BASELINE = "bag"
"""What every other model is compared with, and what takes a network's place where time is short."""
SEARCHED = ("gru", "lstm", "linear", "bag")
"""What `rubrica tune` tries, in this order. On parts of train the other networks were behind the gru beside the linear
model, or take ten times as long; see docs/decisions.md."""
