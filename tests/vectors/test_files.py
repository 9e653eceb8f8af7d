"""The readers against gensim and safetensors, on real files, odd files and broken files."""

import gzip
import json
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from safetensors.numpy import load_file, save_file

from rubrica.errors import VectorsError
from rubrica.vectors import files as vectors_files
from rubrica.vectors.stored import read_vectors


def zipped(content):
    """Without the time of day in it, so that a test has the same name in every process."""
    return gzip.compress(content, mtime=0)


SHARED = Path(__file__).parents[3] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="the real vectors of ../shared are not here")

THREE = b"red 1 2\ngreen 3 4.5\nblue -5e-1 6\n"
ROWS = [[1, 2], [3, 4.5], [-0.5, 6]]
COLORS = ["red", "green", "blue"]


def binary(words, rows, *, newline=b"\n", count=None):
    rows = np.asarray(rows, "<f4")
    header = b"%d %d\n" % (len(words) if count is None else count, rows.shape[1])
    return header + b"".join(w.encode() + b" " + r.tobytes() + newline for w, r in zip(words, rows, strict=True))


def write(folder, content, name="vectors"):
    path = folder / name
    path.write_bytes(content)
    return path


def read_with_gensim(path, **how):
    with warnings.catch_warnings():
        # With no_header gensim opens the file twice and closes it once.
        warnings.filterwarnings("ignore", "unclosed file", ResourceWarning)
        return KeyedVectors.load_word2vec_format(str(path), **how)


def assert_equal_to_gensim(path, block_bytes=8 << 20, **how):
    theirs = read_with_gensim(path, **how)
    ours = read_vectors(path, block_bytes=block_bytes)
    # For each word that occurred again, gensim leaves a word None with a row of zeros at the end.
    words = [word for word in theirs.index_to_key if word is not None]
    assert ours.words == words
    assert ours.matrix.dtype == np.float32
    assert ours.matrix.flags.c_contiguous
    np.testing.assert_array_equal(ours.matrix, theirs.vectors[: len(words)])
    return ours


@needs_shared
@pytest.mark.parametrize(
    ("name", "how", "shape"),
    [
        ("glove.twitter.27B.25d.12k.txt", {"no_header": True}, (11_925, 25)),
        ("glove.6B.50d.5k.vec.gz", {}, (5_050, 50)),
        ("word2vec-google-news-300.8k.bin", {"binary": True}, (8_000, 300)),
    ],
)
def test_real_files_equal_gensim(name, how, shape):
    assert assert_equal_to_gensim(SHARED / "vectors" / name, **how).matrix.shape == shape


@needs_shared
def test_real_model2vec_folder_equals_its_parts():
    folder = SHARED / "vectors" / "potion-base-4m"
    vectors = read_vectors(folder)
    vocab = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert {word: i for i, word in enumerate(vectors.words)} == vocab
    np.testing.assert_array_equal(
        vectors.matrix, load_file(folder / "model.safetensors")["embeddings"].astype(np.float32)
    )


