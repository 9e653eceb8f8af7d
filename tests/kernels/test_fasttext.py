"""The parts of fastText's engine: native and twin give the same, the heap is libstdc++'s, and no array is left."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rubrica.errors import RubricaError
from rubrica.kernels import native
from rubrica.kernels.fasttext import Engine
from rubrica.kernels.fasttext_rules import Rules, hash_of, lines_of, pack, runs_of, split
from rubrica.kernels.fasttext_twin import Twin, best_of, make_tree

needs_native = pytest.mark.skipif(native.library() is None, reason="no native core")

WORDS = [b"</s>", b"a", b"goal", "мяч".encode(), b"a" * 40, b"\xff\xfe", b"x<y"]
LABELS = [b"__label__one", b"__label__two", b"__label__three"]


def make_model(loss="softmax", *, dim=10, quantised=0, norms=False, pruned=False, supervised=True, seed=0, **rules):
    """A small model of random numbers, and its rules."""
    draw = np.random.default_rng(seed)
    rules = {"min_n": 2, "max_n": 4, "word_ngrams": 2, "num_buckets": 50} | rules
    names = [*WORDS, *LABELS]
    made = Rules(
        **rules, loss=loss, label_prefix=b"__label__", supervised=supervised, pruned=pruned, num_words=len(WORDS),
        embedding_dim=dim, input_dsub=quantised, output_dsub=quantised,
    )  # fmt: skip
    buckets = np.sort(draw.choice(50, 20, replace=False)).astype(np.int32) if pruned else np.empty(0, np.int32)
    rows = len(WORDS) + (len(buckets) if pruned else rules["num_buckets"])
    tensors = {
        "dictionary.bytes": np.frombuffer(b"".join(names), np.uint8),
        "dictionary.ends": np.cumsum([len(name) for name in names]),
        "dictionary.counts": np.array([9] * len(WORDS) + [30, 20, 10]),
        "prune.buckets": buckets,
        "prune.rows": draw.permutation(len(buckets)).astype(np.int32),
    }
    for side, count in (("input", rows), ("output", len(LABELS) if supervised else len(WORDS))):
        if not quantised:
            tensors[f"{side}.weight"] = draw.normal(size=(count, dim)).astype(np.float32)
            continue
        parts = -(-dim // quantised)
        tensors[f"{side}.codes"] = draw.integers(0, 256, (count, parts)).astype(np.uint8)
        tensors[f"{side}.centroids"] = draw.normal(size=256 * dim).astype(np.float32)
        if norms:
            tensors[f"{side}.norm_codes"] = draw.integers(0, 256, count).astype(np.uint8)
            tensors[f"{side}.norm_centroids"] = draw.normal(size=256).astype(np.float32)
    return made, tensors


TEXTS = [
    b"", b"a goal", b"goal a a __label__two zzz", b"__label__unknown goal", "мяч мячи".encode(), b"\xff\xfe \xc3 \x80",
    b"a </s> goal", b"\0a\0\tgoal\r\n\v\fx<y", b"a" * 5000, b"goal " * 700, b" __label__one ",
]  # fmt: skip


@needs_native
@pytest.mark.parametrize("loss", ["softmax", "hs", "ns", "ova"])
@pytest.mark.parametrize("stored", [{}, {"quantised": 3}, {"quantised": 2, "norms": True, "pruned": True}], ids=str)
@pytest.mark.parametrize("dim", [1, 7, 8, 10, 33, 50, 100])
def test_native_is_the_twin(loss, stored, dim):
    rules, tensors = make_model(loss, dim=dim, **stored)
    engine, twin, texts = Engine(rules, tensors), Twin(rules, tensors), pack(TEXTS)
    for k, threshold in ((3, 0.0), (1, 0.2), (2, 0.9), (3, -1.0)):
        found, expected = engine.best(texts, k, threshold), twin.best(texts, k, threshold)
        np.testing.assert_array_equal(found.labels, expected.labels)
        np.testing.assert_array_equal(found.counts, expected.counts)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-6)
    np.testing.assert_allclose(engine.scores(texts), twin.scores(texts), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(engine.sentence_vectors(texts), twin.vectors(texts, words=False))
    words = pack([*WORDS, *LABELS, b"", b"unknown"])
    np.testing.assert_array_equal(engine.word_vectors(words), twin.vectors(words, words=True))
    for text in TEXTS:
        for found, expected in zip(engine.line(text), twin.line(text), strict=True):
            np.testing.assert_array_equal(found, expected)


@needs_native
@pytest.mark.parametrize("stored", [{"quantised": 3}, {"quantised": 2, "norms": True, "pruned": True}], ids=str)
@pytest.mark.parametrize("dim", [7, 10, 33])
def test_codes_are_laid_out_once_many_texts_have_come_and_nothing_changes(stored, dim):
    rules, tensors = make_model(dim=dim, **stored)
    engine, texts = Engine(rules, tensors), pack(TEXTS)
    expected = Twin(rules, tensors).vectors(texts, words=False).tobytes()
    assert engine.sentence_vectors(texts).tobytes() == expected  # of 9 kB; they are laid out at 64
    with ThreadPoolExecutor(4) as pool:
        assert {found.tobytes() for found in pool.map(lambda _: engine.sentence_vectors(texts), range(40))} == {
            expected
        }


@needs_native
def test_a_large_quantised_matrix_is_not_expanded():
    rules, tensors = make_model(dim=100, quantised=7, norms=True, num_buckets=60_000)  # 24 MB as float32
    texts = pack(TEXTS)
    np.testing.assert_array_equal(
        Engine(rules, tensors).sentence_vectors(texts), Twin(rules, tensors).vectors(texts, words=False)
    )


@needs_native
def test_the_number_of_threads_and_the_place_in_a_batch_change_nothing(monkeypatch):
    rules, tensors = make_model("hs")
    engine, draw = Engine(rules, tensors), random.Random(0)
    texts = [b" ".join(draw.choice([*WORDS, b"q", b"zz"]) for _ in range(draw.randrange(60))) for _ in range(3000)]
    found = {}
    for threads in ("1", "3"):
        monkeypatch.setenv("RUBRICA_THREADS", threads)
        found[threads] = engine.scores(pack(texts))
    np.testing.assert_array_equal(found["1"], found["3"])
    np.testing.assert_array_equal(found["1"][2000:2001], engine.scores(pack(texts[2000:2001])))


@needs_native
@pytest.mark.parametrize("pruned", [False, True])
def test_words_that_were_met_before_have_the_rows_of_words_that_were_not(monkeypatch, pruned):
    monkeypatch.setenv("RUBRICA_THREADS", "1")
    engine = Engine(*make_model(pruned=pruned, quantised=2 if pruned else 0))
    draw = random.Random(0)
    words = [f"{draw.getrandbits(64):x}"[: draw.randint(1, 16)].encode() for _ in range(60_000)]  # more than are kept
    words += [b"x" * 100, b"goal", b"__label__two", b"__label__none"] * 5000
    draw.shuffle(words)
    texts = [b" ".join(words[i : i + 50]) for i in range(0, len(words), 50)] * 2
    at_once = engine.sentence_vectors(pack(texts))
    one_by_one = np.concatenate([engine.sentence_vectors(pack([text])) for text in texts])
    assert at_once.tobytes() == one_by_one.tobytes()


@needs_native
@pytest.mark.parametrize("num_buckets", [1000, 2_000_000, 2**31 - 1])
def test_few_kept_of_many_buckets(num_buckets):
    rules, tensors = make_model(pruned=True, num_buckets=num_buckets)
    runs = [run for word in WORDS for run in runs_of(word, rules.min_n, rules.max_n)]
    kept = sorted({hash_of(run) % num_buckets for run in runs})[::3][:18]
    tensors["prune.buckets"] = np.array([-5, *kept], np.int32)
    tensors["prune.rows"] = np.arange(len(kept) + 1, dtype=np.int32)[::-1].copy()
    native_core, twin = Engine(rules, tensors), Twin(rules, tensors)
    rows = [native_core.line(text)[0] for text in TEXTS]
    assert max(map(len, rows)) > 20
    for text, found in zip(TEXTS, rows, strict=True):
        assert found.tolist() == twin.line(text)[0].tolist()


@needs_native
def test_several_threads_ask_one_model():
    engine = Engine(*make_model(loss="hs"))
    texts = pack([b" ".join(draw.choices([*WORDS, b"new", b"words"], k=40)) for draw in map(random.Random, range(500))])
    expected = engine.best(texts, 2)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: engine.best(texts, 2), range(40)))
    for best in found:
        for mine, theirs in zip(best, expected, strict=True):
            assert mine.tobytes() == theirs.tobytes()


@needs_native
def test_a_text_outside_of_its_bytes_is_refused():
    engine = Engine(*make_model())
    data = np.zeros(4, np.uint8)
    for start, end in ((0, 5), (-1, 2), (3, 2)):
        texts = (data, np.array([start]), np.array([end]))
        for ask in (lambda t: engine.best(t, 1), engine.scores, engine.sentence_vectors, engine.word_vectors):
            with pytest.raises(IndexError, match="does not lie within"):
                ask(texts)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("dictionary.ends", np.arange(10)[::-1].copy(), "do not rise"),
        ("dictionary.bytes", np.zeros(3, np.uint8), "do not rise"),
        ("dictionary.counts", np.zeros(3, np.int64), "do not fit"),
        ("input.weight", np.zeros((20, 10), np.float32), "expected at least 57"),
        ("input.weight", np.zeros((57, 9), np.float32), "expected 10"),
        ("output.weight", np.zeros((2, 10), np.float32), "2 rows for 3 labels"),
        ("dictionary.counts", np.array([1] * 9 + [-1]), "count below 0"),
        ("dictionary.counts", np.array([1] * 9 + [10**15]), "count below 0"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name, value, sentence):
    rules, tensors = make_model("hs")
    with pytest.raises(RubricaError, match=sentence):
        Engine(rules, tensors | {name: value})


def test_pruned_rows_that_are_not_there_are_refused():
    rules, tensors = make_model(quantised=2, pruned=True)
    for value in (20, -1):
        with pytest.raises(RubricaError, match="a row that is not there"):
            Engine(rules, tensors | {"prune.rows": np.full(20, value, np.int32)})
    with pytest.raises(RubricaError, match="not in order"):
        Engine(rules, tensors | {"prune.buckets": np.zeros(20, np.int32)})


def test_labels_of_equal_scores_stand_in_the_order_of_the_heap():
    """What C++ gave, with std::push_heap, pop_heap and sort_heap of libstdc++ 12, for scores of three values."""
    rules, tensors = make_model("ova", dim=8)
    draw = random.Random(4)
    for size in (1, 2, 3, 10, 57, 300):
        labels = [b"__label__%d" % i for i in range(size)]
        names = [*WORDS, *labels]
        tensors |= {
            "dictionary.bytes": np.frombuffer(b"".join(names), np.uint8),
            "dictionary.ends": np.cumsum([len(name) for name in names]),
            "dictionary.counts": np.ones(len(names), np.int64),
            "output.weight": np.repeat([draw.choice([-1, 0, 1]) for _ in range(size)], 8).reshape(-1, 8).astype("f4"),
        }
        engine = Engine(rules, tensors)
        scores = engine.scores(pack([b"goal"]))[0]
        for k in {1, 2, size // 2 + 1, size}:
            best = engine.best(pack([b"goal"]), k)
            expected = Twin(rules, tensors).best(pack([b"goal"]), min(k, size), 0.0)
            np.testing.assert_array_equal(best.labels, expected.labels)
            assert sorted(scores[best.labels[0]], reverse=True) == list(scores[best.labels[0]])


def test_the_last_of_equal_labels_is_the_best_one():
    """fastText's heap throws out the first of two equal labels: seen in its own answers."""
    assert [label for _, label in best_of(np.array([0.5, 0.5, 0.5], np.float32), 1, np.float32(0))] == [2]
    assert best_of(np.array([0.1, 0.2], np.float32), 2, np.float32(0.15))[0][1] == 1


