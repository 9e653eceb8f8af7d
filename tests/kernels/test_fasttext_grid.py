"""The engine and its twin against fastText itself: losses, runs of characters and words, quantised matrices."""

import random

import numpy as np
import pytest
from msgspec import structs

from fasttext_models import ODD, make_lines, train
from rubrica.artifact.fasttext_file import read_fasttext, write_fasttext
from rubrica.artifact.fasttext_model import label_names
from rubrica.kernels import native
from rubrica.kernels.fasttext import Engine
from rubrica.kernels.fasttext_rules import pack
from rubrica.kernels.fasttext_twin import Twin
from rubrica.text.tokens import pack as pack_texts

fasttext = pytest.importorskip("fasttext", reason="fastText is not installed")
PRUNED = {"cutoff": 300, "qnorm": True}
QUICK = [
    {"loss": "softmax", "wordNgrams": 2},
    {"loss": "hs", "minn": 2, "maxn": 4, "dim": 16},
    {"loss": "ns", "minn": 3, "maxn": 6, "wordNgrams": 3, "dim": 5},
    {"loss": "ova", "several": True, "wordNgrams": 2, "dim": 33},
    {"loss": "softmax", "minn": 1, "maxn": 3, "quantise": PRUNED, "dim": 17},
    {"loss": "hs", "wordNgrams": 2, "quantise": {"qnorm": True, "qout": True, "dsub": 4}, "lines": 300},
    {"loss": "softmax", "minn": 2, "maxn": 3, "quantise": {"cutoff": 260}, "dim": 8},
]


def check(tmp_path, lines, k, settings):
    """Every answer and vector of both against fastText's."""
    settings = dict(settings)
    if count := settings.pop("lines", 0):  # more labels than 256, so that the output can be quantised
        settings["lines"] = [f"__label__n{i} w{i} w{i % 7}" for i in range(count)]
    model, path = train(fasttext, tmp_path, **settings)
    found, tensors = read_fasttext(path)
    names = ["__label__" + name for name in label_names(found, tensors)]
    engine = Engine(found.rules, tensors)
    texts = pack_texts(lines)
    exact = native.library() is not None
    for count, threshold in ((k, 0.0), (1, 0.3), (-1, -1.0), (-1, 0.0)):
        best = engine.best(texts, count, threshold)
        labels, scores = model.f.multilinePredict([line + "\n" for line in lines], count, threshold, "strict")
        for i, (expected, numbers) in enumerate(zip(labels, scores, strict=True)):
            mine = best.labels[i, : best.counts[i]]
            assert [names[label] for label in mine] == list(expected), (lines[i][:80], settings)
            np.testing.assert_allclose(best.scores[i, : len(mine)], numbers, rtol=0, atol=1e-6)
    for line, vector in list(zip(lines, engine.sentence_vectors(texts), strict=True))[:400]:
        np.testing.assert_allclose(vector, model.get_sentence_vector(line), rtol=0, atol=0 if exact else 1e-6)
    scores = engine.scores(texts)
    for row, labels, numbers, size in zip(scores, best.labels, best.scores, best.counts, strict=True):
        np.testing.assert_array_equal(row[labels[:size]], numbers[:size])
        assert size or found.loss == "hs" or not row.any()
    return found, tensors, model, engine


@pytest.mark.parametrize("threshold", [-1.0, -1e-5, -5e-6, 0.0, 1e-5])
def test_a_negative_threshold_leaves_no_label_of_a_tree_out(tmp_path, threshold):
    lines = [f"__label__n{i % 40} w{i % 40}" for i in range(400)]
    model, path = train(fasttext, tmp_path, lines=lines, loss="hs")
    model.set_matrices(model.get_input_matrix(), model.get_output_matrix() * 1000)  # surer than any training makes it
    model.save_model(str(path))
    found, tensors = read_fasttext(path)
    expected = model.f.predict("w1 w2\n", -1, threshold, "strict")
    assert len(expected) == 40 if threshold < -1e-5 else threshold < 0 or len(expected) < 40
    for engine in (Engine(found.rules, tensors), Twin(found.rules, tensors)):
        best = engine.best(pack_texts(["w1 w2"]), 40, threshold)
        np.testing.assert_allclose(best.scores[0, : best.counts[0]], [score for score, _ in expected], atol=1e-6)


