"""Faults planted into sound trainings: how many does the doctor of models find and name, and what does it say of none?

Usage: python benchmarks/doctor_models.py [DATA ...]

Each fault is planted at three strengths: the weak one hardly harms, the strong one ruins the model. Thresholds of the
checks were chosen on trec6 and ag_news; lenta, reuters and sms_spam judge them. Texts are the sound samples of
`doctor.py`, drawn from train alone. Data sets that are named run alone; the rows of the others are kept.
"""

import contextlib
import logging
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch

import results
from doctor import CHOSEN_ON, JUDGED_ON, STRENGTHS, as_dataset, sound
from rubrica.data.dataset import Dataset, Examples
from rubrica.insight.model_doctor import examine_model
from rubrica.learning import network as training
from rubrica.learning.train import train_dataset
from rubrica.models.config import make_config
from rubrica.predict.classifier import Classifier
from rubrica.text.tokenizer import tokenize
from rubrica.vectors.word_vectors import Vectors

TRAIN, HELD, CLASSES = 1200, 500, 6  # texts, and classes: of more classes, no training on so few texts is sound
GRAVE = ("warning", "error")

BASE = make_config(
    model={"name": "gru", "hidden_size": 32, "embedding_dim": 32, "bidirectional": False, "with_linear": False},
    training={"epochs": 8, "batch_size": 32, "adversarial": 0.0, "storage": "float32"},
)


class Trained(NamedTuple):
    """A model, the data to examine it with, and the vectors that it started from."""

    model: Classifier
    data: Dataset
    vectors: Vectors | None = None


def read(name, seed=0):
    """A part of a sound sample of the data doctor's bench: its most frequent classes."""
    splits = sound(name, seed)
    counts = Counter(part for _, label in splits["train"] for part in as_parts(label))
    common = {label for label, _ in counts.most_common(CLASSES)}
    kept = {
        side: [(text, shown) for text, label in rows if (shown := of_these(label, common))]
        for side, rows in splits.items()
    }
    return replace(as_dataset({"train": kept["train"][:TRAIN], "test": kept["test"][:HELD]}), name=name)


def of_these(label, common):
    """The labels of a text that are among some; nothing where none is."""
    if isinstance(label, str):
        return label if label in common else None
    return tuple(part for part in label if part in common)


def as_parts(label):
    """The labels of a text."""
    return [label] if isinstance(label, str) else list(label)


def learn(data, *, vectors=None, plant=None, tables=None, shown=None, config=BASE):
    """Train with changed settings; `plant` changes the network before its first update."""

    def build(settings, table, classes, build=training.build_network):
        network = build(settings, table, classes)
        with torch.no_grad():
            plant(network)
        return network

    config = config.replace(**(tables or {}))
    with patch.object(training, "build_network", build) if plant else contextlib.nullcontext():
        artifact = train_dataset(data, vectors, config)[1]
    return Trained(Classifier(artifact), shown or data, vectors)


def changed(trained, **tensors):
    """The model with other tensors; a function makes each from what it was."""
    artifact = trained.model.artifact
    new = artifact.tensors | {name: change(artifact.tensors[name]) for name, change in tensors.items()}
    return trained._replace(model=Classifier(replace(artifact, tensors=new)))


def own_vectors(data, *, first=None, lowercase=True):
    """Vectors of the words of train, drawn at random; the word of rank `first` comes first."""
    counts = defaultdict(int)
    for text in data.splits["train"].texts:
        for word in tokenize(text, lowercase=lowercase):
            counts[word] += 1
    words = sorted(counts, key=lambda word: (-counts[word], word))
    if first is None:
        words = ["<none>", *words]
    else:
        words.insert(0, words.pop(first))
    draw = np.random.default_rng(0)
    return Vectors(words, draw.normal(scale=0.2, size=(len(words), 32)).astype(np.float32), "own")


