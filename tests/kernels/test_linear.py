"""The linear classifier's kernel, native and numpy, against scikit-learn, and one against the other."""

from contextlib import nullcontext
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from ragged import needs_native
from rubrica.kernels import linear, native
from rubrica.kernels.linear import Entries, Machines, count_classes
from rubrica.text import ngrams as ngrams_module
from rubrica.text.ngrams import DocumentCounter, Ngrams, index_keys
from rubrica.text.tokenizer import tokenize
from rubrica.text.tokens import PackedTexts, pack

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
NEWS = st.lists(st.sampled_from(["Oil", "OIL", " ", "3.5%", "prices", "naïve", "Ночь", "_x_", "…", "unprecedented"]))
TEXTS = st.lists(ANY_TEXT | NEWS.map("".join), max_size=8)
NGRAMS = st.builds(Ngrams, st.booleans(), st.integers(1, 3), st.sampled_from([0, 2, 5]))


def numpy_alone():
    """A context without the native core."""
    return patch.object(native, "library", lambda: None)


def words_of(text, ngrams):
    """Runs of words, spelled out."""
    tokens = tokenize(text.lower() if ngrams.lowercase else text)
    return [("word", *tokens[i : i + n]) for n in range(1, ngrams.word_ngrams + 1) for i in range(len(tokens) - n + 1)]


def characters_of(text, ngrams):
    """Runs of characters, spelled out; "mark" is the mark."""
    runs = []
    for token in tokenize(text.lower() if ngrams.lowercase else text):
        marked = ["mark", *token, "mark"]
        runs += [
            ("char", *marked[i : i + n]) for n in range(2, ngrams.char_ngrams + 1) for i in range(len(marked) - n + 1)
        ]
    return runs


def count_in_parts(texts, most, threads):
    """Keys and counts of words, where at most so many are counted; the texts come one by one."""
    counter = DocumentCounter(Ngrams(True, 1, 0), threads, most=most)
    for text in texts:
        counter.add([text])
    return [array.tolist() for array in counter.take(1, 1 << 20)]


def read(texts, ngrams, threads=1, min_df=1):
    """Keys, in how many texts each is, idf, and the TF-IDF of the texts as sorted pairs."""
    counter = DocumentCounter(ngrams, threads)
    sizes = np.concatenate([counter.add(part) for part in (texts[:3], texts[3:])])
    keys, counts = counter.take(min_df, 1 << 20)
    idf = (np.log((1 + len(texts)) / (1 + counts)) + 1).astype(np.float32)
    entries = ngrams_module.features(texts, ngrams, index_keys(keys), idf, threads)
    rows = [
        sorted(zip(entries.indices[a : a + n].tolist(), entries.values[a : a + n].tolist(), strict=True))
        for a, n in zip(entries.places.tolist(), entries.sizes.tolist(), strict=True)
    ]
    return keys, counts, sizes, rows


@given(texts=TEXTS, ngrams=NGRAMS, threads=st.sampled_from([1, 3]), alone=st.booleans())
def test_features_that_are_weighed_later_are_the_same_to_the_bit(texts, ngrams, threads, alone):
    counter = DocumentCounter(ngrams, 1)
    sizes = counter.add(texts)
    keys, counts = counter.take(1, 1 << 20)
    index, idf = index_keys(keys), (1 / (1 + counts)).astype(np.float32)
    idf[::3] = 0
    with numpy_alone() if alone else nullcontext():
        expected = ngrams_module.features(texts, ngrams, index, idf, threads)
        places, words = np.cumsum(sizes + 1) - sizes - 1, np.full(len(texts), -1, np.int32)
        room = int((sizes + 1).sum())
        found = Entries(places, np.zeros(len(texts), np.int32), np.zeros(room, np.uint32), np.zeros(room, np.float32))
        ngrams_module.count_features(texts, ngrams, index, threads, found, words)
        ngrams_module.weigh_features(found, words, idf, threads)
    blocks = [words_of(text, ngrams) for text in texts]
    assert words.tolist() == [len(set(block)) for block in blocks]
    for i, (here, there) in enumerate(zip(places.tolist(), expected.places.tolist(), strict=True)):
        assert found.sizes[i] == expected.sizes[i] == sizes[i]
        for one, other in ((found.indices, expected.indices), (found.values, expected.values)):
            assert one[here : here + sizes[i]].tobytes() == other[there : there + sizes[i]].tobytes()


