"""Whether the tokens that explain an answer are the ones it hangs on: AG News, lenta, five seeds of the deletions.

Claim: a score falls further without the strongest fifth of a text's tokens than without equally many random tokens
(the mean of five draws), on at least 95 % of test texts. Each text has at least five tokens.

A score is what is explained: the logit of the answer, and of a fastText model the logarithm of its probability. Nothing
is trained or chosen on these texts. Each seed draws new texts, and their random tokens.
`lid.176.ftz` is fastText's own model of 176 languages, quantised, with hierarchical softmax; it answers which language
the texts are in.

    python benchmarks/explanations.py ../shared/data/ag_news ../shared/data/lenta_headlines_ru
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

import rubrica
from results import save_result
from rubrica import fasttext
from rubrica.data.dataset import read_dataset
from rubrica.insight.explanations.explain import explain_text
from rubrica.insight.explanations.reading import Reader

SEEDS = (0, 1, 2, 3, 4)
TEXTS = 100  # of the test split, drawn for each seed
GRADIENTS = 20  # of them, where gradients take some 0.2 s a text
DRAWS = 5
SHARE = 0.2
LEAST = 5  # tokens of a text
LID = Path("../shared/models/lid.176.ftz")
MODELS = {
    "bag": {"model": {"name": "bag"}},
    "linear": {"model": {"name": "linear"}},
    "gru, alone": {"model": {"name": "gru", "with_linear": False}},
    "default": {},
}
METHODS = {"gru, alone": (None, "gradients"), "default": (None, "gradients", "leave-one-out")}


def train_fasttext(dataset, folder):
    """A model of words, bigrams and characters, as `fasttext.train_supervised` makes it."""
    lines = folder / "train.txt"
    train = dataset.splits["train"]
    names = {label: f"__label__{i}" for i, label in enumerate(dataset.task.labels)}
    pairs = zip(train.texts, train.labels, strict=True)
    lines.write_text("".join(f"{names[label]} {text.lower()}\n" for text, label in pairs), encoding="utf-8")
    settings = {"wordNgrams": 2, "minn": 2, "maxn": 4, "dim": 16, "bucket": 200_000, "epoch": 5, "lr": 0.5}
    fasttext.train_supervised(str(lines), **settings).save_model(str(folder / "model.bin"))
    return rubrica.load(folder / "model.bin")


def falls(reader, text, method, draw):
    """How far the score falls without the strongest tokens, and without drawn ones; None of a short text."""
    reading = reader.read(text)
    read = reading.limit
    if read < LEAST:
        return None
    found = explain_text(reader, text, method=method)
    reason = found.reasons[0]
    count = max(1, round(SHARE * read))
    kept = np.ones((1 + DRAWS, len(reading.tokens)), bool)
    kept[0, np.argsort(-reason.shares[:read], kind="stable")[:count]] = False
    for row in kept[1:]:
        row[draw.choice(read, count, replace=False)] = False
    label = found.labels.index(reason.label)
    whole = reading.logits()[0, label]
    left = reading.logits(kept)[:, label]
    return float(whole - left[0]), float(whole - left[1:].mean())


def measure(model, texts, method, seed):
    """The share of texts whose score falls further, and the mean falls."""
    draw, reader = np.random.default_rng(seed), Reader(model.artifact)
    pairs = [pair for text in texts if (pair := falls(reader, text, method, draw)) is not None]
    top, random = np.array(pairs).T
    return {
        "texts": len(pairs),
        "further": float((top > random).mean()),
        "fall": float(top.mean()),
        "fall_at_random": float(random.mean()),
    }


def models_of(dataset, folder):
    """Each model by its name, trained on the data."""
    for name, tables in MODELS.items():
        yield name, rubrica.train(dataset, config=rubrica.make_config(**tables))
    yield "fastText, bigrams and characters", train_fasttext(dataset, folder)
    if LID.is_file():
        yield "lid.176.ftz", rubrica.load(LID)


def main():
    rows = []
    for data in sys.argv[1:]:
        dataset, runs = read_dataset(data), {}
        test = np.array(dataset.splits["test"].texts, object)
        order = np.random.default_rng(0).permutation(len(test))
        with tempfile.TemporaryDirectory() as folder:
            for name, model in models_of(dataset, Path(folder)):
                for method in METHODS.get(name, (None,)):
                    for seed in SEEDS:
                        count = GRADIENTS if method == "gradients" else TEXTS
                        texts = test[order[count * seed : count * (seed + 1)]].tolist()
                        runs.setdefault((name, method or "by default"), []).append(measure(model, texts, method, seed))
                    print(
                        Path(data).name, name, method, runs[name, method or "by default"], file=sys.stderr, flush=True
                    )
        for (name, method), found in runs.items():
            row = {"data": Path(data).name, "model": name, "method": method, "seeds": len(found)}
            row["texts"] = sum(run["texts"] for run in found)
            row["further"] = [run["further"] for run in found]
            for key in ("further", "fall", "fall_at_random"):
                row[f"{key}_mean"] = float(np.mean([run[key] for run in found]))
            rows.append(row)
        save_result("explanations", {"deleted": SHARE, "draws": DRAWS, "least_tokens": LEAST, "rows": rows})
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
