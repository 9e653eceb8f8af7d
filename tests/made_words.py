"""Texts whose words tell the label, and words that no labelled text has: what is learned beside labels."""

import numpy as np

from rubrica.data.dataset import Dataset, Examples
from rubrica.models.config import make_config
from rubrica.scoring.tasks import task_of

KNOWN = {"sport": ["goal", "match", "cup"], "food": ["soup", "pan", "salt"]}
NEW = {"sport": ["referee", "striker"], "food": ["ladle", "oven"]}  # words that no labelled text has
SETTINGS = {"linear": {}, "bag": {"num_buckets": 500}}


def texts_of(words, count, seed):
    """Texts of four words of a label each, and the labels."""
    draw = np.random.default_rng(seed)
    rows = [(" ".join(draw.choice(words[label], 4)), label) for label in draw.choice(sorted(words), count)]
    return [text for text, _ in rows], [str(label) for _, label in rows]


def labelled(several=False):
    """A data set of train, of known words."""
    texts, labels = texts_of(KNOWN, 400, 0)
    labels = [(label,) for label in labels] if several else labels
    return Dataset("made", {"train": Examples(texts, labels)}, (), "", task_of(sorted(KNOWN), lists=several))


def config_of(name="linear", **settings):
    """Settings that train at once."""
    return make_config(model={"name": name, **SETTINGS[name], **settings}, training={"seed": 3})


def same(one, other):
    """Whether two models have the same weights to the bit."""
    return all(one.tensors[name].tobytes() == other.tensors[name].tobytes() for name in one.tensors | other.tensors)