@given(texts=TEXTS, ngrams=NGRAMS, threads=st.sampled_from([1, 3]))
@example(texts=["ΑΣ", "ΑΣΑ Σ", "İSTANBUL a\0b", "\ud800a x\udfff"], ngrams=Ngrams(True, 2, 5), threads=1)
def test_a_feature_is_a_run_of_words_or_of_characters(texts, ngrams, threads):
    blocks = [(words_of(text, ngrams), characters_of(text, ngrams)) for text in texts]
    documents = {}
    for i, block in enumerate(blocks):
        for run in {*block[0], *block[1]}:
            documents.setdefault(run, set()).add(i)
    keys, counts, sizes, rows = read(texts, ngrams, threads)
    assert sizes.tolist() == [len({*words, *characters}) for words, characters in blocks]
    assert sorted(counts.tolist()) == sorted(map(len, documents.values()))
    assert (np.diff(keys.astype(np.int64)) > 0).all()
    for row, block in zip(rows, blocks, strict=True):
        expected = []
        for runs in block:
            values = [
                (1 + np.log(runs.count(run))) * (1 + np.log((1 + len(texts)) / (1 + len(documents[run]))))
                for run in set(runs)
            ]
            expected += (np.array(values) / np.linalg.norm(values)).tolist() if values else []
        np.testing.assert_allclose(sorted(value for _, value in row), sorted(expected), rtol=1e-5)


@needs_native
@given(texts=TEXTS, ngrams=NGRAMS, min_df=st.integers(1, 3), threads=st.sampled_from([1, 3]))
def test_native_reads_as_numpy_does(texts, ngrams, min_df, threads):
    keys, counts, sizes, rows = read(texts, ngrams, threads, min_df)
    with numpy_alone():
        twin = read(texts, ngrams, 1, min_df)
    assert (keys.tolist(), counts.tolist(), sizes.tolist()) == tuple(array.tolist() for array in twin[:3])
    for row, expected in zip(rows, twin[3], strict=True):
        assert [feature for feature, _ in row] == [feature for feature, _ in expected]
        np.testing.assert_allclose([v for _, v in row], [v for _, v in expected], rtol=1e-6)


KEYS = [
    938916008, 1105640432, 1749518610, 1793525178, 2021030140, 2857064718, 3042063454, 3673330263, 3804349564,
    3825721556, 3828816929, 3839275782, 3857895286,
]  # fmt: skip


def test_a_feature_keeps_its_key():
    """A saved model knows its features by their keys alone."""
    counter = DocumentCounter(Ngrams(True, 2, 3), 1)
    counter.add(["Oil ы"])
    assert counter.take(1, 99)[0].tolist() == KEYS


def test_tfidf_is_that_of_scikit_learn(tiny_news):
    texts, ngrams = tiny_news.splits["train"].texts, Ngrams(True, 2, 5)
    matrices = [
        TfidfVectorizer(analyzer=lambda text, runs=runs: runs(text, ngrams), min_df=2, sublinear_tf=True)
        .fit_transform(texts)
        .toarray()
        for runs in (words_of, characters_of)
    ]
    expected = np.hstack(matrices)
    keys, _, _, rows = read(texts, ngrams, 2, min_df=2)
    ours = np.zeros((len(texts), len(keys)))
    for i, row in enumerate(rows):
        for feature, value in row:
            ours[i, feature] = value
    assert ours.shape == expected.shape
    # The order of the columns is another; their products with one another are not.
    np.testing.assert_allclose(ours @ ours.T, expected @ expected.T, atol=2e-6)
    np.testing.assert_allclose(np.sort(ours.sum(axis=0)), np.sort(expected.sum(axis=0)), atol=1e-5)


