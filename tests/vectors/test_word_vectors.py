"""Cache, writing, training, and names."""

import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rubrica.errors import VectorsError
from rubrica.vectors import stored as module
from rubrica.vectors.stored import load_vectors, read_vectors, save_vectors
from rubrica.vectors.word_vectors import Vectors, train_vectors

THREE = "red 1 2\ngreen 3 4.5\nblue -5e-1 6\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("RUBRICA_CACHE", str(folder))
    return folder


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "colors.txt"
    path.write_text(THREE)
    return path


def assert_equal(ours, words, matrix):
    assert ours.words == words
    np.testing.assert_array_equal(ours.matrix, matrix)


def test_second_load_comes_from_the_cache_and_equals_the_first(path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    first = load_vectors(path)
    assert "from the cache" not in caplog.text
    monkeypatch.setattr(module, "read_file", None)  # The file cannot be read again.
    second = load_vectors(str(path))
    assert "from the cache" in caplog.text
    assert isinstance(second.matrix, np.memmap)
    assert not second.matrix.flags.writeable
    assert_equal(second, first.words, first.matrix)
    assert first.source == second.source == str(path)
    assert first.dim == second.dim == 2


@pytest.mark.parametrize("change", ["content", "time", "place"])
def test_changed_file_misses_the_cache(path, change):
    before = path.stat()
    load_vectors(path)
    if change == "content":  # as many bytes, at the same time
        path.write_text(THREE.replace("red 1", "tan 7"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert load_vectors(path).words[0] == "tan"
    elif change == "time":  # of a file whose middle could have changed
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        assert not isinstance(load_vectors(path).matrix, np.memmap)
    else:
        assert not isinstance(load_vectors(path.rename(path.with_name("moved"))).matrix, np.memmap)


@pytest.mark.parametrize("name", ["words.json", "matrix.f32"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "garbled", "of another file"])
def test_broken_cache_entry_is_read_anew_and_mended(path, cache, name, damage):
    expected = load_vectors(path)
    (entry,) = (cache / "vectors").iterdir()
    file = entry / name
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "of another file":
        other = path.with_name("other")
        other.write_text("one 1\n")
        load_vectors(other)
        (another,) = {*(cache / "vectors").iterdir()} - {entry}
        file.write_bytes((another / name).read_bytes())
    else:
        file.write_bytes({"empty": b"", "cut": whole[:-3], "garbled": b"\xff" * len(whole)}[damage])
    again = load_vectors(path)
    assert not isinstance(again.matrix, np.memmap)
    assert_equal(again, expected.words, expected.matrix)
    assert file.read_bytes() == whole
    assert isinstance(load_vectors(path).matrix, np.memmap)


def test_words_of_json_that_is_no_list_are_a_broken_entry(path, cache):
    load_vectors(path)
    (entry,) = (cache / "vectors").iterdir()
    (entry / "words.json").write_text('{"red": 0, "green": 1, "blue": 2}')
    assert load_vectors(path).words == ["red", "green", "blue"]


def test_cache_that_cannot_be_written_is_a_warning(path, cache, caplog):
    cache.write_text("a file where the folder should be")
    assert load_vectors(path).words == ["red", "green", "blue"]
    assert "the next start will read the file of vectors again" in caplog.text
    assert "from the cache" not in caplog.text


def test_odd_words_come_back_from_the_cache(tmp_path):
    words = ["nan", '"', "\u2028", "\x00", "", "👩‍👩‍👧", "a b"]
    path = tmp_path / "odd"
    path.write_text("".join(f"{word} 1 2\n" for word in ["first", *words]), "utf-8")
    load_vectors(path)
    again = load_vectors(path)
    assert isinstance(again.matrix, np.memmap)
    assert again.words == ["first", *words]


def test_broken_file_leaves_nothing_in_the_cache(path, cache):
    path.write_text("red 1 2\ngreen 3\n")
    with pytest.raises(VectorsError, match="line 2"):
        load_vectors(path)
    assert not cache.exists()


def test_missing_file_unknown_name_and_known_name(tmp_path, monkeypatch):
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "gensim-data"))
    with pytest.raises(VectorsError, match=r"glove-twiter-50: neither a file .* did you mean 'glove-twitter-50'"):
        load_vectors("glove-twiter-50")
    with pytest.raises(VectorsError, match=r"not downloaded yet, .* rubrica vectors get glove-twitter-50"):
        load_vectors("glove-twitter-50")
    with pytest.raises(VectorsError, match="cannot be read: No such file"):
        read_vectors(tmp_path / "missing.txt")
    file = tmp_path / "gensim-data" / "glove-twitter-50" / "glove-twitter-50.gz"
    file.parent.mkdir(parents=True)
    file.write_text(THREE)  # gzip or not is found by content
    vectors = load_vectors("glove-twitter-50")
    assert vectors.words == ["red", "green", "blue"]
    assert vectors.source == "glove-twitter-50"


def test_home_folder_is_understood(path, monkeypatch):
    monkeypatch.setenv("HOME", str(path.parent))
    assert load_vectors("~/colors.txt").dim == 2


WORDS = st.text(st.characters(exclude_characters=" \n", exclude_categories=["Cs"]), max_size=8)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def tables(draw):
    words = draw(st.lists(WORDS, min_size=1, max_size=6, unique=True))
    dim = draw(st.integers(2, 4))
    rows = [draw(st.lists(FLOATS, min_size=dim, max_size=dim)) for _ in words]
    return words, np.array(rows, np.float32)


@settings(max_examples=150, deadline=None)
@given(table=tables())
@example(table=([""], np.array([[0.01, 0]], np.float32)))  # whose first byte is a line end
@pytest.mark.parametrize("ending", [".vec", ".bin"])
def test_saved_vectors_read_back_bit_for_bit_here_and_in_gensim(tmp_path_factory, ending, table):
    words, matrix = table
    path = tmp_path_factory.mktemp("saved") / f"v{ending}"
    save_vectors(Vectors(words, matrix, "test"), path)
    ours = read_vectors(path)
    assert ours.words == words
    assert ours.matrix.tobytes() == matrix.tobytes()  # -0.0 too
    theirs = KeyedVectors.load_word2vec_format(str(path), binary=ending == ".bin")
    assert theirs.index_to_key == words
    assert theirs.vectors.tobytes() == matrix.tobytes()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_any_float32_is_saved_with_enough_digits(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2**32, (5000, 4), np.uint32)
    matrix = bits.view(np.float32)
    matrix = matrix[np.isfinite(matrix).all(axis=1)]
    path = tmp_path / "v.vec"
    save_vectors(Vectors([f"w{i}" for i in range(len(matrix))], matrix, "test"), path)
    assert read_vectors(path).matrix.tobytes() == matrix.tobytes()


def test_save_refuses_what_no_reader_could_read(tmp_path):
    one = np.ones((1, 2), np.float32)
    with pytest.raises(VectorsError, match=r"ending '\.npz', expected \.txt, \.vec \(text\) or \.bin"):
        save_vectors(Vectors(["a"], one, ""), tmp_path / "v.npz")
    for word in ("new york", "new\nyork"):
        with pytest.raises(VectorsError, match="holds a space or a line end"):
            save_vectors(Vectors([word], one, ""), tmp_path / "v.vec")
    (tmp_path / "file").write_text("")
    with pytest.raises(VectorsError, match=r"cannot be written \(.*\); give another place"):
        save_vectors(Vectors(["a"], one, ""), tmp_path / "file" / "v.vec")
    save_vectors(Vectors(["a"], one, ""), tmp_path / "new" / "v.vec")
    (tmp_path / "folder.vec").mkdir()
    with pytest.raises(VectorsError, match=r"cannot be written \(Is a directory\)"):
        save_vectors(Vectors(["a"], one, ""), tmp_path / "folder.vec")
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "new", "v.vec", "folder.vec"}


