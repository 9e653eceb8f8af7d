"""The long proof: a grid of fastText's models, and its lid.176, on twenty thousand lines, answer for answer."""

import random
from itertools import chain, product

import numpy as np
import pytest

from fasttext_models import ODD, make_lines, train
from rubrica.artifact.fasttext_file import read_fasttext
from rubrica.artifact.fasttext_model import label_names
from rubrica.fasttext import load_model
from rubrica.kernels.fasttext import Engine
from rubrica.kernels.fasttext_rules import pack

pytestmark = pytest.mark.slow
fasttext = pytest.importorskip("fasttext", reason="fastText is not installed")
SOURCES = {"ag_news": 7000, "lenta_headlines_ru": 7000, "reuters21578": 3000}  # and 3,000 made lines

PRUNED = {"cutoff": 1000, "qnorm": True}
STORED = [
    None, {}, {"qnorm": True}, {"qnorm": True, "qout": True, "dsub": 4}, PRUNED, PRUNED | {"retrain": True, "dsub": 3},
    {"cutoff": 260, "qnorm": False},
]  # fmt: skip
GRID = [
    {"loss": loss, "wordNgrams": ngrams, "dim": dim, "quantise": stored, "several": several}
    | ({"minn": 2, "maxn": 4} if characters else {})
    for (loss, characters), (i, stored) in product(product(["softmax", "hs", "ns", "ova"], [0, 1]), enumerate(STORED))
    for ngrams, dim, several in [((1, 2, 3)[i % 3], (10, 16, 25)[(i + characters) % 3], bool(i % 2)),
                                 ((2, 3, 1)[i % 3], (7, 32, 100)[(i + characters) % 3], bool((i + 1) % 2))]
]  # fmt: skip


def named(settings):
    stored = settings["quantise"]
    how = "whole" if stored is None else "-".join(["quantised", *(f"{name}={stored[name]}" for name in stored)])
    others = [f"{name}={value}" for name, value in settings.items() if name not in ("loss", "quantise")]
    return "-".join([settings["loss"], how, *others])


@pytest.fixture(scope="module")
def records(shared):
    """Texts of three data sets, each with a tuple of labels without spaces."""
    pytest.importorskip("pyarrow", reason="pyarrow reads the data")
    from rubrica.data.dataset import read_dataset

    found = {}
    for name, count in SOURCES.items():
        train_part = read_dataset(shared / "data" / name).splits["train"]
        labels = [(label,) if isinstance(label, str) else label for label in train_part.labels[:count]]
        texts = [" ".join(text.split()) for text in train_part.texts[:count]]
        found[name] = [(text, [part.replace(" ", "-") for part in of]) for text, of in zip(texts, labels, strict=True)]
    return found


@pytest.fixture(scope="module")
def lines(records):
    """20,000 lines: real ones, odd ones, one of 1 MB, and bytes that are no UTF-8."""
    texts = [text.encode() for part in records.values() for text, _ in part]
    odd = [line.encode() for line in ODD if "\n" not in line]
    draw = random.Random(3)
    pieces = [b"\xff", b"\xc3", b"\xa9", b"\x80", b"\xf0\x9f", b"\x99\x82", b"\0", b"\t", b" "]
    pieces += "goal bank </s> 🙂 мяч 日本 e\u0301 a\u2003b \u200b __label__World __label__ ß".encode().split()
    broken = [b"".join(draw.choices(pieces, k=draw.randrange(30))) for _ in range(1500)]
    made = [line.encode() for line in make_lines(1500 - 1 - len(odd), 3)]
    found = [*texts, *odd, *broken, *made, b"goal bank " * 100_000]
    assert len(found) == 20_000
    return found


