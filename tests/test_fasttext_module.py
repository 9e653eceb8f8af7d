"""`rubrica.fasttext` beside fastText itself: the same calls on the same file give the same answers."""

import numpy as np
import pytest

fasttext = pytest.importorskip("fasttext")

import rubrica.fasttext as ours  # noqa: E402  # behind the check that the oracle is there
from rubrica.fasttext.lines import labels_in, pack  # noqa: E402
from rubrica.kernels import native  # noqa: E402
from rubrica.text.tokens import Packed  # noqa: E402

needs_trainer = pytest.mark.skipif(native.library() is None, reason="training of fastText models is native")
LINES = [
    f"__label__{'abc'[i % 3]} {'__label__d ' if i % 5 == 0 else ''}word{i % 7} слово{i % 4} wörd{i % 3} x{i}"
    for i in range(300)
]
ASKED = ["word1 слово2", "", "  ", "unseen words", "word1\tx3\0word2", "a </s> word1", "__label__a word3", "emoji 😀"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fasttext")
    (path / "train.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    # fastText 0.9.3 starts a tenth of its matrix per thread, and leaves the rest as the memory was.
    settings = {"input": str(path / "train.txt"), "dim": 8, "thread": 12, "verbose": 0, "bucket": 500, "epoch": 5}
    plain = fasttext.train_supervised(**settings, lr=0.3, minn=2, maxn=4, wordNgrams=2)
    plain.save_model(str(path / "plain.bin"))
    plain.quantize(qnorm=True, cutoff=300)
    plain.save_model(str(path / "small.ftz"))
    fasttext.train_supervised(**settings, lr=0.3, loss="ova").save_model(str(path / "ova.bin"))
    fasttext.train_unsupervised(**settings, minCount=1, minn=2, maxn=3).save_model(str(path / "words.bin"))
    return path


@pytest.fixture(params=["plain.bin", "small.ftz", "ova.bin"])
def pair(folder, request):
    path = str(folder / request.param)
    return ours.load_model(path), fasttext.load_model(path)


@pytest.fixture
def words(folder):
    path = str(folder / "words.bin")
    return ours.load_model(path), fasttext.load_model(path)


@pytest.mark.parametrize(("k", "threshold"), [(1, 0.0), (3, 0.0), (-1, 0.0), (4, 0.3), (9, 1.1)])
def test_labels_and_probabilities(pair, k, threshold, monkeypatch):
    mine, theirs = pair
    monkeypatch.setattr("rubrica.fasttext.lines._STRETCH", 2)
    labels, scores = mine.predict(ASKED, k, threshold)
    for i, text in enumerate(ASKED):
        expected = theirs.f.predict(text + "\n", k, threshold, "strict")
        assert labels[i] == [label for _, label in expected]
        np.testing.assert_allclose(scores[i], [score for score, _ in expected], atol=1e-6)
        assert scores[i].dtype == np.float32
        one, sure = mine.predict(text, k, threshold)
        assert one == tuple(labels[i])
        assert sure.dtype == np.float64
        np.testing.assert_array_equal(sure, scores[i].astype(np.float64))
        inner = mine.f.predict(text + "\n", k, threshold)
        assert [label for _, label in inner] == labels[i]


def test_a_column_of_arrow_answers_as_a_list(pair):
    pa = pytest.importorskip("pyarrow")
    mine, theirs = pair
    texts = [*ASKED, None]
    for column in (pa.array(texts), pa.chunked_array([["x"], texts[:2], texts[2:]])[1:]):
        labels, scores = mine.predict(column, 2)
        for i, text in enumerate(texts):
            expected = theirs.f.predict((text or "") + "\n", 2, 0.0, "strict")
            assert labels[i] == [label for _, label in expected]
            np.testing.assert_allclose(scores[i], [score for score, _ in expected], atol=1e-6)
    assert mine.predict(pa.array([], pa.string())) == ([], [])
    places = pa.py_buffer(np.array([0, 5, 6, 11], np.int32))  # the line end lies where a text is missing
    behind = pa.StringArray.from_buffers(3, places, pa.py_buffer(b"word1\nword2"), pa.py_buffer(bytes([0b101])))
    assert mine.predict(behind)[0] == mine.predict(["word1", "", "word2"])[0]
    with pytest.raises(ValueError, match="text 2 has"):
        mine.predict(pa.array(["a", None, "b\n"]))


def test_broken_utf8_of_a_column_is_read_by_its_bytes(pair, folder):
    pa = pytest.importorskip("pyarrow")
    mine, _ = pair
    column = pa.array([b"word1 \xff w\xc3", b"word2"]).view(pa.string())
    expected = [mine.f.predict(text, 1, 0.0, "strict") for text in ("word1 \udcff w\udcc3\n", "word2\n")]
    found = mine.predict(column)
    assert [(labels[0], score[0]) for labels, score in zip(*found, strict=True)] == [
        (label, pytest.approx(score, abs=1e-6)) for ((score, label),) in expected
    ]


def test_the_number_of_a_text_of_two_lines_is_named(folder, monkeypatch):
    monkeypatch.setattr("rubrica.fasttext.lines._STRETCH", 2)
    with pytest.raises(ValueError, match=r"text 3 has a '\\n'"):
        ours.load_model(str(folder / "plain.bin")).predict(["a", "b", "c", "d\ne"])
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=r"text 3 has a '\\n'"):
        ours.load_model(str(folder / "plain.bin")).predict(pa.array(["a", "b", "c", "d\ne"]))


def test_scores_of_a_file(pair, folder, tmp_path):
    mine, theirs = pair
    path = tmp_path / "test.txt"
    path.write_text(
        "\n".join([*LINES[::3], "no label", "", "__label__a", "__label__new word1"]) + "\n", encoding="utf-8"
    )
    for k, threshold in ((1, 0.0), (2, 0.0), (2, 0.4)):
        np.testing.assert_equal(mine.test(str(path), k, threshold), theirs.test(str(path), k, threshold))
        found, expected = mine.test_label(str(path), k, threshold), theirs.test_label(str(path), k, threshold)
        assert found.keys() == expected.keys()
        for label, scores in expected.items():
            np.testing.assert_equal(found[label], scores)
    meter, expected = mine.get_meter(str(path)), theirs.get_meter(str(path))
    for label in (None, "__label__a"):
        number = theirs.get_label_id(label) if label else -1
        curve = expected.m.precisionRecallCurveLabel(number) if label else expected.m.precisionRecallCurve()
        np.testing.assert_allclose(np.stack(meter.precision_recall_curve(label), 1), np.array(curve))
        for at in (0.2, 0.7, 0.95):
            assert meter.precision_at_recall(at, label) == pytest.approx(expected.precision_at_recall(at, label))
            assert meter.recall_at_precision(at, label) == pytest.approx(expected.recall_at_precision(at, label))
    pairs = expected.m.scoreVsTrue(theirs.get_label_id("__label__a"))
    np.testing.assert_allclose(np.stack(meter.score_vs_true("__label__a"), 1), np.array(pairs), atol=1e-6)


def test_words_labels_and_lines(pair):
    mine, theirs = pair
    assert (mine.words, mine.labels) == (theirs.words, theirs.labels)
    for name in ("get_words", "get_labels"):
        found, expected = getattr(mine, name)(include_freq=True), getattr(theirs, name)(include_freq=True)
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1], expected[1])
    for word in ("word1", "слово2", "nothing", "</s>", "__label__a"):
        assert mine.get_word_id(word) == theirs.get_word_id(word)
        assert mine.get_label_id(word) == theirs.get_label_id(word)
        assert (word in mine) == (word in theirs)
        if word != "__label__a":
            np.testing.assert_allclose(mine[word], theirs[word], atol=1e-6)
        runs, rows = mine.get_subwords(word)
        expected = theirs.get_subwords(word)
        assert runs == expected[0]
        np.testing.assert_array_equal(rows, expected[1])
    texts = [text for text in ASKED if "\0" not in text]
    assert mine.get_line(texts) == tuple(theirs.get_line(texts))
    assert mine.get_line(texts[0]) == tuple(theirs.get_line(texts[0]))
    for text in texts:
        np.testing.assert_allclose(mine.get_sentence_vector(text), theirs.get_sentence_vector(text), atol=1e-6)
    assert mine.is_quantized() == theirs.is_quantized()
    assert mine.get_dimension() == theirs.get_dimension()
    for row in (0, 5, 20):
        np.testing.assert_allclose(mine.get_input_vector(row), theirs.get_input_vector(row), atol=1e-6)