@needs_native
def test_a_tree_as_deep_as_it_has_labels():
    rules, tensors = make_model("hs", dim=2)
    count = 50_000
    tensors |= {
        "dictionary.bytes": np.frombuffer(
            b"".join(WORDS) + b"".join(b"__label__%05d" % i for i in range(count)), np.uint8
        ),
        "dictionary.counts": np.zeros(len(WORDS) + count, np.int64),
        "output.weight": np.zeros((count, 2), np.float32),
    }
    sizes = [len(word) for word in WORDS] + [14] * count
    tensors["dictionary.ends"] = np.cumsum(sizes)
    best = Engine(rules, tensors).best(pack([b"goal"]), 1)
    assert best.counts.tolist() == [1]
    deepest = make_tree([0] * 9)
    assert len(deepest) == 17


def test_hashes_and_runs():
    assert hash_of(b"") == 2166136261
    assert hash_of(b"a") == 0xE40C292C  # FNV-1a's own
    assert hash_of(b"\xff") == ((2166136261 ^ 0xFFFFFFFF) * 16777619) & 0xFFFFFFFF
    assert runs_of(b"ab", 1, 2) == [b"<a", b"a", b"ab", b"b", b"b>"]
    assert runs_of("я".encode(), 3, 3) == ["<я>".encode()]
    assert split(b"a\0b </s> c") == [b"a", b"b", b"</s>"]
    assert split(b"") == [b"</s>"]


