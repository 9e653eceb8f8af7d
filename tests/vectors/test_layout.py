"""Files of vectors as many programs write them: what parts the fields, how wide they are, and what is named."""

import io
import json

import numpy as np
import pytest
from safetensors.numpy import save

from rubrica.errors import VectorsError
from rubrica.vectors import files as vectors_files
from rubrica.vectors.stored import read_vectors

WORDS = ["oak", "ель", "silver birch", "7", "elm"]
ROWS = [[0.25, -1.5, 3], [1, 2e-3, -0.5], [0.125, 7, 8], [-4, 0.75, 1], [6, 5, 0]]
NUMPY_ROWS = np.array(ROWS, np.float32)


def lines(after_word=" ", between=" ", end="\n", words=WORDS):
    return "".join(f"{w}{after_word}{between.join(map(str, r))}{end}" for w, r in zip(words, ROWS, strict=True))


PLAIN = lines()


def read(folder, content):
    path = folder / "vectors"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_vectors(path)


@pytest.mark.parametrize("after_word", ["\t", "  "])
def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path, after_word):
    assert read(tmp_path, "\ufeff" + lines(after_word)).words == WORDS


ALIGNED = "".join(f"{w:>14} {' '.join(f'{x:8.3f}' for x in r)}\n" for w, r in zip(WORDS, ROWS, strict=True))


@pytest.mark.parametrize("header", ["", "5 3\n", "5\t3\n", "5  3\r\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\t\n", "  \n"])
@pytest.mark.parametrize(
    ("after_word", "between"), [("\t", " "), ("\t", "\t"), (" ", "\t"), ("  ", " "), (" ", "   "), ("\t", "  ")]
)
def test_tabs_and_runs_of_spaces_part_the_fields(tmp_path, header, end, after_word, between):
    vectors = read(tmp_path, header + lines(after_word, between, end))
    assert vectors.words == WORDS
    np.testing.assert_array_equal(vectors.matrix, NUMPY_ROWS)


@pytest.mark.parametrize("content", [ALIGNED, ALIGNED.replace(" " * 10, ""), "5 3\n" + ALIGNED])
def test_aligned_columns(tmp_path, content):
    vectors = read(tmp_path, content)
    assert vectors.words == WORDS
    np.testing.assert_array_equal(vectors.matrix, NUMPY_ROWS)


@pytest.mark.parametrize("between", [" ", "\t"])
def test_a_tab_behind_each_word_is_read_all_at_once(between):
    block = lines("\t", between, words=["a", "b", "c", "d", "e"]).encode()
    words, matrix = vectors_files._parse_fast(block, 3, b"\t")
    assert words == ["a", "b", "c", "d", "e"]
    np.testing.assert_array_equal(matrix, NUMPY_ROWS)


def test_a_word_before_a_tab_may_end_in_a_number(tmp_path):
    vectors = read(tmp_path, "oak\t1 2\nroute 66\t3 4\n12\t5 6\nash\t7 8\n")
    assert vectors.words == ["oak", "route 66", "12", "ash"]
    np.testing.assert_array_equal(vectors.matrix, [[1, 2], [3, 4], [5, 6], [7, 8]])
    with pytest.raises(VectorsError, match="line 2: 1 numbers, expected 2 as in line 1"):
        read(tmp_path, "oak\t1 2\nroute 66\t3\n12\t5 6\nash\t7 8\n")


def test_a_few_runs_of_spaces_in_a_plain_file(tmp_path):
    vectors = read(tmp_path, PLAIN + "ash 1  2 3\nsilver fir 4  5   6\n")
    assert vectors.words == [*WORDS, "ash", "silver fir"]
    np.testing.assert_array_equal(vectors.matrix[5:], [[1, 2, 3], [4, 5, 6]])
    with pytest.raises(VectorsError, match=r"line 6: .* numbers, expected 3 as in line 1"):
        read(tmp_path, PLAIN + "ash 1  2 3 4\n")


@pytest.mark.parametrize("block_bytes", [1, 8 << 20])
def test_the_first_word_may_hold_spaces(tmp_path, block_bytes):
    path = tmp_path / "vectors"
    path.write_text("silver birch tree 1 2\noak 3 4\n7 5 6\nelm 7 8\n")
    vectors = read_vectors(path, block_bytes=block_bytes)
    assert vectors.words == ["silver birch tree", "oak", "7", "elm"]
    np.testing.assert_array_equal(vectors.matrix, [[1, 2], [3, 4], [5, 6], [7, 8]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("oak 1\nelm 3 4\nash 5 6\n", "line 1: 1 numbers, expected 2 as in most lines"),
        ("oak 1 2 3\nelm 3 4\nash 5 6\n", "line 1: 3 numbers, expected 2 as in most lines"),
        ("# made by me\noak 1 2\nelm 3 4\n", "line 1: 'by', expected a finite number"),
        ("oak 1 2\nelm 3\nash 5 6\n", "line 2: 1 numbers, expected 2 as in line 1"),
        ("oak\t1\t2\nelm\t3\nash\t5\t6\n", "line 2: 1 numbers, expected 2 as in line 1"),
        ("oak\t1\t2\nelm\t3\tx\nash\t5\t6\n", "line 2: 'x', expected a finite number"),
        ("3\t2\noak\t1\t2\nelm\t3\t4\n", "2 words, the header says 3; the file is cut off"),
        ("3 4\noak\t1 2\nelm\t3 4\n", "line 2: 2 numbers, expected 4 as the header says"),
        ("oak 1 x 2\n", "line 1: 'x', expected a finite number"),
        ("oak\t0\t1\t2\n".replace("oak", "") + lines("\t", "\t"), "line 1: numbers of columns"),
    ],
)
def test_a_wrong_line_has_its_number(tmp_path, content, message):
    with pytest.raises(VectorsError, match=message):
        read(tmp_path, content)