def problem(count, num_features, columns, seed, dtype=np.float64):
    """Sparse rows, classes that they nearly tell apart, and machines at their start."""
    draw = np.random.default_rng(seed)
    dense = draw.normal(size=(count, num_features)) * (draw.random((count, num_features)) < 0.4)
    sizes = np.count_nonzero(dense, axis=1).astype(np.int32)
    entries = Entries(
        np.cumsum(sizes, dtype=np.int64) - sizes, sizes, np.nonzero(dense)[1].astype(np.uint32),
        dense[dense != 0].astype(np.float32),
    )  # fmt: skip
    dense[dense != 0] = entries.values
    wanted = dense @ draw.normal(size=(num_features, columns)) + 0.3 + draw.normal(size=(count, columns)) > 0
    parts = -(-columns // 16)
    width = 1 << (-(-columns // parts) - 1).bit_length()
    signs = np.zeros((parts, count, width), np.int8)
    for column in range(columns):
        signs[column // width, :, column % width] = 2 * wanted[:, column] - 1
    costs = draw.choice([0.0, 0.5, 2.0], count).astype(dtype)
    machines = Machines(
        signs, costs, np.zeros(signs.shape, dtype), np.zeros((parts, num_features, width), dtype),
        np.zeros((parts, width), dtype),
    )  # fmt: skip
    return dense, wanted, entries, machines


def solve(machines, entries, passes, threads=1):
    draw = np.random.default_rng(1)
    for _ in range(passes):
        worst = linear.descend(machines, entries, draw.permutation(len(entries.sizes)), threads)
        if worst < 2e-7:  # slopes count as rounding from here on
            break
    return worst


@pytest.mark.parametrize("columns", [1, 3, 17])
def test_the_solution_is_that_of_liblinear(columns):
    dense, wanted, entries, machines = problem(60, 12, columns, 0)
    assert solve(machines, entries, 1000) < 2e-7
    weights = np.concatenate(list(machines.weights), axis=1)[:, :columns]
    biases = machines.biases.reshape(-1)[:columns]
    for column in range(columns):
        peer = LinearSVC(loss="squared_hinge", dual=True, C=1.0, tol=1e-10, max_iter=1_000_000)
        peer.fit(dense, wanted[:, column], sample_weight=machines.costs)
        np.testing.assert_allclose(weights[:, column], peer.coef_[0], atol=1e-5)
        np.testing.assert_allclose(biases[column], peer.intercept_[0], atol=1e-5)


@needs_native
@given(seed=st.integers(0, 99), columns=st.sampled_from([1, 2, 3, 6, 16, 20]), threads=st.integers(1, 3))
def test_native_descends_as_numpy_does(seed, columns, threads):
    _, _, entries, twin = problem(20, 9, columns, seed)
    _, _, _, machines = problem(20, 9, columns, seed, np.float32)
    _, _, _, again = problem(20, 9, columns, seed, np.float32)
    assert solve(machines, entries, 4, threads) == pytest.approx(solve(twin, entries, 4), abs=1e-4)
    solve(again, entries, 4)
    for found, expected, repeated in zip(machines[2:], twin[2:], again[2:], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert found.tobytes() == repeated.tobytes()


@given(seed=st.integers(0, 99), columns=st.sampled_from([1, 4, 16, 37]), threads=st.integers(1, 3))
def test_scores_are_a_product(seed, columns, threads):
    dense, _, entries, _ = problem(130, 9, 1, seed)
    draw = np.random.default_rng(seed)
    weight, bias = draw.normal(size=(9, columns)).astype(np.float32), draw.normal(size=columns).astype(np.float32)
    np.testing.assert_allclose(linear.scores(entries, weight, bias, threads), dense @ weight + bias, atol=1e-5)


@needs_native
def test_every_library_of_the_processor_is_one(instruction_sets):
    results = []
    for live in instruction_sets:
        with live:
            _, _, entries, machines = problem(30, 9, 5, 3, np.float32)
            solve(machines, entries, 3)
            scores = linear.scores(entries, machines.weights[0], machines.biases[0])
            results.append((machines.weights, scores, read(["Oil's prices", "Ночь"], Ngrams(True, 2, 5))[0]))
    for first, second in pairwise(results):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_features_of_more_texts_than_wanted_are_the_most_frequent():
    counter = DocumentCounter(Ngrams(True, 1, 0), 2)
    counter.add(["a b c", "a b", "a"])
    assert [sorted(counter.take(1, most)[1].tolist()) for most in (3, 2, 1)] == [[1, 2, 3], [2, 3], [3]]
    assert sorted(counter.take(9, 3)[1].tolist()) == [1, 2, 3]  # rather those of single texts than none


def test_the_rarest_features_of_too_many_are_dropped():
    texts = ["a b c", "a b d", "a e f", "c c"]
    for threads in (1, 3):
        assert sorted(count_in_parts(texts, 6, threads)[1]) == [1, 1, 1, 2, 2, 3]
        assert sorted(count_in_parts(texts, 5, threads)[1]) == [1, 2, 3]  # c came again


@needs_native
@given(
    texts=st.lists(st.text("abcdefgh ", max_size=30), min_size=1, max_size=30), most=st.integers(1, 9),
    threads=st.sampled_from([1, 2, 3]),
)  # fmt: skip
def test_native_drops_what_numpy_drops(texts, most, threads):
    found = count_in_parts(texts, most, threads)
    with numpy_alone():
        assert found == count_in_parts(texts, most, 1)


@needs_native
@given(st.integers(0, 2**32 - 1))
def test_native_counts_classes_as_numpy_does(seed):
    draw = np.random.default_rng(seed)
    sizes = draw.integers(0, 9, 7).astype(np.int32)
    places = np.cumsum(sizes, dtype=np.int64) - sizes
    indices = np.concatenate([np.zeros(0, np.uint32), *(draw.permutation(12)[:size] for size in sizes)]).astype(
        np.uint32
    )
    entries = Entries(places, sizes, indices, np.ones(len(indices), np.float32))
    texts, classes = draw.integers(0, 7, 10), draw.integers(0, 3, 10)
    one, other = np.ones((12, 3), np.uint32), np.ones((12, 3), np.uint32)
    count_classes(entries, texts, classes, one)
    with numpy_alone():
        count_classes(entries, texts, classes, other)
    np.testing.assert_array_equal(one, other)
    assert one.sum() == 36 + sizes[texts].sum()


@pytest.mark.parametrize("lowercase", [True, False])
def test_of_a_text_of_any_length_the_first_million_characters_are_read(lowercase):
    ngrams, most = Ngrams(lowercase, 2, 3), ngrams_module.MAX_CHARACTERS
    word = "Naïve" + "Oil" * 12 + " "  # so long that the limit of tokens is far
    beginning = (word * most)[: most - 5] + "ПРИВЕ"
    texts = [beginning, beginning + "т мир", beginning + " мир" * most, "Oil"]
    for part in (texts, PackedTexts(pack(texts))):
        _, _, sizes, rows = read(part, ngrams)
        assert rows[0] == rows[1] == rows[2] != rows[3]
        assert sizes[0] == sizes[1] == sizes[2]
        with numpy_alone():
            assert [[place for place, _ in row] for row in read(texts, ngrams)[3]] == [
                [p for p, _ in row] for row in rows
            ]
