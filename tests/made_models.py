"""Models made for a test: networks with random weights, a bag, and what a training would have left beside them."""

from dataclasses import replace

import numpy as np
import torch

from made_networks import BOTH_WAYS, NETWORKS, NOT_LAST
from rubrica.artifact.folder import FILES, Artifact, _write_json, save_artifact
from rubrica.files import sha256_of
from rubrica.learning.train import train_dataset
from rubrica.models.config import make_config
from rubrica.models.storage import store_table
from rubrica.networks.networks import build_network
from rubrica.predict.classifier import Classifier
from rubrica.scoring.tasks import task_of
from rubrica.text.vocab import Vocab
from settings import changed, shapes_of

LABELS = ["World", "Sports", "Business"]
WORDS = ["<pad>", "<unk>", *"abcdefghijklmnop"]
CASES = [(name, pooling, masked, both) for name, pooling, both in BOTH_WAYS for masked in (True, False)]
TEXTS = ["a b c", "", "p", "a " * 70, "unknown words only", "c b a . d e f g h", "\0", "é 😀 a"]


def make(name, pooling="max", masked=True, both=False, init="torch"):
    torch.manual_seed(0)
    wanted = [*NETWORKS[name], f"model.pooling={pooling}", f"model.mask_padding={str(masked).lower()}"]
    wanted += [
        "model.hidden_size=6",
        "model.embedding_dim=5",
        f"model.init={init}",
        f"model.bidirectional={str(both).lower()}",
        "training.batch_size=3",
    ]
    config = changed(make_config(), wanted)
    model = build_network(config.model, torch.randn(len(WORDS), 5), len(LABELS))
    if name == "cnn":
        for norm in model.norms:
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    model.eval()
    tensors = {k: v.numpy() for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    return Classifier(Artifact(config, task_of(LABELS, lists=False), Vocab(WORDS, 1, True), tensors)), model


def learn(data, config, vectors=None, out=None):
    """A model as `rubrica.train` makes it, without the bag that it would be compared with."""
    artifact = train_dataset(data, vectors, config)[1]
    if out is not None:
        save_artifact(artifact, out)
    return Classifier(artifact)


def make_bag(word_ngrams, num_buckets=13, *more):
    settings = [*more, f"model.word_ngrams={word_ngrams}", f"model.num_buckets={num_buckets}", "model.embedding_dim=5"]
    config = changed(make_config(), ["model.name=bag", "training.batch_size=64", *settings])
    draw = np.random.default_rng(4)
    shapes = shapes_of(config, len(WORDS), len(LABELS))
    tensors = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    if "head.counts" in tensors:
        tensors["head.counts"] = draw.integers(1, 9, len(LABELS)).astype(np.uint32)
    return Artifact(config, task_of(LABELS, lists=False), Vocab(WORDS, 1, True), tensors)


ODD_LABELS = ["World", "Наука", '"quoted", <b>']
ODD_TASK = task_of(ODD_LABELS, lists=False)


def make_artifact(name="gru", **settings):
    pooling = "average" if name in NOT_LAST else "last"
    config = changed(
        make_config(), [*NETWORKS.get(name, [f"model.name={name}"]), f"model.pooling={pooling}", "model.hidden_size=5"]
    )
    config = changed(config, [f"model.embedding_dim={settings.get('dim', 3)}", "training.batch_size=32"])
    vocab = Vocab(["<pad>", "<unk>", "слово", "a", "\u0085"], 1, True, True)
    draw = np.random.default_rng(0)
    shapes = shapes_of(config, len(vocab.words), len(ODD_LABELS))
    tensors = {key: draw.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    if name == "linear":
        tensors["linear.keys"] = np.array([2**32 - 1], np.uint32)
    return Artifact(config, ODD_TASK, vocab, tensors, {"train_texts": 3}, [{"step": 1, "loss": 0.5}], "somewhere")


def random_artifact(name, *, lists):
    """A model of a family by its defaults, a network with a linear model beside it."""
    model = {"name": name} | ({"num_buckets": 99} if name == "bag" else {})
    config = make_config(model=model, data={"lowercase": True}, training={"batch_size": 32})
    task = task_of(ODD_LABELS, lists=lists)
    task = task.tuned([(np.zeros((1, 3), np.float32), np.array([[1, 0, 1]], np.uint8))]) if lists else task
    vocab = Vocab(["<pad>", "<unk>", "слово", "a", "\u0085"], 1, True, True)
    draw = np.random.default_rng(0)
    shapes = shapes_of(config, len(vocab.words), len(ODD_LABELS), 7, lists=lists)
    tensors = {key: draw.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
    tensors |= {key: abs(tensors[key]) for key in tensors if key.endswith("running_var")}
    if "linear.keys" in tensors:
        tensors["linear.keys"] = np.sort(draw.choice(2**32, 7, replace=False).astype(np.uint32))
    return Artifact(config, task, vocab, tensors, {"train_texts": 3}, [{"step": 1, "loss": 0.5}])


OF_EACH_KIND = {
    "bag": lambda: make_bag(2),
    "several": lambda: random_artifact("bag", lists=True),
    "linear": lambda: random_artifact("linear", lists=True),
    "gru": lambda: random_artifact("gru", lists=False),
    "cnn": lambda: random_artifact("cnn", lists=True),
}
"""What makes a small model, for each kind of tensors and labels."""


def store_embedding(artifact, storage):
    tensors = dict(artifact.tensors)
    stored = store_table(tensors, "embedding.weight", storage)
    return replace(artifact, tensors=tensors | stored, storage=storage)


def resign(folder):
    """Write the manifest anew, as someone would who changed the folder on purpose."""
    _write_json(folder / "manifest.json", {name: sha256_of(folder / name) for name in FILES})