@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a\n", b"a\n\nb", b"\na b\n\n"])
def test_lines_of_a_file(content):
    data, starts, ends = lines_of(np.frombuffer(content, np.uint8))
    found = [data[start:end].tobytes() for start, end in zip(starts, ends, strict=True)]
    assert found == content.splitlines()


def test_what_is_asked_of_words():
    rules, tensors = make_model()
    engine = Engine(rules, tensors)
    assert engine.word_id(b"goal") == 2
    assert engine.word_id(b"__label__two") == len(WORDS) + 1
    assert engine.word_id(b"nothing") == -1
    assert engine.words_of(b"goal zzz __label__two __label__none") == ([b"goal", b"zzz", b"</s>"], [b"__label__two"])
    assert engine.subword_id(b"go") == len(WORDS) + hash_of(b"go") % 50
    runs, rows = engine.subwords(b"a")
    assert (runs, rows[0]) == ([b"a", b"<a", b"<a>", b"a>"], 1)
    assert engine.subwords(b"</s>")[1].tolist() == [0]


def test_k_is_checked():
    engine = Engine(*make_model())
    assert engine.best(pack([b"goal"]), -1).labels.shape == (1, 3)
    assert engine.best(pack([b"goal"]), 99).labels.shape == (1, 3)
    for k in (0, -2):
        with pytest.raises(ValueError, match="expected at least 1, or -1"):
            engine.best(pack([b"goal"]), k)
    with pytest.raises(ValueError, match="no labels"):
        Engine(*make_model(supervised=False)).scores(pack([b"goal"]))