def test_word_vectors_and_their_neighbours(words):
    mine, theirs = words
    assert mine.get_labels() == theirs.get_labels()
    for word in ("word1", "unseen", "слово2"):
        np.testing.assert_allclose(mine.get_word_vector(word), theirs.get_word_vector(word), atol=1e-6)
        found, expected = mine.get_nearest_neighbors(word, 7), theirs.get_nearest_neighbors(word, 7)
        assert [name for _, name in found] == [name for _, name in expected]
        np.testing.assert_allclose([cosine for cosine, _ in found], [cosine for cosine, _ in expected], atol=1e-6)
    found, expected = (model.get_analogies("word1", "word2", "слово1", 5) for model in words)
    assert [name for _, name in found] == [name for _, name in expected]
    assert mine.get_subword_id("wo") == theirs.get_subword_id("wo")
    np.testing.assert_array_equal(mine.get_input_matrix(), theirs.get_input_matrix())
    np.testing.assert_array_equal(mine.get_output_matrix(), theirs.get_output_matrix())
    assert len(mine.get_nearest_neighbors("word1", 10_000)) == len(mine.words) - 1
    assert mine.get_nearest_neighbors("word1", 0) == []


def test_the_same_conditions_are_errors(pair, words, tmp_path):
    mine, _ = pair
    for call in (mine.predict, mine.get_sentence_vector, mine.get_line):
        with pytest.raises(ValueError, match="one line at a time"):
            call("a\nb")
    with pytest.raises(ValueError, match="text 1 has"):
        mine.predict(["a", "b\n"])
    with pytest.raises(ValueError, match="k needs to be 1 or higher"):
        mine.predict("a", k=0)
    with pytest.raises(ValueError, match="needs to be supervised"):
        words[0].predict("a")
    with pytest.raises(ValueError, match="only support quantization of supervised"):
        words[0].quantize()
    with pytest.raises(ValueError, match="cannot be read"):
        ours.load_model(str(tmp_path / "none.bin"))
    with pytest.raises(ValueError, match="cannot be opened"):
        mine.test(str(tmp_path / "none.txt"))
    with pytest.raises(TypeError):
        mine.predict([b"bytes"])
    with pytest.raises(AttributeError, match="nothing"):
        _ = mine.nothing
    if mine.is_quantized():
        with pytest.raises(ValueError, match="quantized Matrix"):
            mine.get_input_matrix()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda model: model.predict(b"abc"), "a text or word is b'abc', expected a string"),
        (lambda model: model.predict([b"abc"]), "text 0 is b'abc', expected a string"),
        (lambda model: model.predict(["a", None]), "text 1 is None, expected a string"),
        (lambda model: model.predict(3), r"texts is 3 \(int\), expected"),
        (lambda model: model.predict("a", k="2"), "k is '2', expected int"),
        (lambda model: model.predict("a", k=2.5), "k is 2.5, expected int"),
        (lambda model: model.predict("a", threshold="0.5"), "threshold is '0.5', expected float"),
        (lambda model: model.get_nearest_neighbors("a", "2"), "k is '2', expected int"),
        (lambda model: model.get_nearest_neighbors(None), "a text or word is None, expected a string"),
        (lambda model: model.get_word_vector(None), "a text or word is None, expected a string"),
        (lambda model: model.get_sentence_vector(b"a"), "a text or word is b'a', expected a string"),
        (lambda model: model.get_line(None), "a text or word is None, expected a string"),
        (lambda model: model.get_word_id(3), "a text or word is 3, expected a string"),
        (lambda model: model[3], "a text or word is 3, expected a string"),
    ],
)
def test_a_value_of_another_type_is_a_sentence(folder, call, said):
    with pytest.raises(TypeError, match=f"^{said}"):
        call(ours.load_model(folder / "plain.bin"))


