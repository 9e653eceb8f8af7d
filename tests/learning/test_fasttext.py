"""Training of fastText models, and quantising: what comes out is read by fastText itself and answers as its own do."""

import numpy as np
import pytest

from ragged import needs_native
from rubrica.artifact.fasttext_file import read_fasttext, write_fasttext
from rubrica.errors import DataError, RubricaError, VectorsError
from rubrica.kernels.fasttext_words import count_words
from rubrica.learning.fasttext import FastTextTraining, train_fasttext
from rubrica.learning.fasttext_quantize import quantize_fasttext
from rubrica.models.fasttext import FastText
from rubrica.text.tokens import Packed
from rubrica.vectors.word_vectors import Vectors

fasttext = pytest.importorskip("fasttext", reason="fastText is not installed")

pytestmark = needs_native

TOPICS = {"sport": "ball team goal win match", "money": "bank price share market fund"}
TINY = FastText(embedding_dim=10, num_buckets=500, word_ngrams=2)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A file of 400 short texts of two topics, sorted by topic."""
    draw = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("texts") / "train.txt"
    with path.open("w") as file:
        for label, words in TOPICS.items():
            for _ in range(200):
                own, other = draw.choice(words.split(), 4), [f"w{number}" for number in draw.integers(0, 60, 6)]
                file.write(f"__label__{label} {' '.join([*own, *other])}\n")
    return path


def as_theirs(model, folder):
    write_fasttext(*model, folder / "model.bin")
    return fasttext.load_model(str(folder / "model.bin"))


def equal(one, other):
    return one[0] == other[0] and all(np.array_equal(one[1][name], other[1][name]) for name in one[1])


@pytest.mark.parametrize("loss", ["softmax", "hs", "ns", "ova"])
def test_a_trained_model_answers_in_fasttext(texts, tmp_path, loss):
    settings = FastText(embedding_dim=10, num_buckets=500, loss=loss, min_n=2, max_n=4, word_ngrams=2)
    model = train_fasttext(texts, settings, FastTextTraining(lr=0.5, epochs=10, threads=2))
    count, precision, _ = as_theirs(model, tmp_path).test(str(texts))
    assert (count, precision) == (400, 1.0)


def test_words_labels_and_counts_are_fasttexts(texts, tmp_path):
    odd = tmp_path / "odd.txt"
    odd.write_bytes(texts.read_bytes() + b"\n\x00a\x0bb\rc\x0cd  \xff\xfe\n__label__x </s> e __label__sport\na a a")
    settings = FastText(embedding_dim=10, min_count=2)
    found, tensors = train_fasttext(odd, settings, FastTextTraining(epochs=1))
    # With 10 threads or fewer, or rows of other sizes, fastText reads memory that it has not filled.
    theirs = fasttext.train_supervised(str(odd), dim=10, minCount=2, epoch=1, thread=12, verbose=0)
    ends = tensors["dictionary.ends"]
    names = [tensors["dictionary.bytes"][a:b].tobytes().decode() for a, b in zip([0, *ends], ends, strict=False)]
    words, counts = theirs.f.getVocab("strict")
    assert dict(zip(names[: found.num_words], tensors["dictionary.counts"].tolist(), strict=False)) == dict(
        zip(words, counts, strict=True)
    )
    assert sorted(names[found.num_words :]) == sorted(theirs.labels)
    assert (np.diff(tensors["dictionary.counts"][: found.num_words]) <= 0).all()


@pytest.mark.parametrize("kind", ["supervised", "skipgram", "cbow"])
@pytest.mark.parametrize("loss", ["ns", "hs", "softmax"])
def test_the_same_seed_gives_the_same_bits(texts, kind, loss):
    settings = FastText(kind=kind, loss=loss, embedding_dim=20, min_n=2, max_n=3, num_buckets=100)
    training = FastTextTraining(epochs=2, threads=2)
    first, second = (train_fasttext(texts, settings, training) for _ in range(2))
    other = train_fasttext(texts, settings, FastTextTraining(epochs=2, threads=2, seed=1))
    assert equal(first, second)
    assert not equal(first, other)


def test_a_list_of_texts_is_as_good_as_a_file(texts):
    parts = texts.read_bytes().splitlines()
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    packed = Packed(np.frombuffer(b"".join(parts), np.uint8), np.concatenate([[0], ends[:-1]]), ends)
    training = FastTextTraining(epochs=1, threads=2)
    assert equal(train_fasttext(packed, TINY, training), train_fasttext(texts, TINY, training))


@pytest.mark.parametrize("kind", ["skipgram", "cbow"])
def test_words_of_a_topic_become_neighbours(texts, tmp_path, kind):
    settings = FastText(kind=kind, loss="ns", embedding_dim=20, sampling=1.0)
    model = as_theirs(train_fasttext(texts, settings, FastTextTraining(lr=0.1, epochs=30, threads=2)), tmp_path)
    near = {word for _, word in model.f.getNN("ball", 4, "strict")}
    assert near == set(TOPICS["sport"].split()) - {"ball"}


def test_a_model_learns_on_with_new_words_and_labels(texts, tmp_path):
    settings, tensors = train_fasttext(texts, TINY, FastTextTraining(lr=0.5, epochs=5))
    more = tmp_path / "more.txt"
    more.write_text(texts.read_text() + "__label__food apple bread soup\n" * 50)
    found, after = train_fasttext(more, TINY, FastTextTraining(lr=0.5, epochs=5), start=(settings, tensors))
    size = settings.num_words
    assert (found.num_words, found.num_labels) == (size + 3, 3)
    theirs = as_theirs((found, after), tmp_path)
    assert theirs.words[:size] == as_theirs((settings, tensors), tmp_path).words
    assert theirs.test(str(more))[1] == 1.0
    assert theirs.test(str(texts))[1] > 0.9
    with pytest.raises(ValueError, match="embedding_dim is 11, and 10 in the model"):
        train_fasttext(more, FastText(embedding_dim=11, num_buckets=500, word_ngrams=2), FastTextTraining(),
                       start=(settings, tensors))  # fmt: skip


def test_words_start_at_given_vectors(texts, tmp_path, monkeypatch):
    file = tmp_path / "some.vec"
    file.write_text("3 4\nball 1 2 3 4\nnever 5 6 7 8\nbank 0 0 0 1\n")
    settings = FastText(embedding_dim=4, min_count=1000)
    found, tensors = train_fasttext(texts, settings, FastTextTraining(lr=0.0, epochs=1, vectors=file))
    theirs = as_theirs((found, tensors), tmp_path)
    assert set(theirs.words) == {"ball", "bank", "never"}
    np.testing.assert_array_equal(theirs.get_word_vector("never"), [5, 6, 7, 8])
    np.testing.assert_array_equal(theirs.get_word_vector("ball"), [1, 2, 3, 4])
    monkeypatch.setattr(Vectors, "stretches", lambda self: iter(np.split(self.matrix, [0, 1, 3])))  # as of a large file
    assert equal((found, tensors), train_fasttext(texts, settings, FastTextTraining(lr=0.0, epochs=1, vectors=file)))
    with pytest.raises(VectorsError, match="4 numbers a word, and the model has rows of 10"):
        train_fasttext(texts, TINY, FastTextTraining(vectors=file))


@pytest.mark.parametrize("norms", [False, True])
def test_a_quantised_model_is_fasttexts(texts, tmp_path, norms):
    theirs = fasttext.train_supervised(str(texts), dim=10, wordNgrams=2, bucket=500, thread=12, verbose=0)
    theirs.save_model(str(tmp_path / "their.bin"))
    ours = quantize_fasttext(*read_fasttext(tmp_path / "their.bin"), cutoff=400, norms=norms)
    write_fasttext(*ours, tmp_path / "ours.ftz")
    theirs.quantize(cutoff=400, qnorm=norms)
    theirs.save_model(str(tmp_path / "their.ftz"))
    settings, tensors = read_fasttext(tmp_path / "their.ftz")
    assert settings == ours[0]
    mine = fasttext.load_model(str(tmp_path / "ours.ftz"))
    assert mine.test(str(texts)) == theirs.test(str(texts))
    for name in ("dictionary.bytes", "prune.buckets"):
        np.testing.assert_array_equal(ours[1][name], tensors[name])
    # The sums may be rounded otherwise, as the compiler fuses them: then two rows of almost one length change places.
    whole, their_bin = read_fasttext(tmp_path / "their.bin")
    rows = their_bin["input.weight"][whole.num_words + tensors["prune.buckets"]]
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    for found in (ours[1]["prune.rows"], tensors["prune.rows"]):
        assert np.sort(found).tolist() == list(range(len(lengths)))
        fallen = lengths[np.argsort(found)]
        assert (fallen[1:] <= fallen[:-1] * (1 + 1e-6)).all()
    assert (ours[1]["prune.rows"] == tensors["prune.rows"]).mean() > 0.9
    assert (ours[1]["input.codes"] == tensors["input.codes"]).mean() > 0.9


def test_a_pruned_model_learns_anew(texts, tmp_path):
    model = train_fasttext(texts, TINY, FastTextTraining(lr=0.05, epochs=1))
    training = FastTextTraining(lr=0.5, epochs=10)
    kept = quantize_fasttext(*model, cutoff=300, output=False, retrain=(texts, training))
    assert as_theirs(kept, tmp_path).test(str(texts))[1] == 1.0
    again = quantize_fasttext(*model, cutoff=300, retrain=(texts, training))
    assert equal(kept, again)


def test_unknown_words_of_unsupervised_lines_are_left_out_and_long_lines_cut():
    text = np.frombuffer(b"a " * 2000 + b"b\na b\n", np.uint8)
    rule = {"prefix": b"__label__", "min_count": 3, "min_count_label": 0, "supervised": False}
    words, lines = count_words(text, **rule)
    assert words.num_words == 1
    assert np.diff(lines.starts).tolist() == [1025, 975, 1]


def test_what_a_prefix_and_a_least_count_leave_is_said(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("__label__a b\n")
    for settings, training, sentence in (
        (FastText(), FastTextTraining(min_count_label=9), "no label occurs 9 times"),
        (FastText(label_prefix=""), FastTextTraining(), "every word is a label, as the label prefix is empty"),
    ):
        with pytest.raises(DataError, match=f"train.txt: {sentence}"):
            train_fasttext(path, settings, training)


@pytest.mark.parametrize(
    ("content", "settings", "error", "sentence"),
    [
        (b"", TINY, DataError, "an empty file"),
        (b"just words\n", TINY, DataError, "no label"),
        (b"__label__a b\n", FastText(min_count=5), DataError, "no word occurs 5 times"),
        (b"__label__a b\n", FastText(kind="cbow", loss="ova"), ValueError, "one-vs-all is for supervised"),
        (b"__label__a b\n", FastText(word_ngrams=2), ValueError, "num_buckets is 0"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(tmp_path, content, settings, error, sentence):
    path = tmp_path / "train.txt"
    path.write_bytes(content)
    with pytest.raises(error, match=sentence):
        train_fasttext(path, settings, FastTextTraining())


def test_a_training_that_runs_away_is_an_error(texts):
    with pytest.raises(RubricaError, match=r"diverged with lr 1e\+20"):
        train_fasttext(texts, TINY, FastTextTraining(lr=1e20))
