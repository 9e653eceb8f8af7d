"""Columns of Arrow's strings answer as lists do, and no text of them becomes an object of Python's."""

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

import rubrica
from made_models import LABELS, make, make_bag
from ragged import needs_native
from rubrica.artifact.fasttext_file import write_fasttext
from rubrica.data.arrow_texts import ArrowTexts, text_column
from rubrica.kernels import native
from rubrica.learning.fasttext import FastTextTraining, train_fasttext
from rubrica.models.fasttext import FastText
from rubrica.predict import classifier
from rubrica.predict.classifier import Classifier
from rubrica.text.tokens import Packed, PackedTexts, WordCounter, pack

TEXTS = ["a b c", "", None, "p o n", "é 日本 b", "a " * 40, "\0", None, "c\nb", "Ä d", "a"]
EXPECTED = [text or "" for text in TEXTS]
ODD = ["ΑΣ a", "İ b", "e\u0301 c", "o\u0308", *EXPECTED]  # with a small form that Python knows; not composed

IN_ARROW = {
    "string": lambda texts: pa.array(texts),
    "large": lambda texts: pa.array(texts, pa.large_string()),
    "view": lambda texts: pa.array(texts, pa.string_view()),
    "sliced": lambda texts: pa.array(["x", "é", *texts, "y"])[2:-1],
    "chunked": lambda texts: pa.chunked_array([texts[:2], [], texts[2:7], texts[7:]], pa.string()),
    "sliced chunks": lambda texts: pa.chunked_array([["x", "y"], ["z", *texts[:5]], [*texts[5:], "w"]])[3:-1],
    "table": lambda texts: pa.table({"any": texts}),
    "polars": lambda texts: polars.Series(texts),
    "polars frame": lambda texts: polars.DataFrame({"any": texts}),
    "pandas": lambda texts: pandas.Series(texts, dtype=pandas.StringDtype("pyarrow")),
    "pandas of Arrow": lambda texts: pandas.Series(texts, dtype=pandas.ArrowDtype(pa.string()))[::1],
    "pandas array": lambda texts: pandas.array(texts, dtype=pandas.ArrowDtype(pa.large_string())),
}
OTHERS = {
    "objects": lambda texts: pandas.Series(texts, dtype=object),
    "codes": lambda texts: pa.array(texts).dictionary_encode(),
    "numbers": lambda texts: pa.array([1, 2]),
    "all missing": lambda texts: pa.array([None, None]),
    "list": lambda texts: texts,
}


@pytest.mark.parametrize("name", IN_ARROW)
def test_slices_are_the_texts_in_one_piece(name):
    column = text_column(IN_ARROW[name](TEXTS))
    assert isinstance(column, ArrowTexts)
    assert list(column) == EXPECTED
    for cut in (slice(None), slice(1, 4), slice(4, 9), slice(2, 3), slice(5, 5), slice(9, 99), slice(1, 9, 3)):
        part = column[cut]
        assert isinstance(part, PackedTexts)
        assert list(part) == EXPECTED[cut]
        assert list(part[1:]) == EXPECTED[cut][1:]
        assert part.sizes == [len(text.encode()) for text in EXPECTED[cut]]
        assert pack(part) is part.packed


@pytest.mark.parametrize("name", OTHERS)
def test_other_columns_are_lists(name):
    assert isinstance(text_column(OTHERS[name](TEXTS)), list)


def test_an_empty_column_has_no_texts():
    for column in (pa.array([], pa.string()), pa.chunked_array([], pa.large_string()), polars.Series([], dtype=str)):
        assert list(text_column(column)[:5]) == []
    missing = text_column(pa.array([None, None], pa.string()))[:]
    assert list(missing) == ["", ""]


def test_bytes_of_a_missing_text_are_not_read():
    places, present = np.array([0, 1, 3, 4], np.int32), pa.py_buffer(bytes([0b101]))
    column = pa.StringArray.from_buffers(3, pa.py_buffer(places), pa.py_buffer(b"ab\nc"), present)
    assert list(text_column(column)[:]) == ["a", "", "c"]


def test_a_slice_of_one_piece_is_no_copy():
    array = pa.array(TEXTS)
    place = array.buffers()[2].address
    assert text_column(array)[2:].packed.data.ctypes.data == place + len("a b c")
    assert text_column(array)[2:][3:].packed.data.ctypes.data == place + len("a b cp o né 日本 b".encode())