def test_what_is_no_word_is_in_no_model(folder):
    for model in (ours.load_model(folder / "plain.bin"), fasttext.load_model(str(folder / "plain.bin"))):
        assert [word in model for word in (3, None, b"word1", "word1")] == [False, False, False, True]


@needs_trainer
def test_a_path_that_is_missing_is_said(folder, tmp_path):
    model = ours.load_model(folder / "plain.bin")
    for call in (ours.load_model, model.save_model, model.test):
        with pytest.raises(ValueError, match=r"^the path is empty; give the name of a file$"):
            call("")
    for train in (ours.train_supervised, ours.train_unsupervised):
        with pytest.raises(ValueError, match=r"^input is missing; give the file to learn from$"):
            train()
    with pytest.raises(ValueError, match=r"x\.bin: there is no folder .*none; make it first"):
        model.save_model(tmp_path / "none" / "x.bin")
    assert not list(tmp_path.iterdir())


def test_a_saved_model_is_the_file_that_was_opened(folder, tmp_path):
    for name in ("plain.bin", "small.ftz", "ova.bin", "words.bin"):
        ours.load_model(folder / name).save_model(tmp_path / name)
        again, first = (fasttext.load_model(str(path / name)) for path in (tmp_path, folder))
        assert (again.words, again.labels) == (first.words, first.labels)
        np.testing.assert_array_equal(again.get_word_vector("word1"), first.get_word_vector("word1"))