def with_texts(data, change, split=None):
    """The data with changed texts, of one split or of all."""
    splits = {name: replace(part, texts=[change(i, text) for i, text in enumerate(part.texts)])
              if split in (None, name) else part for name, part in data.splits.items()}  # fmt: skip
    return replace(data, splits=splits)


UNMASKED = {"model": {"mask_padding": False}, "training": {"similar_lengths": False}}
RNN = {"model": {"name": "rnn"}}
KIM = make_config(
    model={"name": "cnn", "hidden_size": 32, "embedding_dim": 32, "kernel_sizes": [2, 3], "pooling": "max",
           "with_linear": False},
    training=BASE.training.to_dict(),
)  # fmt: skip


def unmasked(data, strength):
    pooling = ("max", "average", "last")[strength]
    return learn(
        data, tables={"model": {"mask_padding": False, "pooling": pooling}} | {"training": UNMASKED["training"]}
    )


def uniform_start(data, strength):
    high = (0.25, 0.5, 1.0)[strength]
    return learn(data, plant=lambda net: [p.uniform_(0, high) for p in net.cell.parameters()])


def large_steps(data, strength):
    return learn(data, tables={"training": {"lr": (0.1, 0.4, 2.0)[strength]}})


def small_steps(data, strength):
    return learn(data, tables={"training": {"lr": (5e-4, 2e-4, 5e-5)[strength]}})


def few_epochs(data, strength):
    return learn(data, tables={"training": {"epochs": (3, 2, 1)[strength], "lr": (2e-3, 1.5e-3, 1e-3)[strength]}})


def shared_id(data, strength):
    return learn(data, vectors=own_vectors(data, first=(50, 10, 0)[strength]), tables=UNMASKED)


def capitals(data, strength):
    vectors, draw = own_vectors(data), np.random.default_rng(0)
    share = (0.1, 0.3, 1.0)[strength]

    def raised(_, text):
        return " ".join(word.title() if draw.random() < share else word.lower() for word in text.split(" "))

    tables = {"data": {"lowercase": False}, "model": {"extend_vectors": False}}
    return learn(with_texts(data, raised), vectors=vectors, tables=tables)


def exploding(data, strength):
    return learn(data, tables=RNN, plant=lambda net: net.cell.weight_hh_l0.mul_((4, 8, 16)[strength]))


def vanishing(data, strength):
    """The recurrent weights are held small: after the training, since a training would let them grow."""
    scale = (0.3, 0.1, 0.03)[strength]
    return changed(learn(data, tables=RNN), **{"cell.weight_hh_l0": lambda weight: weight * np.float32(scale)})


def dead_filters(data, strength):
    share = (0.2, 0.5, 0.9)[strength]

    def kill(net):
        for conv in net.convs:
            conv.bias[: int(share * len(conv.bias))] = -20.0

    return learn(data, config=KIM, plant=kill)