@pytest.mark.parametrize("lowercase", [True, False])
def test_words_are_counted_as_of_a_list(lowercase):
    found = []
    for texts in (ODD, text_column(pa.array(ODD))[:]):
        counter = WordCounter(lowercase=lowercase, max_length=99)
        counter.add(texts)
        words, counts = counter.words()
        found.append(dict(zip(words, counts.tolist(), strict=True)))
    assert found[0] == found[1]
    assert ("ας" if lowercase else "ΑΣ") in found[0]


def test_without_pyarrow_polars_gives_a_list(monkeypatch):
    series = polars.Series(["a", "b"])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setattr(polars.Series, "to_arrow", lambda self: __import__("pyarrow"))
    assert text_column(series) == ["a", "b"]


def learn(**settings):
    texts, labels = ["a b c", "p o n", "d e f", "c a d"] * 10, ["x", "y", "z", "x"] * 10
    return rubrica.train(texts, labels, config=rubrica.make_config(model=settings))


MODELS = {
    "linear": lambda: learn(name="linear"),
    "bag of runs": lambda: learn(name="bag", min_n=2, max_n=3),
    "bag": lambda: Classifier(make_bag(2)),
    "gru": lambda: make("gru")[0],
    "reads padding": lambda: make("gru", "last", False)[0],
}


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_a_list(name, monkeypatch):
    model = MODELS[name]()
    for texts in (ODD, EXPECTED):
        expected = model.logits(texts)
        for column in (pa.array(texts), pa.chunked_array([texts[:3], texts[3:]])):
            np.testing.assert_array_equal(model.logits(column), expected)
            assert model.predict(column) == model.predict(texts)
            assert model.predict(column, k=2) == model.predict(texts, k=2)
            wanted = [model.labels[0]] * len(texts)
            assert model.evaluate(column, wanted).to_json() == model.evaluate(texts, wanted).to_json()
    if native.library() is not None:
        answers = model.predict(EXPECTED)
        monkeypatch.setattr(PackedTexts, "__iter__", lambda self: pytest.fail("a text became a string"))
        monkeypatch.setattr(classifier, "as_texts", lambda *args, **named: pytest.fail("a list of strings"))
        assert model.predict(pa.array(TEXTS)) == answers


@needs_native  # which trains the model
def test_a_fasttext_model_reads_the_bytes_as_they_are_written(tmp_path, monkeypatch):
    lines = [f"__label__{label} {words}" for label, words in (("x", "a b e\u0301"), ("y", "p o \u00e9"))] * 20
    settings = FastText(embedding_dim=4, min_n=2, max_n=3, num_buckets=50)
    write_fasttext(*train_fasttext(pack(lines), settings, FastTextTraining(lr=1.0)), tmp_path / "m.bin")
    model = rubrica.load(tmp_path / "m.bin")
    expected, answers = model.logits(ODD), model.predict(ODD)
    assert len(np.unique(expected.round(4), axis=0)) > 5
    monkeypatch.setattr(PackedTexts, "__iter__", lambda self: pytest.fail("a text became a string"))
    monkeypatch.setattr(classifier, "as_texts", lambda *args, **named: pytest.fail("a list of strings"))
    np.testing.assert_array_equal(model.logits(pa.array(ODD)), expected)
    assert model.predict(polars.Series(ODD)) == answers


def test_what_is_not_composed_or_no_utf8_is_told():
    data = np.frombuffer("éa".encode(), np.uint8)
    whole = Packed(data, np.array([0, 2]), np.array([2, 3]))
    cut = Packed(data, np.array([0, 1]), np.array([1, 3]))  # inside of a character
    assert PackedTexts(whole).is_composed()
    assert not PackedTexts(cut).is_composed()
    assert not PackedTexts(pack(["e\u0301"])).is_composed()
    assert not PackedTexts(whole._replace(data=data[::-1].copy())).is_composed()
    broken = pa.array([b"a \xff b", b"c"]).view(pa.string())
    with pytest.raises(UnicodeDecodeError):
        make("gru")[0].predict(broken)


@pytest.mark.parametrize("places", [[0, 99, 3], [0, -5, 3]])
def test_a_damaged_column_is_an_error(places):
    content, places = pa.py_buffer(b"abc"), pa.py_buffer(np.array(places, np.int32))
    column = text_column(pa.StringArray.from_buffers(2, places, content))  # pyarrow looks at the last place alone
    with pytest.raises(ValueError, match="a damaged column"):
        column[:]


def test_tables_of_several_columns_are_no_texts():
    with pytest.raises(TypeError, match="a table of 2 columns"):
        make("gru")[0].predict(pa.table({"text": ["a"], "id": [1]}))
    assert make("gru")[0].predict(pa.array(["a"]))[0] in LABELS