@needs_trainer
@pytest.mark.parametrize("codes", [{}, {"qnorm": True, "dsub": 4}, {"cutoff": 300, "retrain": True, "qnorm": True}])
def test_a_quantised_model_is_read_by_fasttext(folder, tmp_path, codes):
    model = ours.load_model(folder / "plain.bin")
    source = {"input": folder / "train.txt", "verbose": 0} if codes.get("retrain") else {}
    model.quantize(**source, **codes)
    assert model.is_quantized()
    model.save_model(tmp_path / "small.ftz")
    again = fasttext.load_model(str(tmp_path / "small.ftz"))
    for text in ASKED:
        labels, scores = model.predict(text, 3)
        expected = again.f.predict(text + "\n", 3, 0.0, "strict")
        assert labels == tuple(label for _, label in expected)
        np.testing.assert_allclose(scores, [score for score, _ in expected], atol=1e-6)
    with pytest.raises(ValueError, match="quantized already"):
        model.quantize()


@needs_trainer
def test_quantising_needs_what_it_trains_on(folder):
    with pytest.raises(ValueError, match="Need input file path if retraining"):
        ours.load_model(folder / "plain.bin").quantize(retrain=True)


@needs_trainer
def test_a_training_by_position_and_by_alias(folder, tmp_path):
    source, other = str(folder / "train.txt"), {"min_count": 2, "word_ngrams": 2, "bucket": 50, "verbose": 0}
    model = ours.train_supervised(source, 0.3, 6, **other)
    assert (model.lr, model.dim, model.minCount, model.wordNgrams, model.loss.name) == (0.3, 6, 2, 2, "softmax")
    model.save_model(tmp_path / "model.bin")
    again = fasttext.load_model(str(tmp_path / "model.bin"))
    assert model.test(source) == again.test(source)
    vectors = ours.train_unsupervised(source, "cbow", dim=5, minCount=1, bucket=50, epoch=1, verbose=0)
    assert vectors.get_dimension() == 5
    assert vectors.get_labels() == vectors.words
    with pytest.raises(ValueError, match=r"none\.txt"):
        ours.train_supervised(str(tmp_path / "none.txt"))


def test_shorter_rows(folder):
    model = ours.load_model(folder / "plain.bin")
    before = model.predict(ASKED)[0]
    model.set_matrices(model.get_input_matrix() * 2, model.get_output_matrix() / 2)
    assert model.predict(ASKED)[0] == before
    ours.util.reduce_model(model, 6)
    assert model.get_dimension() == model.get_input_matrix().shape[1] == 6
    assert np.mean([a == b for a, b in zip(model.predict(ASKED)[0], before, strict=True)]) > 0.6
    with pytest.raises(ValueError, match="rows of the same length"):
        model.set_matrices(model.get_input_matrix(), np.zeros((2, 3)))