def frozen_table(data, strength):
    steps = BASE.training.epochs * -(-len(data.splits["train"].texts) * 9 // 10 // 32)
    freeze = int((0.8, 0.95, 1.0)[strength] * steps) + 10 * (strength == 2)
    return learn(data, vectors=own_vectors(data), tables={"training": {"freeze_steps": freeze}})


def collapsed_table(data, strength):
    noise = (0.3, 0.1, 0.0)[strength]

    def alike(net):
        table = net.embedding.weight
        table.copy_(table.mul(noise) + table[2])

    return learn(data, plant=alike, tables={"training": {"lr": 1e-3}})


def constant(data, strength):
    def lift(bias):
        bias = bias.copy()
        bias[0] += (3.0, 8.0, 30.0)[strength]
        return bias

    return changed(learn(data), **{"head.bias": lift})


def by_heart(data, strength):
    count = (200, 80, 30)[strength]
    train = data.splits["train"]
    first = {part: i for i, label in reversed(list(enumerate(train.labels))) for part in as_parts(label)}
    rows = sorted({*first.values(), *range(count)}, key=lambda row: (row not in first.values(), row))[:count]
    small = Examples([train.texts[i] for i in rows], [train.labels[i] for i in rows])
    known = {part for label in small.labels for part in as_parts(label)}
    test = data.splits["test"]
    kept = [i for i, label in enumerate(test.labels) if set(as_parts(label)) <= known]
    small_data = replace(
        data, splits={"train": small, "test": Examples([test.texts[i] for i in kept], [test.labels[i] for i in kept])},
        task=replace(data.task, labels=tuple(label for label in data.task.labels if label in known)),
    )  # fmt: skip
    loose = {"epochs": 60, "label_smoothing": 0.0, "dropout": 0.0, "word_dropout": 0.0}
    return learn(small_data, tables={"training": loose, "data": {"validation_fraction": 0.0}})


def shuffled(data, strength):
    draw, share = np.random.default_rng(0), (0.7, 0.9, 1.0)[strength]
    train = data.splits["train"]
    places = np.flatnonzero(draw.random(len(train.labels)) < share)
    labels = list(train.labels)
    for place, other in zip(places.tolist(), draw.permutation(places).tolist(), strict=True):
        labels[place] = train.labels[other]
    return learn(replace(data, splits=data.splits | {"train": replace(train, labels=labels)}))


def too_sure(data, strength):
    scale = np.float32((3, 5, 10)[strength])
    return changed(learn(data), **{name: lambda tensor: tensor * scale for name in ("head.weight", "head.bias")})


def drifted(data, strength):
    """A share of the new texts is of another source."""
    share = (0.15, 0.4, 0.9)[strength]
    other = read("ag_news" if data.name != "ag_news" else "sms_spam").splits["train"].texts
    draw = np.random.default_rng(0)
    shown = with_texts(data, lambda i, text: other[i % len(other)] if draw.random() < share else text, "test")
    return learn(data, shown=shown)


def dense(data, strength):
    return learn(data, tables={"training": {"dense_updates": True, "batch_size": (64, 32, 16)[strength], "lr": 1e-2}})


class Plant(NamedTuple):
    """How a fault is planted, and the names that are right for it."""

    sow: Callable
    names: frozenset


def plant(sow, *names):
    """A fault and its names."""
    return Plant(sow, frozenset(names))


PLANTS = {
    "padding unmasked": plant(unmasked, "padding-read"),
    "start at U[0, s)": plant(uniform_start, "start-values", "saturated-units"),
    "steps too large": plant(large_steps, "learning-rate-high"),
    "steps too small": plant(small_steps, "learning-rate-low", "underfitting", "too-short"),
    "too few epochs": plant(few_epochs, "too-short", "underfitting", "learning-rate-low"),
    "id 0 is a word": plant(shared_id, "padding-is-word"),
    "capitals unknown": plant(capitals, "capitals-unknown"),
    "recurrent weights too large": plant(exploding, "exploding-gradient", "saturated-units"),
    "recurrent weights too small": plant(vanishing, "vanishing-gradient"),
    "dead filters": plant(dead_filters, "dead-units"),
    "word table frozen": plant(frozen_table, "embedding-still"),
    "word vectors alike": plant(collapsed_table, "embedding-collapsed"),
    "constant answer": plant(constant, "constant-answer"),
    "learned by heart": plant(by_heart, "overfitting"),
    "labels shuffled": plant(shuffled, "learns-nothing", "overfitting"),
    "logits too large": plant(too_sure, "miscalibrated"),
    "texts of another source": plant(drifted, "drift"),
    "absent words move": plant(dense, "absent-words-move"),
}


def seeded(seed, **changes):
    """Settings with a seed."""
    return {**changes, "training": changes.get("training", {}) | {"seed": seed}}


TWINS = {
    "gru": lambda data, seed: learn(data, tables=seeded(seed)),
    "rnn": lambda data, seed: learn(data, tables=seeded(seed, **RNN)),
    "cnn": lambda data, seed: learn(data, config=KIM, tables=seeded(seed)),
    "lstm": lambda data, seed: learn(data, tables=seeded(seed, model={"name": "lstm"})),
    "vectors": lambda data, seed: learn(
        data, vectors=own_vectors(data), tables=seeded(seed, training={"freeze_steps": 50})
    ),
    "default": lambda data, seed: learn(data, config=make_config(training={"seed": seed})),
    "bag": lambda data, seed: learn(data, config=make_config(model={"name": "bag"}, training={"seed": seed})),
    "linear": lambda data, seed: learn(data, config=make_config(model={"name": "linear"}, training={"seed": seed})),
}


def examine(sow, *arguments):
    """Train and examine: the kinds of what was found by severity, the score, and the seconds."""
    began, trained = time.perf_counter(), sow(*arguments)
    found = examine_model(trained.model, trained.data, vectors=trained.vectors)
    kinds = {severity: sorted({f.kind for f in found if f.severity == severity}) for severity in ("note", *GRAVE)}
    test = trained.model.artifact.metrics["test"]
    return kinds | {"score": test.get("accuracy", test.get("micro_f1")), "seconds": time.perf_counter() - began}


def run(name):
    """Plant all faults into the trainings on one data set; yields a row each."""
    data = read(name)
    for fault, (sow, names) in PLANTS.items():
        for strength, title in enumerate(STRENGTHS):
            row = {"data": name, "fault": fault, "strength": title} | examine(sow, data, strength)
            yield row | {"found": bool(names & {kind for severity in GRAVE for kind in row[severity]})}
    for twin, sow in TWINS.items():
        for seed in range(2):
            row = {"data": name, "fault": None, "twin": twin, "seed": seed} | examine(sow, read(name, seed + 1), seed)
            yield row | {"alarm": bool(row["warning"] or row["error"])}


def rates(rows):
    """The share of faults found by strength, and of twins of which something was said."""
    shares = {s: [row["found"] for row in rows if row.get("strength") == s] for s in STRENGTHS}
    shares["false_alarms"] = [row["alarm"] for row in rows if row["fault"] is None]
    return {name: float(np.mean(hits)) if hits else None for name, hits in shares.items()}


def show(row):
    """A line on stderr about a training."""
    what = f"{row['fault']}, {row['strength']}" if row["fault"] else f"twin {row['twin']} {row['seed']}"
    mark = "MISSED " if row.get("found") is False else "ALARM " if row.get("alarm") else ""
    found = " ".join([*row["error"], *map("({})".format, row["warning"])])
    print(
        f"{row['data']}: {what}: {mark}{found} {row['score']:.3f} {row['seconds']:.1f} s", file=sys.stderr, flush=True
    )


def main():
    logging.getLogger("rubrica").setLevel(logging.ERROR)
    names = sys.argv[1:] or [*CHOSEN_ON, *JUDGED_ON]
    rows = [row for row in results.load_result("doctor_models").get("rows", []) if row["data"] not in names]
    for name in names:
        for row in run(name):
            rows.append(row)
            show(row)
        results.save_result("doctor_models", {**summary(rows), "rows": rows})
    here = sorted({row["data"] for row in rows})
    print(f"{'fault':34}{''.join(f'{s:>10}' for s in STRENGTHS)}   of {len(here)} data sets", file=sys.stderr)
    for fault, counts in summary(rows)["faults"].items():
        print(f"{fault:34}{''.join(f'{counts[s]:10}' for s in STRENGTHS)}", file=sys.stderr)
    print({side: summary(rows)[side] for side in ("chosen", "judged")}, file=sys.stderr)


def summary(rows):
    """How many faults were found: shares of the data sets that choose and that judge, and a count of each fault."""
    planted = [row for row in rows if row["fault"]]
    by_fault = {
        fault: {
            s: sum(row["found"] for row in planted if (row["fault"], row["strength"]) == (fault, s)) for s in STRENGTHS
        }
        for fault in PLANTS
    }
    sides = {"chosen": CHOSEN_ON, "judged": JUDGED_ON}
    return {
        **{side: rates([row for row in rows if row["data"] in members]) for side, members in sides.items()},
        "faults": by_fault,
    }


if __name__ == "__main__":
    main()