def saved(save_array, *args, **arrays):
    file = io.BytesIO()
    save_array(file, *args, **arrays)
    return file.getvalue()


DECIMAL_COMMAS = "oak 0,25 -1,5\nelm 3,5 0,125\n7 0 1,5\n"
PARTED_BY_COMMAS = lines(",", ",")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("oak 9:0.5 12:1\nelm 3:0.25\nash 1:1\n", r"line 1: sparse vectors \(oak 9:0.5 12:1\)"),
        ("3 20\noak 9:0.5 12:1\nelm 3:0.25\nash 1:1\n", "line 2: sparse vectors"),
        ("oak\t9:0.5\t12:1e-3\n", "line 1: sparse vectors"),
        ("1 9:-.5 12:1\n0 3:0.25\n", "line 1: sparse vectors"),
        (PARTED_BY_COMMAS, r"line 1: comma-separated \(oak,0.25,-1.5,3\)"),
        (PARTED_BY_COMMAS.replace("\n", "\r\n"), "line 1: comma-separated"),
        ("word,x,y,z\n" + PARTED_BY_COMMAS, "line 1: comma-separated"),
        ("5 3\n" + PARTED_BY_COMMAS, "line 2: comma-separated"),
        (lines(", ", ", "), "line 1: comma-separated"),
        (lines(" ", ","), "line 1: comma-separated"),
        (lines(";", ";"), "line 1: comma-separated"),
        (PARTED_BY_COMMAS.replace(",", '","').replace("\n", '"\n'), "line 1: comma-separated"),
        (DECIMAL_COMMAS, r"line 1: decimal commas \(oak 0,25 -1,5\)"),
        (DECIMAL_COMMAS.replace(" ", "\t"), "line 1: decimal commas"),
        ("3 2\n" + DECIMAL_COMMAS, "line 2: decimal commas"),
        (PLAIN.replace("\n", "\r"), "line 1: lines end in a carriage return alone"),
        (PLAIN.encode("utf-16"), "UTF-16 or UTF-32 text"),
        (("5 3\n" + PLAIN).encode("utf-16"), "UTF-16 or UTF-32 text"),
        (PLAIN.encode("utf-32"), "UTF-16 or UTF-32 text"),
        (PLAIN.encode("utf-16-le"), "every other byte is zero, as in UTF-16"),
        (("5 3\n" + PLAIN).encode("utf-16-be"), "every other byte is zero, as in UTF-16"),
        (PLAIN.replace("ель", "él").encode("latin-1"), "line 2: not UTF-8"),
        (json.dumps({"oak": ROWS[0], "elm": ROWS[1]}), "JSON, expected lines of text"),
        (json.dumps({"oak": ROWS[0], "elm": ROWS[1]}, indent=2), "JSON, expected lines of text"),
        (json.dumps({"word": "oak", "vector": ROWS[0]}) + "\n", "JSON, expected lines of text"),
        (saved(np.save, NUMPY_ROWS), "an array of NumPy"),
        (saved(np.savez, a=NUMPY_ROWS, b=NUMPY_ROWS), r"a zip archive of a\.npy, b\.npy, expected one file"),
        (saved(np.savez, NUMPY_ROWS), "an array of NumPy"),
        (save({"embeddings": NUMPY_ROWS}), "a safetensors file"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"ARROW1\x00\x00", "an Arrow file"),
        (b"7z\xbc\xaf\x27\x1c", "an archive; unpack it first"),
        (b"oak".ljust(257, b"\0") + b"ustar\x0000", "an archive; unpack it first"),
        ("\n<!DOCTYPE html>\n<html lang=en>\n", "a web page"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "a pointer of Git LFS"),
    ],
)
def test_other_files_are_named(tmp_path, content, message):
    with pytest.raises(VectorsError, match=message) as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)
    assert "cut off" not in str(caught.value)


@pytest.mark.parametrize("word", ["{", "[", "<html", "PAR1", "BZh9", "9:0.5", "1,2", ",", "0,5", "a,1,2", "UTF-16"])
def test_words_that_look_like_another_format_are_words(tmp_path, word):
    vectors = read(tmp_path, f"{word} 1 2\n" + "oak 3 4\n")
    assert vectors.words == [word, "oak"]
    np.testing.assert_array_equal(vectors.matrix, [[1, 2], [3, 4]])


def test_a_tab_inside_a_word_stays_where_a_header_tells_the_width(tmp_path):
    assert read(tmp_path, "2 2\noak\t1 2 3\nelm\t4 5 6\n").words == ["oak\t1", "elm\t4"]


@pytest.mark.parametrize("header", ["", "2 65537\n"])
def test_vectors_longer_than_any_model_takes_are_refused(tmp_path, header):
    path = tmp_path / "vectors.txt"
    path.write_text(header + ("word" + " 1" * 65_537 + "\n") * 2)
    with pytest.raises(VectorsError, match="line 1: 65537 numbers a word, expected 1 to 65536"):
        vectors_files.read_file(path)


def test_long_vectors_are_read(tmp_path):
    path, matrix = tmp_path / "vectors.txt", np.random.default_rng(0).normal(size=(3, 5000)).astype(np.float32)
    path.write_text("".join(f"w{i} {' '.join(map(str, row.tolist()))}\n" for i, row in enumerate(matrix)))
    words, found = vectors_files.read_file(path)
    assert words == ["w0", "w1", "w2"]
    np.testing.assert_array_equal(found, matrix)
