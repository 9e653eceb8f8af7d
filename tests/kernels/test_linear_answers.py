"""A linear model's answers by the words that were met, against its features and their scores."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ragged import needs_native
from rubrica.kernels import native
from rubrica.kernels.linear import scores
from rubrica.models.linear import LinearPart
from rubrica.models.linear_answers import LinearAnswers, arrange, fits
from rubrica.text.ngrams import DocumentCounter, Ngrams, features, index_keys

pytestmark = needs_native

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
NEWS = st.lists(
    st.sampled_from(
        ["Oil", "OIL", " ", " oil ", "3.5%", "prices", "naïve", "Ночь", "_x_", "…", "unprecedented", "aaaaaaa"]
    )
)
TEXTS = st.lists(ANY_TEXT | NEWS.map("".join), min_size=1, max_size=8)
NGRAMS = st.builds(Ngrams, st.booleans(), st.integers(1, 3), st.sampled_from([0, 2, 5]))


class Model:
    """A model that knows four of every five features of some texts."""

    def __init__(self, texts, ngrams, columns, seed=0):
        counter, draw = DocumentCounter(ngrams, 1), np.random.default_rng(seed)
        counter.add(texts)
        keys = counter.take(1, 1 << 22)[0]
        self.index = index_keys(keys[np.arange(len(keys)) % 5 > 0])
        count = len(self.index.keys)
        self.ngrams, self.idf = ngrams, draw.uniform(0.5, 9, count).astype(np.float32)
        self.weight = draw.normal(size=(count, columns)).astype(np.float32)
        self.bias = draw.normal(size=columns).astype(np.float32)

    def quick(self):
        return LinearAnswers(self.ngrams, self.index, self.tensors)

    @property
    def tensors(self):
        return {
            "linear.keys": self.index.keys,
            "linear.idf": self.idf,
            "linear.weight": self.weight,
            "linear.bias": self.bias,
        }

    def by_features(self, texts):
        return scores(features(texts, self.ngrams, self.index, self.idf, 1), self.weight, self.bias)


@given(texts=TEXTS, ngrams=NGRAMS, columns=st.sampled_from([1, 4, 6, 21]), threads=st.sampled_from(["1", "3"]))
@example(texts=["ΑΣ", "ΑΣΑ Σ", "İSTANBUL a\0b", "\ud800a x\udfff"], ngrams=Ngrams(True, 2, 5), columns=1, threads="1")
def test_the_scores_are_those_of_the_features(texts, ngrams, columns, threads):
    model = Model(texts, ngrams, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUBRICA_THREADS", threads)
        quick = model.quick()
        found = quick(texts * 40)  # enough for several threads
    np.testing.assert_allclose(found, np.tile(model.by_features(texts), (40, 1)), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def many():
    """Texts of 150,000 words, more than are kept, and a model that knows the words of some."""
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abcdefgh"), 7)) for _ in range(150_000)]
    texts = [" ".join(words[first : first + 100]) for first in range(0, len(words), 100)]
    return texts, Model(texts[::3], Ngrams(True, 2, 5), 4)


def test_an_answer_is_the_same_whatever_was_read_before(many):
    texts, model = many
    quick = model.quick()
    first = quick(texts)
    np.testing.assert_array_equal(quick(texts[::-1]), first[::-1])
    np.testing.assert_array_equal(np.vstack([model.quick()([text]) for text in texts[:50]]), first[:50])
    np.testing.assert_allclose(first[:99], model.by_features(texts[:99]), rtol=1e-5, atol=1e-5)


def test_several_threads_may_ask_at_once(many):
    texts, model = many
    quick, expected = model.quick(), model.quick()(texts)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(quick, [texts] * 8):
            np.testing.assert_array_equal(found, expected)


def test_a_copy_has_words_of_its_own(many):
    texts, model = many
    part = LinearPart(model.ngrams, model.tensors)
    expected = part.quick(texts[:10])
    with pytest.raises(TypeError, match="copy the LinearPart"):
        pickle.dumps(part.quick)
    copied = [pickle.loads(pickle.dumps(part)), copy.deepcopy(part)]
    del part
    for other in copied:
        np.testing.assert_array_equal(other.quick(texts[:10]), expected)


@pytest.mark.parametrize(
    "text", ["a" * 300_000, "oil " * 70_000, "oil prices " * 10, " ".join(map(str, range(70_000)))]
)
def test_of_long_texts_and_words_the_same_is_read(text):
    model = Model(["oil prices rise", "aaaa", text[:10_000]], Ngrams(True, 2, 5), 3)
    np.testing.assert_allclose(model.quick()([text, "oil"]), model.by_features([text, "oil"]), rtol=1e-4)


def test_a_model_without_features_answers_with_its_bias():
    model = Model([], Ngrams(True, 2, 5), 3)
    np.testing.assert_array_equal(model.quick()(["oil", ""]), [model.bias, model.bias])
    assert model.quick()([]).shape == (0, 3)


def test_every_library_of_the_processor_answers_alike(instruction_sets, many):
    texts, model = many
    found = []
    for live in instruction_sets:
        with live:
            found.append(model.quick()(texts[:20]) if fits(1, 1) else model.by_features(texts[:20]))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-5, atol=1e-5)


KEYS = st.integers(0, 2**32 - 1) | st.sampled_from([0, 2**31, 2**32 - 3, 2**32 - 2, 2**32 - 1])


@given(keys=st.sets(KEYS, max_size=60), others=st.lists(KEYS), crowd=st.integers(0, 40))
def test_each_key_stands_where_a_walk_from_its_first_bits_finds_it(keys, others, crowd):
    keys = keys | {2**32 - 1 - k for k in range(crowd)}  # all of them belong to the last place
    entries, shift = arrange(np.array(sorted(keys), np.uint32), np.arange(len(keys), dtype=np.int32))
    numbers = dict(zip(sorted(keys), range(len(keys)), strict=True))
    for key in [*keys, *others]:
        place = key >> shift
        while entries[place, 0] < key:
            place += 1
        found = entries.view(np.int32)[place, 1] if entries[place, 0] == key else -1
        assert found == numbers.get(key, -1)


def test_a_model_of_too_many_rows_is_left_to_its_features(monkeypatch):
    assert fits(1 << 20, 16)
    assert not fits(1 << 20, 17)
    monkeypatch.setattr(native, "library", lambda: None)
    assert not fits(1, 1)