def test_broken_labels(folder, tmp_path):
    content = (folder / "ova.bin").read_bytes()
    path = tmp_path / "broken.bin"
    path.write_bytes(content.replace(b"__label__a\0", b"__label__\xff\0"))
    model = ours.load_model(path)
    with pytest.raises(UnicodeDecodeError):
        model.predict("word1", k=-1)
    assert "__label__\ufffd" in model.predict("word1", k=-1, on_unicode_error="replace")[0]
    assert "__label__" in model.predict("word1", k=-1, on_unicode_error="ignore")[0]


def test_labels_in_lines_are_found_in_both_ways():
    lines = ["__label__a x", "", "x __label__b\0__label__a", "__label__ab __label__b", "x__label__a", "\t__label__a"]
    label_ids = {b"__label__a": 0, b"__label__b": 1}
    texts = pack(lines)
    expected = [0, 2, 2, 3, 5], [0, 1, 0, 1, 0]
    found = labels_in(texts, label_ids), labels_in(texts, label_ids | {b"other": 2})
    later = Packed(texts.data, texts.starts[2:4], texts.ends[2:4])
    for numbers, labels in found:
        assert (numbers.tolist(), labels.tolist()) == expected
    assert [part.tolist() for part in labels_in(later, label_ids)] == [[0, 0, 1], [1, 0, 1]]
    ended = labels_in(pack(["__label__a </s> __label__b", "</s>x __label__b"]), label_ids)
    assert [part.tolist() for part in ended] == [[0, 1], [0, 1]]


@pytest.mark.parametrize("text", ["", " ", "a b", "a\n", "\n", "a \n\n b\0c", "</s> я"])
def test_tokens(text):
    assert ours.tokenize(text) == fasttext.tokenize(text)


def test_arguments():
    from rubrica.fasttext.arguments import read_arguments

    values, given = read_arguments(("file", 0.3), {"word_ngrams": 2, "min_count": np.int64(3)}, supervised=True)
    assert (values["input"], values["lr"], values["wordNgrams"], values["minCount"]) == ("file", 0.3, 2, 3)
    assert given == {"input", "lr", "wordNgrams", "minCount"}
    assert read_arguments(("file", "cbow"), {}, supervised=False)[0]["model"] == "cbow"
    for named, message in (
        ({"lrr": 1}, "unexpected keyword argument 'lrr'; did you mean 'lr'?"),
        ({"minCount": 1, "min_count": 1}, "multiple values for argument 'minCount'"),
        ({"dim": 1.5}, "dim is 1.5, expected int"),
        ({"lr": "high"}, "lr is 'high', expected float"),
    ):
        with pytest.raises(TypeError) as error:
            read_arguments((), named, supervised=True)
        assert str(error.value) == message
    with pytest.raises(ValueError, match="expected one of hs, ns, softmax, ova"):
        read_arguments((), {"loss": "other"}, supervised=True)
    for name in ("cbow", "skipgram", "supervised"):
        with pytest.raises(RuntimeError, match="not supported any more"):
            getattr(ours, name)("file")


def test_the_module_of_the_model_has_the_names_of_fasttext(folder):
    import fasttext.FastText as theirs  # noqa: N813  # fastText's name

    import rubrica.fasttext.FastText as mine  # noqa: N813

    inner = {"displayed_errors", "eprint", "read_args", "unsupervised_default", "supervised_default"}
    outside = {"fasttext", "np", "chain", "multiprocessing", "absolute_import", "division", "print_function"}
    public = {name for name in dir(theirs) if not name.startswith("_")} - inner - outside - {"unicode_literals"}
    assert public | {"_FastText", "_Meter"} == set(mine.__all__)
    assert mine is ours.FastText
    model = mine.load_model(str(folder / "plain.bin"))
    assert isinstance(model, mine._FastText)
    assert isinstance(model.get_meter(str(folder / "train.txt")), mine._Meter)
    for enum in ("loss_name", "model_name"):
        assert {name: int(kind) for name, kind in getattr(mine, enum).__members__.items()} == {
            name: int(kind) for name, kind in getattr(theirs, enum).__members__.items()
        }


def test_the_default_arguments_are_those_of_fasttext():
    from fasttext.FastText import unsupervised_default

    from rubrica.fasttext.arguments import read_arguments

    values, _ = read_arguments((), {}, supervised=False)
    assert {name: values[name] for name in unsupervised_default if name != "thread"} == {
        name: value for name, value in unsupervised_default.items() if name != "thread"
    }