@pytest.mark.parametrize("settings", QUICK, ids=str)
def test_answers_are_those_of_fasttext(tmp_path, settings):
    lines = [line for line in ODD if "\n" not in line] + make_lines(60, 2)
    found, tensors, model, engine = check(tmp_path, lines, 2, settings)
    words = ["goal", "goals", "unseen", "</s>", "мяч", "", "🙂"]
    vectors = engine.word_vectors(pack([word.encode() for word in words]))
    for word, vector in zip(words, vectors, strict=True):
        np.testing.assert_allclose(vector, model.get_word_vector(word), rtol=0, atol=1e-6)
        assert engine.word_id(word.encode()) == model.get_word_id(word)
        runs, rows = model.get_subwords(word)
        mine, mine_rows = engine.subwords(word.encode())
        assert ([run.decode() for run in mine], mine_rows.tolist()) == (list(runs), rows.tolist())
    for line in lines:
        words_of, labels_of = model.get_line(line)
        mine, labels = engine.words_of(line.encode())
        assert ([w.decode() for w in mine], [w.decode() for w in labels]) == (words_of, labels_of)
    write_fasttext(found, tensors, tmp_path / "again.bin")
    again = fasttext.load_model(str(tmp_path / "again.bin"))
    both = [m.f.multilinePredict([line + "\n" for line in lines], -1, 0.0, "strict") for m in (again, model)]
    assert both[0][0] == both[1][0]
    assert all(np.array_equal(a, b) for a, b in zip(both[0][1], both[1][1], strict=True))


def test_a_model_whose_buckets_are_all_pruned(tmp_path):
    """Made by hand: of fastText's own models few lose every bucket and still read runs of characters."""
    lines = [f"__label__{'ab'[i % 2]} w{i} w{i % 9}" for i in range(400)]
    _, path = train(fasttext, tmp_path, lines=lines, quantise={"cutoff": 300})
    found, tensors = read_fasttext(path)
    assert found.pruned
    assert found.num_pruned == 0
    found = structs.replace(found, min_n=2, max_n=4, word_ngrams=2, num_buckets=77)
    write_fasttext(found, tensors, tmp_path / "more.ftz")
    model, engine = fasttext.load_model(str(tmp_path / "more.ftz")), Engine(found.rules, tensors)
    for line in ["w1 w2 w3", "w1 unknown", "unknown", "w399 w1"]:
        labels = [b"__label__" + name.encode() for name in label_names(found, tensors)]
        best = engine.best(pack([line.encode()]), -1)
        expected = [(score, name.encode()) for score, name in model.f.predict(line + "\n", -1, 0.0, "strict")]
        assert [(s, labels[i]) for s, i in zip(best.scores[0], best.labels[0], strict=True) if i >= 0] == expected


def test_bytes_that_are_no_utf_8(tmp_path):
    model, path = train(fasttext, tmp_path, loss="hs", minn=1, maxn=4, wordNgrams=2)
    found, tensors = read_fasttext(path)
    engine, draw = Engine(found.rules, tensors), random.Random(3)
    names = [f"__label__{name}" for name in label_names(found, tensors)]
    lines = [
        bytes(draw.choice(b"ag \xff\xc3\xa9\x80\xf0\x9f\x99\x82\0") for _ in range(draw.randrange(40)))
        for _ in range(500)
    ]
    best = engine.best(pack(lines), -1)
    for line, labels, scores, count in zip(lines, best.labels, best.scores, best.counts, strict=True):
        expected = model.f.predict(line + b"\n", -1, 0.0, "strict")
        assert [names[label] for label in labels[:count]] == [name for _, name in expected]
        np.testing.assert_allclose(scores[:count], [score for score, _ in expected], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["skipgram", "cbow"])
def test_vectors_of_models_without_labels(tmp_path, kind):
    model, path = train(fasttext, tmp_path, kind=kind, minn=2, maxn=4, dim=12)
    found, tensors = read_fasttext(path)
    engine = Engine(found.rules, tensors)
    lines = [line for line in ODD if "\n" not in line] + make_lines(60, 2)
    vectors = engine.sentence_vectors(pack_texts(lines))
    for line, vector in zip(lines, vectors, strict=True):
        np.testing.assert_allclose(vector, model.get_sentence_vector(line), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="word vectors has no labels"):
        engine.best(pack_texts(lines), 1)
