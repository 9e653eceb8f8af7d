"""Vectors with subwords from one's own texts, read by fastText itself; and the command that makes them."""

from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

import rubrica
from interrupts import interrupt
from ragged import needs_native
from rubrica.cli.main import rubrica as command
from rubrica.errors import VectorsError
from rubrica.kernels.fasttext_train import Trainer
from rubrica.learning import fasttext as training
from rubrica.learning.word_vectors import train_subword_vectors
from rubrica.text.tokenizer import tokenize
from rubrica.vectors.stored import load_vectors, save_vectors
from rubrica.vectors.subwords import SubwordVectors

fasttext = pytest.importorskip("fasttext", reason="fastText is not installed")

pytestmark = needs_native

TOPICS = "Goal, team, coach and match|Banks, price, stock and market|Мяч, гол, победа|天气 很 好"
SMALL = {"dim": 8, "epochs": 2, "min_n": 2, "max_n": 3}


def make_texts(count=400):
    """Texts that each draw most of their words from one topic."""
    draw = np.random.default_rng(0)
    topics = [topic.split() for topic in TOPICS.split("|")]
    return [" ".join(draw.choice(topics[i % len(topics)], 8)) for i in range(count)]


TEXTS = make_texts()


@pytest.mark.parametrize("cbow", [False, True])
def test_fasttext_reads_the_words_that_our_tokens_are_and_their_vectors(tmp_path, cbow):
    vectors = train_subword_vectors(TEXTS, **SMALL, cbow=cbow, min_count=60)
    save_vectors(vectors, tmp_path / "own.bin")
    theirs = fasttext.load_model(str(tmp_path / "own.bin"))
    counts = Counter(token for text in TEXTS for token in tokenize(text, lowercase=True, split_unspaced=True))
    frequent = {word: count for word, count in counts.items() if count >= 60} | {"</s>": len(TEXTS)}
    words, found = theirs.get_words(include_freq=True)
    assert dict(zip(words, found.tolist(), strict=True)) == frequent
    assert {"天", "气", "goal", ",", "мяч"} <= set(words)
    asked = [*words, "goals", "unseen"]
    np.testing.assert_allclose(vectors.of(asked), [theirs.get_word_vector(word) for word in asked], atol=1e-6)
    assert theirs.f.getArgs().model.name == ("cbow" if cbow else "skipgram")


def test_words_of_one_topic_are_near_each_other():
    vectors = train_subword_vectors(TEXTS, **SMALL | {"epochs": 40}, min_count=60)
    for word, near in (("team", {"goal", "coach", "match"}), ("мяч", {"гол", "победа", ","})):
        assert vectors.neighbours(word, 1)[0].word in near


def test_there_are_four_buckets_for_each_run_of_characters():
    vectors = train_subword_vectors(TEXTS, **SMALL)
    words = {f"<{word}>" for word in vectors.words if word != "</s>"}
    runs = {word[first : first + size] for word in words for size in (2, 3) for first in range(len(word) - size + 1)}
    assert 3.9 * len(runs) < vectors.settings.num_buckets <= 4 * len(runs)  # two of them may have one hash


def test_the_seed_decides_and_nothing_else():
    once, again, other = (train_subword_vectors(TEXTS, **SMALL, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(once.matrix, again.matrix)
    assert not np.array_equal(once.matrix, other.matrix)
    from_iterator = train_subword_vectors(iter(TEXTS), **SMALL, seed=1)
    assert np.array_equal(once.matrix, from_iterator.matrix)


def test_capitals_and_unspaced_scripts_can_stay():
    words = train_subword_vectors(TEXTS, **SMALL, lowercase=False, split_unspaced=False).words
    assert {"Goal", "天气"} <= set(words)
    assert "goal" not in words


def test_what_cannot_be_trained_is_an_error():
    with pytest.raises(VectorsError, match="400 own texts: 0 words occur 9999 times or more, expected 2"):
        train_subword_vectors(TEXTS, min_count=9999)
    with pytest.raises(ValueError, match="min_n is 4 and max_n is 3"):
        train_subword_vectors(TEXTS, min_n=4, max_n=3)
    with pytest.raises(ValueError, match="epochs is 0, expected 1 or more"):
        train_subword_vectors(TEXTS, epochs=0)


def run(*line):
    return CliRunner().invoke(command, ["vectors", "train", *map(str, line)])


@pytest.fixture
def data(tmp_path):
    rows = [f'"{text}",{"sport" if i % 4 else "money"}' for i, text in enumerate(TEXTS)]
    (tmp_path / "data.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path / "data.csv"


def test_the_command_makes_a_file_that_a_training_takes(data, tmp_path):
    out = tmp_path / "own.bin"
    done = run(data, "--out", out, "--min-n", "2", "--max-n", "3", "--dim", "8", "--epochs", "2", "--seed", "7")
    assert done.exit_code == 0, done.output
    vectors = load_vectors(out)
    assert isinstance(vectors, SubwordVectors)
    assert f"{len(vectors.words)} words x 8 written to {out}" in done.stderr
    assert np.array_equal(vectors.matrix, train_subword_vectors(TEXTS, **SMALL, seed=7).matrix)
    model = rubrica.train(str(data), vectors=out, config=rubrica.make_config(model={"name": "bag"}))
    assert model.config.model.embedding_dim == 8


def test_a_text_file_gets_the_vectors_of_the_words(data, tmp_path):
    line = (data, "--max-n", "3", "--dim", "8", "--epochs", "1", "--cbow")
    for name in ("own.vec", "own.bin"):
        assert run(*line, "--out", tmp_path / name).exit_code == 0
    whole, words = load_vectors(tmp_path / "own.bin"), load_vectors(tmp_path / "own.vec")
    assert whole.settings.kind == "cbow"
    assert words.words == whole.words
    assert np.array_equal(words.matrix, whole.matrix)


@pytest.mark.parametrize(
    ("line", "message"),
    [(["--min-n", "3"], "--min-n requires --max-n"), (["--max-n", "2"], "--max-n 2 is below --min-n 3")],
)
def test_lengths_that_fit_no_run_are_a_wrong_usage(data, tmp_path, line, message):
    done = run(data, "--out", tmp_path / "own.bin", *line)
    assert done.exit_code == 2
    assert message in done.stderr


def test_ctrl_c_leaves_no_file(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_NUMBERS_PER_STRETCH", 10_000)
    calls = interrupt(monkeypatch, Trainer, "learn", call=3)
    done = run(data, "--out", tmp_path / "own.bin", "--max-n", "3")
    assert done.exit_code == 1
    assert len(calls) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"data.csv"}


def test_gensims_vectors_foresee_words_by_their_neighbours_too(data, tmp_path):
    pytest.importorskip("gensim")
    made = {}
    for name in ("skipgram", "cbow"):
        out = tmp_path / f"{name}.vec"
        assert run(data, "--out", out, "--dim", "8", *(["--cbow"] * (name == "cbow"))).exit_code == 0
        made[name] = load_vectors(out)
    assert set(made["skipgram"].words) == set(made["cbow"].words)
    assert not np.array_equal(made["skipgram"].matrix, made["cbow"].matrix)
