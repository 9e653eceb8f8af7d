"""Models whose answers are explained in tests, and what an explanation must add up to."""

import numpy as np
from msgspec import structs

from made_fasttext import made_fasttext
from made_models import LABELS, WORDS, make_bag, random_artifact
from rubrica.artifact.fasttext_model import to_artifact
from rubrica.artifact.folder import Artifact
from rubrica.models.config import make_config
from rubrica.scoring.tasks import task_of
from rubrica.text.ngrams import find_runs
from rubrica.text.vocab import Vocab
from settings import shapes_of

TEXTS = [
    "a b c", "", "p", " \n ", "a b a b a", "a " * 70 + "b c", "unknown words only", "c b-a. d e,f g? B A!",
    "\0", "é 😀 a", "e\u0301 A\u030a b", "İstanbul İİ a", "日本語 の テキスト a", "\ud800 a \udc00",
    "한국어 \u1112\u1161\u11ab a",
]  # fmt: skip
"""Short and long, strange and empty."""


def make_linear(labels=LABELS, *, lists=False, seed=0, lowercase=True, **model):
    """A linear model that knows half of the features of the texts."""
    config = make_config(model={"name": "linear", **model}, data={"lowercase": lowercase}, training={"batch_size": 32})
    draw = np.random.default_rng(seed)
    runs = [find_runs(text, config.model.ngrams(config.data)) for text in [*TEXTS, " ".join(WORDS)]]
    keys = np.unique(np.concatenate([key for run in runs for key in (*run.words, *(k for k, _ in run.inside))]))
    keys = keys[draw.random(len(keys)) < 0.5]
    task = task_of(list(labels), lists=lists)
    shapes = shapes_of(config, 2, len(labels), len(keys), lists=lists)
    tensors = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    tensors |= {"linear.keys": keys, "linear.idf": 1 + abs(tensors["linear.idf"])}
    return Artifact(config, task, Vocab(["<pad>", "<unk>"], 1, lowercase), tensors)


def make_both(*, lists=False, max_length=128, split_unspaced=False, seed=0, **linear):
    """A network and a linear model, as a training without a flag makes them."""
    alone = make_linear(lists=lists, seed=seed, **linear)
    model = {"name": "gru", "hidden_size": 6, "embedding_dim": 5}
    data = {"lowercase": alone.config.data.lowercase, "max_length": max_length, "split_unspaced": split_unspaced}
    beside = alone.config.model.to_dict()
    config = make_config(model=model, data=data, beside=beside, training={"batch_size": 3})
    network = make_config(model=model | {"with_linear": False}, data=data, training={"batch_size": 3})
    draw = np.random.default_rng(seed)
    shapes = shapes_of(network, len(WORDS), len(LABELS), lists=lists)
    tensors = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    vocab = Vocab(WORDS, 1, config.data.lowercase, split_unspaced)
    return Artifact(config, alone.task, vocab, tensors | alone.tensors)


def make_fasttext(loss="softmax", **settings):
    """A fastText model of five labels that knows some of the words of the texts."""
    words = [word.encode() for word in ("a", "b", "</s>", "words", "\u00e9", "wordy")]
    made, tensors = made_fasttext(labels=5, words=len(words), loss=loss, embedding_dim=4, **settings)
    labels = [f"__label__{i}".encode() for i in range(5)]
    tensors["dictionary.bytes"] = np.frombuffer(b"".join(words + labels), np.uint8)
    tensors["dictionary.ends"] = np.cumsum([len(name) for name in words + labels])
    return to_artifact(structs.replace(made, num_bytes=len(tensors["dictionary.bytes"])), tensors, "made")


BAGS = {
    "words": lambda: make_bag(1),
    "bigrams": lambda: make_bag(2),
    "fourgrams": lambda: make_bag(4),
    "characters": lambda: make_bag(2, 50, "model.max_n=4", "model.min_n=2"),
    "several": lambda: random_artifact("bag", lists=True),
}
LINEAR = {
    "linear": make_linear,
    "two classes": lambda: make_linear(["no", "yes"]),
    "several labels": lambda: make_linear(lists=True),
    "two of several": lambda: make_linear(["no", "yes"], lists=True),
    "words alone": lambda: make_linear(word_ngrams=1, char_ngrams=0),
    "long runs": lambda: make_linear(word_ngrams=4, char_ngrams=7),
    "capitals": lambda: make_linear(keep_case=True),
    "as written": lambda: make_linear(lowercase=False),
}
FASTTEXT = {
    "softmax": make_fasttext,
    "words alone": lambda: make_fasttext(max_n=0, min_n=0, word_ngrams=1),
    "long runs": lambda: make_fasttext(word_ngrams=5, num_buckets=40),
    "one against all": lambda: make_fasttext("ova"),
    "negatives": lambda: make_fasttext("ns", word_ngrams=1),
    "quantised": lambda: make_fasttext(dsub=2, output=True, norms=True),
    "pruned": lambda: make_fasttext(dsub=2, norms=True, pruned=True, word_ngrams=3),
}
EXACT = {
    f"{family}, {name}": made
    for family, kinds in (("bag", BAGS), ("linear", LINEAR), ("fastText", FASTTEXT))
    for name, made in kinds.items()
}
