"""Vectors of fastText files, against fastText itself."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import fasttext_models
import rubrica
from rubrica.artifact.fasttext_file import read_fasttext
from rubrica.cli.main import rubrica as command
from rubrica.config.groups import DataSettings
from rubrica.errors import VectorsError
from rubrica.vectors.neighbours import nearest_rows
from rubrica.vectors.stored import load_vectors, save_vectors
from rubrica.vectors.subwords import SubwordVectors, vectors_for
from rubrica.vectors.word_vectors import Vectors

fasttext = pytest.importorskip("fasttext")

WORDS = ["the", "cup", "of", "tea", "goal", "team", "oil", "bank", "price", "robot", "planet", "code", "наука", "спорт"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a small skip-gram model with runs of characters, and fastText's own view of it."""
    folder, draw = tmp_path_factory.mktemp("subwords"), np.random.default_rng(0)
    lines = (" ".join(draw.choice(WORDS, 12)) + "\n" for _ in range(300))
    (folder / "texts.txt").write_text("".join(lines), "utf-8")
    # fastText 0.9.3 starts a tenth of its matrix per thread, rounded down, and leaves the rest as the memory was.
    made = fasttext.train_unsupervised(
        str(folder / "texts.txt"), minn=2, maxn=4, bucket=500, dim=9, epoch=2, thread=12, minCount=1, verbose=0
    )
    made.save_model(str(folder / "m.bin"))
    return folder / "m.bin", made


def test_every_word_has_fasttexts_vector_whether_the_file_has_it_or_not(model):
    path, theirs = model
    ours = load_vectors(path)
    assert ours.words == theirs.words
    asked = [*theirs.words, "teas", "банка", "x", "goalkeeper"]
    expected = np.array([theirs.get_word_vector(word) for word in asked])
    np.testing.assert_allclose(ours.of(asked), expected, atol=1e-6)
    np.testing.assert_allclose(ours.matrix, expected[: len(ours.words)], atol=1e-6)


@pytest.mark.parametrize("word", ["tea", "goalkeeper"])
def test_neighbours_and_analogies_are_fasttexts(model, word):
    path, theirs = model
    ours = load_vectors(path)
    for found, expected in (
        (ours.neighbours(word, 5), theirs.f.getNN(word, 5, "strict")),
        (ours.analogy(word, "cup", "oil", 4), theirs.f.getAnalogies(word, "cup", "oil", 4, "strict")),
    ):
        assert [near.word for near in found] == [other for _, other in expected]
        np.testing.assert_allclose([near.similarity for near in found], [score for score, _ in expected], atol=1e-6)


def test_more_words_than_are_kept_are_gone_through_some_at_a_time(model, monkeypatch):
    path, _ = model
    kept = load_vectors(path)
    large = SubwordVectors(*read_fasttext(path), str(path), kept_bytes=100)
    monkeypatch.setattr(SubwordVectors, "matrix", property(lambda self: pytest.fail("all words in one matrix")))
    near = large.neighbours("goalkeeper", 5)
    monkeypatch.undo()
    assert near == kept.neighbours("goalkeeper", 5)
    query, matrix = kept.of(["goalkeeper"])[0], kept.matrix
    rows, similarities = nearest_rows([matrix], query, 6)
    for cuts in ([1], [4, 9], [0, 5]):
        parts = np.split(matrix, cuts)
        found = nearest_rows(parts, query, 6)
        assert found[0].tolist() == rows.tolist()
        np.testing.assert_allclose(found[1], similarities, atol=1e-6)  # a product of other rows is rounded otherwise


def test_vectors_of_the_words_are_saved_as_text(model, tmp_path):
    vectors = load_vectors(model[0])
    save_vectors(vectors, tmp_path / "words.vec")
    saved = load_vectors(tmp_path / "words.vec")
    assert saved.words == vectors.words
    np.testing.assert_array_equal(saved.matrix, vectors.matrix)


SMALLER = {
    "quantised": {"quantise": {"dsub": 2}},
    "pruned": {"quantise": {"dsub": 2, "qnorm": True, "cutoff": 300, "retrain": True}},
}