def texts_to_train(records, settings):
    """The beginnings of 900 texts of all data sets, and 300 made ones, so that many words of a line are known."""
    several = settings["several"]
    found = make_lines(300, 1, several=several)
    for part in records.values():
        for text, labels in part[:300]:
            found.append(
                " ".join([f"__label__{label}" for label in (labels if several else labels[:1])] + [text[:300]])
            )
    if settings["quantise"] and settings["quantise"].get("qout"):  # 256 labels are the least for a quantised output
        found = [f"__label__n{i % 300} {line}" for i, line in enumerate(found)]
    return found


def check_answers(model, found, tensors, lines):
    """The labels of every line are equal, and their scores within 1e-6; of every fourth line those of all labels."""
    engine = Engine(found.rules, tensors)
    names = np.array(["__label__" + name for name in label_names(found, tensors)], dtype=object)
    for some, k, threshold in [(lines, 3, 0.0), (lines[::-4], 1, 0.3), (lines[::-4], -1, 0.0)]:
        best, scores = engine.best(pack(some), k, threshold), engine.scores(pack(some))
        labels, numbers = model.f.multilinePredict([line + b"\n" for line in some], k, threshold, "strict")
        counts = np.fromiter(map(len, labels), np.int64, len(labels))
        np.testing.assert_array_equal(best.counts, counts)
        there = np.arange(best.labels.shape[1]) < counts[:, None]
        np.testing.assert_array_equal(names[best.labels[there]], np.array(list(chain(*labels)), dtype=object))
        np.testing.assert_allclose(best.scores[there], np.concatenate(numbers), rtol=0, atol=1e-6)
        of_all = np.take_along_axis(scores, np.where(there, best.labels, 0), axis=1)
        np.testing.assert_array_equal(of_all[there], best.scores[there])


def check_vectors(model, found, tensors, lines):
    """The vectors of the lines are equal to the bit, and the vectors of words within 1e-6."""
    engine, held = Engine(found.rules, tensors), fasttext.FastText.fasttext.Vector(found.embedding_dim)
    expected = np.empty((len(lines), found.embedding_dim), np.float32)
    for row, line in zip(expected, lines, strict=True):
        model.f.getSentenceVector(held, line + b"\n")
        row[:] = held
    np.testing.assert_array_equal(engine.sentence_vectors(pack(lines)), expected)
    words = [*model.words[:1500], *b" ".join(lines[500:600]).decode().split(), "", "🙂", "</s>"]
    mine = engine.word_vectors(pack([word.encode() for word in words]))
    np.testing.assert_allclose(mine, [model.get_word_vector(word) for word in words], rtol=0, atol=1e-6)


def check_neighbours(model, path, words):
    """The cosines of the nearest words are fastText's within 1e-6, each with a word that has it there."""
    mine = load_model(str(path))
    for word in words:
        of_word = {name: cosine for cosine, name in model.get_nearest_neighbors(word, len(mine.words))}
        expected = sorted(of_word.values(), reverse=True)[:10]
        near = mine.get_nearest_neighbors(word, 10)
        np.testing.assert_allclose([cosine for cosine, _ in near], expected, rtol=0, atol=1e-6)
        np.testing.assert_allclose([of_word[name] for _, name in near], expected, rtol=0, atol=1e-6)
        assert len({name for _, name in near}) == len(near)


@pytest.mark.parametrize("settings", GRID, ids=named)
def test_the_grid_on_twenty_thousand_lines(tmp_path, records, lines, settings):
    assert len(GRID) >= 60
    model, path = train(fasttext, tmp_path, lines=texts_to_train(records, settings), **settings)
    found, tensors = read_fasttext(path)
    check_answers(model, found, tensors, lines)
    check_vectors(model, found, tensors, lines)
    check_neighbours(model, path, ["goal", "the", "bank", "unseen", "мяч"])


def test_lid_176_on_twenty_thousand_lines(shared, lines):
    path = shared / "models" / "lid.176.ftz"
    model = fasttext.load_model(str(path))
    found, tensors = read_fasttext(path)
    check_answers(model, found, tensors, lines)
    check_vectors(model, found, tensors, lines)
    check_neighbours(model, path, ["the", "и", "goal"])