def test_equal_whatever_the_size_of_a_block(tmp_path):
    """Lines and records lie across the borders of blocks in every possible way."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3)).astype(np.float32)
    words = ["ж" * int(n) + str(i) for i, n in enumerate(rng.integers(0, 9, 40))]
    text = "".join(f"{w} {' '.join(map(str, r))}\n" for w, r in zip(words, rows.tolist(), strict=True)).encode()
    paths = [
        write(tmp_path, text, "glove"),
        write(tmp_path, b"40 3\n" + text, "word2vec"),
        write(tmp_path, binary(words, rows), "bin"),
        write(tmp_path, binary(words, rows, newline=b""), "bin without line ends"),
        write(tmp_path, zipped(binary(words, rows)), "bin gz"),
    ]
    for block_bytes in (1, 2, 7, 64, 1000, 8 << 20):
        for path in paths:
            vectors = read_vectors(path, block_bytes=block_bytes)
            assert vectors.words == words
            np.testing.assert_array_equal(vectors.matrix, rows)


@pytest.mark.parametrize("end", [b"\n", b" \n", b"\r\n", b"  \n", b" \r\n"])
@pytest.mark.parametrize("header", [b"", b"3 2\n", b"3 2\r\n", b"3 2 \n"])
@pytest.mark.parametrize("pack", [bytes, zipped])
def test_line_ends_headers_and_gzip(tmp_path, end, header, pack):
    path = write(tmp_path, pack(header + THREE.replace(b"\n", end)), "v.gz" if pack is zipped else "v")
    vectors = assert_equal_to_gensim(path, no_header=not header)
    assert vectors.words == COLORS
    np.testing.assert_array_equal(vectors.matrix, ROWS)


def test_the_spaces_of_word2vec_at_the_line_ends_do_not_slow_the_reading():
    words, matrix = vectors_files._parse_fast(b"a 1 2 \nb 3 4 \n", 2)
    assert words == ["a", "b"]
    np.testing.assert_array_equal(matrix, [[1, 2], [3, 4]])


@pytest.mark.parametrize("content", [THREE[:-1], b"3 2\n" + THREE[:-1], b"3 2\n" + THREE + b"\n\n"])
def test_the_last_line_may_lack_its_end_and_blank_lines_may_follow(tmp_path, content):
    path = write(tmp_path, content)
    assert_equal_to_gensim(path, no_header=not content.startswith(b"3"))


ODD_WORDS = [
    *("nan", "NaN", "null", "NULL", "NA", "N/A", "None", "inf", "true", "1", "-0.5", "#N/A"),
    *('"', '""', '"open', "it's", "'", ",", ";", "\\", "\\n", "#", "a\tb", "\t"),
    *("\x85", "\xa0", "a\xa0b", "\u2028", "\u200b", "\ufeff", "\ufeffmark", "\r", "a\rb", "\x0b", "\x1c", "\x00"),
    *("", "</s>", "ёж", "日本", "👩‍👩‍👧", "e\u0301", "x" * 5000),
]


@pytest.mark.parametrize("header", [True, False])
def test_odd_words_survive(tmp_path, header):
    lines = "".join(f"{word} {i} 0.5\n" for i, word in enumerate(["first", *ODD_WORDS]))
    path = write(tmp_path, ((f"{len(ODD_WORDS) + 1} 2\n" if header else "") + lines).encode())
    assert assert_equal_to_gensim(path, no_header=not header).words == ["first", *ODD_WORDS]


@pytest.mark.parametrize("word", ODD_WORDS)
def test_odd_word_at_the_start_of_a_file(tmp_path, word):
    content = f"{word} 1 2 3\nplain 4 5 6\n".encode()
    assert assert_equal_to_gensim(write(tmp_path, content), no_header=True).words == [word, "plain"]


@pytest.mark.parametrize("word", ODD_WORDS)
def test_odd_word_at_the_start_of_a_block(tmp_path, word):
    path = write(tmp_path, f"plain 4 5 6\nsecond 4 5 6\n{word} 1 2 3\n".encode())
    assert assert_equal_to_gensim(path, no_header=True, block_bytes=1).words == ["plain", "second", word]


def test_byte_order_mark_before_a_header_is_dropped(tmp_path):
    assert read_vectors(write(tmp_path, b"\xef\xbb\xbf3 2\n" + THREE)).words == COLORS


def test_words_with_spaces_keep_their_place(tmp_path):
    spaced = [", ", ". . .", "at name@domain.com", " lead", "a  b", "1 x"]
    words = ["first", *spaced[:3], "between", *spaced[3:], "last"]
    content = "".join(f"{word} {i} -{i}.5 1\n" for i, word in enumerate(words)).encode()
    vectors = read_vectors(write(tmp_path, content))
    assert vectors.words == words
    np.testing.assert_array_equal(vectors.matrix[:, 0], np.arange(len(words)))
    np.testing.assert_array_equal(vectors.matrix[:, 1], -np.arange(len(words)) - 0.5)


def test_a_lone_carriage_return_ends_no_line(tmp_path):
    """To pyarrow these are three lines, and good ones."""
    assert read_vectors(write(tmp_path, b"red 1 2\ngreen 3 4\rblue 5 6\n")).words == ["red", "green 3 4\rblue"]


def test_numbers_are_rounded_as_gensim_rounds_them(tmp_path):
    """The first is 1 + 2**-24 and a bit: float32 above 1, but exactly 1 when rounded to float64 on the way."""
    numbers = ["1.00000005960464477539062500000001", "+1.5", "1e-50", "-0", "3.4028235e38", ".5", "5.", "1E2"]
    vectors = assert_equal_to_gensim(write(tmp_path, f"a {' '.join(numbers)}\n".encode()), no_header=True)
    assert vectors.matrix[0, 0] == 1
    plain = [number for number in numbers if number[0] != "+"]
    path = write(tmp_path, f"a {' '.join(plain)}\n".encode())
    assert vectors_files._parse_fast(path.read_bytes(), len(plain))  # the other of the two ways
    assert_equal_to_gensim(path, no_header=True)


@pytest.mark.parametrize("how", ["text", "binary"])
def test_first_of_equal_words_stays(tmp_path, caplog, how):
    words, rows = ["a", "b", "a", "c", "b"], [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    text = b"5 2\n" + b"".join(b"%s %d %d\n" % (w.encode(), *r) for w, r in zip(words, rows, strict=True))
    path = write(tmp_path, text if how == "text" else binary(words, rows))
    assert assert_equal_to_gensim(path, binary=how == "binary").words == ["a", "b", "c"]
    assert "2 words occur again" in caplog.text


@pytest.mark.parametrize("content", [b"2 2\n" + THREE, binary(COLORS, ROWS, count=2)])
def test_more_than_the_header_says_is_left_out_with_a_warning(tmp_path, caplog, content):
    vectors = assert_equal_to_gensim(write(tmp_path, content), binary=b"\0" in content)
    assert vectors.words == ["red", "green"]
    assert "the rest is left out" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (zipped(b""), "the file is empty"),
        (b"\n\n", "line 1: one column"),
        (b"just\nsome\n", "line 1: one column"),
        (b"some prose here\nmore of it\n", "line 1: 'prose', expected a finite number"),
        (b"red 1 2\ngreen 3\nblue 5 6\n", "line 2: 1 numbers, expected 2 as in line 1"),
        (b"red 1 2\ngreen 3 4\n\nblue 5 6\n", "line 3: 0 numbers, expected 2 as in line 1"),
        (b"red 1 2\ngreen 3 4 5\n", "line 2: 3 numbers, expected 2 as in line 1"),
        (b"red 1 2\ngreen 3 x4\n", "line 2: 'x4', expected a finite number"),
        (b"red 1 2\ngreen 3 \xff\n", r"line 2: '\\\\xff', expected a finite number"),
        (b"red 1 2\ngreen nan 2\n", "line 2: 'nan', expected a finite number"),
        (b"red 1 2\ngreen 1 -inf\n", "line 2: '-inf', expected a finite number"),
        (b"red 1 2\ngreen 1 1e39\n", "line 2: '1e39', expected a finite number"),
        (b"red 1 2\ngr\xe9en 3 4\n", "line 2: not UTF-8"),
        (b"2 3\n" + THREE, "line 2: 2 numbers, expected 3 as the header says"),
        (b"3 2\nred 1 2 3\n", "line 2: 3 numbers, expected 2 as the header says"),
        (b"3 2\nred one 2\n", "line 2: 'one', expected a finite number"),
        (b"1 999999999999\nred 1 2\n", "line 1: 999999999999 numbers a word"),
        (b"5 0\n", "line 1: 0 numbers a word"),
        (b"0 5\n", "no words"),
        (b"4 2\n" + THREE, "3 words, the header says 4; the file is cut off"),
        (b"4 2\n", "0 words, the header says 4; the file is cut off"),
        (binary(COLORS, ROWS)[:-3], r"word 3 of 3 \('blue'\): 6 bytes, expected 8"),
        (binary(COLORS, ROWS)[:-11], r"word 3 of 3 \('blu'\): 0 bytes, expected 8"),
        (binary(COLORS, ROWS, count=4), r"word 4 of 4 \(''\): 0 bytes, expected 8"),
        (binary(COLORS, [[1, 2], [3, np.inf], [5, 6]]), r"word 2 \('green'\) has inf or nan"),
        (binary(COLORS, ROWS).replace(b"green", b"gr\xe9en"), "word 2 is not UTF-8"),
        (zipped(THREE)[:-9], "the gzip file is cut off or damaged"),
        (zipped(binary(COLORS, ROWS))[:-9], "the gzip file is cut off or damaged"),
        (zipped(THREE)[:-8] + b"12345678", "the gzip file is cut off or damaged"),
        (zipped(binary(COLORS, ROWS))[:-8] + b"12345678", "the gzip file is cut off or damaged"),
        (zipped(THREE)[:10] + b"\xff" * 20, "the gzip file is cut off or damaged"),
        (b"\x1f\x8bnonsense", "the gzip file is cut off or damaged"),
        (b"\x80\x04\x95\x00", "a Python pickle"),
        (b"\xba\x16\x4f\x2f\x0c\x00", "the settings should have"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(VectorsError, match=message) as caught:
        read_vectors(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_line_of_an_error_counts_over_blocks(tmp_path):
    path = write(tmp_path, b"1000 2\n" + b"word 1 2\n" * 500 + b"word 1\n")
    with pytest.raises(VectorsError, match="line 502: 1 numbers, expected 2"):
        read_vectors(path, block_bytes=50)


@pytest.mark.parametrize(
    "content", [b"3 2\n" + THREE, binary(COLORS, ROWS), zipped(b"3 2\n" + THREE)], ids=["txt", "bin", "gz"]
)
def test_every_cut_of_a_file_with_a_header_is_an_error(tmp_path, content):
    for size in range(len(content) - 1):  # The line end after the last number may be missing.
        with pytest.raises(VectorsError):
            read_vectors(write(tmp_path, content[:size]))


# The first number holds the byte of a line end, so that reading a line of it does not reach the end of the file.
HOLDS_LINE_END = [[2.15625, 2], *ROWS[1:]]


@pytest.mark.parametrize("content", [b"3 2\n" + THREE, binary(COLORS, HOLDS_LINE_END, newline=b"")], ids=["txt", "bin"])
def test_the_sum_of_a_gzip_file_is_checked_to_its_end(tmp_path, content):
    with pytest.raises(VectorsError, match="cut off or damaged"):
        read_vectors(write(tmp_path, zipped(content)[:-8] + b"12345678"), block_bytes=1)


def model2vec(folder, vocab, tensors, *, kind="WordPiece", added=()):
    tokenizer = {"added_tokens": list(added), "model": {"type": kind, "vocab": vocab}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.float32, np.float64])
def test_model2vec_words_stand_in_the_order_of_their_ids(tmp_path, dtype):
    embeddings = np.array([[1, -2], [3, 4], [5, 6]], dtype)
    vectors = read_vectors(model2vec(tmp_path, {"c": 2, "a": 0, "b": 1}, {"embeddings": embeddings}))
    assert vectors.words == ["a", "b", "c"]
    assert vectors.matrix.dtype == np.float32
    np.testing.assert_array_equal(vectors.matrix, [[1, -2], [3, 4], [5, 6]])


def test_model2vec_mapping_weights_unigram_and_added_tokens(tmp_path):
    tensors = {
        "embeddings": np.array([[1, 2], [3, 4]], np.float16),
        "mapping": np.array([1, 0, 1]),
        "weights": np.array([1, 0.5, 10], np.float64),
    }
    added = [{"id": 2, "content": "[NEW]"}]
    vectors = read_vectors(model2vec(tmp_path, [["▁a", -1.5], ["b", -2]], tensors, kind="Unigram", added=added))
    assert vectors.words == ["▁a", "b", "[NEW]"]
    np.testing.assert_array_equal(vectors.matrix, [[3, 4], [0.5, 1], [30, 40]])


TWO = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("vocab", "tensors", "message"),
    [
        ({"a": 0, "b": 1}, {"weights": TWO[0]}, r"tensors \['weights'\], expected a matrix called 'embeddings'"),
        ({"a": 0, "b": 1}, {"embeddings": TWO[0]}, "expected a matrix called 'embeddings'"),
        ({"a": 0}, {"embeddings": TWO}, r"2 vectors, weights \(2,\), expected 1 of each"),
        ({"a": 0, "b": 1}, {"embeddings": TWO, "weights": TWO[0]}, r"2 vectors, weights \(3,\), expected 2 of each"),
        ({"a": 0, "b": 1}, {"embeddings": TWO, "weights": TWO[:, :1]}, r"2 vectors, weights \(2, 1\), expected 2"),
        ({"a": 0}, {"embeddings": TWO, "mapping": np.zeros(1, np.float32)}, r"'mapping' is float32 \(1,\), expected a"),
        ({"a": 0}, {"embeddings": TWO, "mapping": np.zeros((1, 1), int)}, r"'mapping' is int64 \(1, 1\), expected a"),
        ([[3, -1.0]], {"embeddings": TWO[:1]}, "no vocabulary with ids from 0 on"),
        ({"a": 0, "b": 1}, {"embeddings": TWO, "mapping": np.array([0, 2])}, "'mapping' up to 2 for 2 rows"),
        ({"a": 0, "b": 1}, {"embeddings": TWO * np.array([[1], [np.nan]])}, r"word 2 \('b'\) has inf or nan"),
        ({"a": 0, "b": 2}, {"embeddings": TWO}, "no vocabulary with ids from 0"),
        ("nonsense", {"embeddings": TWO}, "no vocabulary with ids from 0"),
        ({}, {"embeddings": TWO[:0]}, "no words"),
    ],
)
def test_model2vec_faults_are_named(tmp_path, vocab, tensors, message):
    with pytest.raises(VectorsError, match=message):
        read_vectors(model2vec(tmp_path, vocab, tensors))


def test_model2vec_folder_must_be_whole(tmp_path):
    with pytest.raises(VectorsError, match=r"the folder has no model\.safetensors"):
        read_vectors(tmp_path)
    folder = model2vec(tmp_path, {"a": 0}, {"embeddings": TWO[:1]})
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-1])
    with pytest.raises(VectorsError, match=r"model.safetensors: cannot be read"):
        read_vectors(folder)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(VectorsError, match=r"tokenizer.json: no vocabulary"):
        read_vectors(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(VectorsError, match=r"the folder has no tokenizer.json"):
        read_vectors(folder)


def test_model2vec_in_a_type_that_nobody_knows(tmp_path):
    folder = model2vec(tmp_path, {"a": 0}, {"embeddings": TWO[:1]})
    header = json.dumps({"embeddings": {"dtype": "X9", "shape": [1, 2], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(VectorsError, match="cannot be read"):
        read_vectors(folder)