@pytest.fixture(scope="module", params=SMALLER)
def small(request, tmp_path_factory):
    """The path of a quantised model that has runs of characters, the file of its texts, and fastText's own view."""
    folder = tmp_path_factory.mktemp(request.param)
    made, path = fasttext_models.train(fasttext, folder, minn=2, maxn=4, **SMALLER[request.param])
    return path, folder / "train.txt", made


def test_a_quantised_file_has_fasttexts_vectors_neighbours_and_analogies(small):
    path, _, theirs = small
    ours = load_vectors(path)
    assert ours.words == theirs.words
    asked = [*theirs.words, "goalkeeper", "банка"]
    np.testing.assert_allclose(ours.of(asked), [theirs.get_word_vector(word) for word in asked], atol=1e-6)
    run = CliRunner().invoke
    for line, expected in (
        (["neighbours", str(path), "goalkeeper"], theirs.f.getNN("goalkeeper", 5, "strict")),
        (["analogy", str(path), "goal", "bank", "stars"], theirs.f.getAnalogies("goal", "bank", "stars", 5, "strict")),
    ):
        done = run(command, ["vectors", *line, "-k", "5", "--json"], catch_exceptions=False)
        found = [(near["similarity"], near["word"]) for near in json.loads(done.stdout)["neighbours"]]
        assert [word for _, word in found] == [word for _, word in expected]
        np.testing.assert_allclose([cosine for cosine, _ in found], [cosine for cosine, _ in expected], atol=1e-6)


def test_a_model_starts_at_the_vectors_of_a_quantised_file(small):
    path, texts, theirs = small
    settings = {"name": "bag", "extend_vectors": False}
    training = {"lr": 1e-9, "storage": "float32", "epochs": 1}  # so that the rows stay where they start
    model = rubrica.train(str(texts), vectors=path, config=rubrica.make_config(model=settings, training=training))
    words = [word for word in theirs.words if word in model.artifact.vocab.words][:20]
    words.append("market")  # a pruned file lacks it, train holds it often
    found = np.array([model.word_vector(word) for word in words])
    np.testing.assert_allclose(found, [theirs.get_word_vector(word) for word in words], atol=1e-5)


def test_data_counts_words_as_known_that_have_a_vector_by_their_runs(small):
    path, texts, theirs = small
    done = CliRunner().invoke(command, ["data", str(texts), "--vectors", str(path), "--json"], catch_exceptions=False)
    facts = json.loads(done.stdout)
    assert facts["vectors"]["words"] == len(theirs.words)
    assert facts["vectors"]["first_words"] == theirs.words[:10]
    assert facts["vectors"]["dim"] == 10
    assert facts["unknown"]["train"]["share_lowercased"] < 0.1
    whole = Vectors(load_vectors(path).words, load_vectors(path).matrix, "without runs")
    save_vectors(whole, texts.with_name("whole.vec"))
    done = CliRunner().invoke(command, ["data", str(texts), "--vectors", str(texts.with_name("whole.vec")), "--json"])
    without = json.loads(done.stdout)["unknown"]["train"]["share_lowercased"]
    assert without > 0.5 if len(theirs.words) < 100 else without < 0.1


def test_a_training_takes_words_of_the_file_and_further_words_of_train(model):
    path, theirs = model
    made = vectors_for(load_vectors(path), ["the teapots", "Teapots of tea", "once"], DataSettings(min_count=2))
    assert "teapots" in made.words
    assert "once" not in made.words
    row = made.matrix[made.words.index("teapots")]
    np.testing.assert_allclose(row, theirs.get_word_vector("teapots"), atol=1e-6)
    assert {"the", "tea", "robot"} <= set(made.words)


def test_a_broken_file_is_named(model, tmp_path):
    (tmp_path / "cut.bin").write_bytes(model[0].read_bytes()[:-5])
    with pytest.raises(VectorsError, match=r"cut\.bin"):
        load_vectors(tmp_path / "cut.bin")