TEXTS = ["The cat sat.", "The dog sat.", "A cat and a dog!", "the dog and the cat"] * 10


def test_trained_vectors_know_the_frequent_words():
    vectors = train_vectors(TEXTS, dim=4, min_count=20, epochs=1)
    assert set(vectors.words) == {"the", "cat", "dog", "sat", ".", "a", "and"}
    assert vectors.words[0] == "the"
    assert vectors.matrix.shape == (7, 4)
    assert vectors.matrix.dtype == np.float32
    assert vectors.source == "40 own texts"
    assert "The" in train_vectors(TEXTS, dim=4, min_count=20, epochs=1, lowercase=False).words


def test_trained_vectors_split_scripts_without_spaces():
    settings = {"dim": 2, "min_count": 4, "epochs": 1}
    assert set(train_vectors(["天气 ok"] * 4, **settings).words) == {"天", "气", "ok"}
    assert set(train_vectors(["天气 ok"] * 4, **settings, split_unspaced=False).words) == {"天气", "ok"}


def test_training_takes_any_iterable_once():
    once = train_vectors((text for text in TEXTS), dim=4, epochs=2)
    assert_equal(once, *(lambda v: (v.words, v.matrix))(train_vectors(TEXTS, dim=4, epochs=2)))


def test_training_moves_the_vectors_and_depends_on_the_seed():
    one, two = train_vectors(TEXTS, dim=4, epochs=1), train_vectors(TEXTS, dim=4, epochs=20)
    assert not np.array_equal(one.matrix, two.matrix)
    assert not np.array_equal(one.matrix, train_vectors(TEXTS, dim=4, epochs=1, seed=1).matrix)


def test_two_processes_train_identical_bytes():
    code = f"""
import sys
from rubrica.vectors.word_vectors import train_vectors
vectors = train_vectors({TEXTS!r}, dim=4, min_count=2)
sys.stdout.buffer.write(repr(vectors.words).encode() + vectors.matrix.tobytes())
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    outputs = [
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    ]
    assert len(outputs[0]) > 100
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(("texts", "found"), [([], 0), (["one " * 9], 1), (["all are rare"], 0)])
def test_too_few_words_are_an_error(texts, found):
    with pytest.raises(VectorsError, match=f"own texts: {found} words occur 5 times or more, expected 2"):
        train_vectors(texts)


def test_few_words_are_a_warning(caplog):
    train_vectors(TEXTS, dim=50, epochs=1)
    assert "only 8 words occur 5 times, fewer than dim 50" in caplog.text


def test_a_table_is_shown_in_one_line():
    assert repr(Vectors([f"word{i}" for i in range(4000)], np.zeros((4000, 3), np.float32), "mine")) == (
        "<Vectors: 4,000 words of 3 numbers, mine>"
    )
