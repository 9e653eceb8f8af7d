"""fastText's own commands: flags, arguments and the form of the output. The answers are tested with the module's."""

import json
import re

import pytest
from click.testing import CliRunner

fasttext = pytest.importorskip("fasttext")

from ragged import needs_native  # noqa: E402  # behind the check that the oracle is there
from rubrica.cli.main import rubrica  # noqa: E402

LINES = [f"__label__{'ab'[i % 2]} word{i % 2} other{i % 5} x{i}" for i in range(80)]
ASKED = ["word0 other1", "", "__label__a word1", "\t word1 unseen"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("commands")
    (path / "train.txt").write_text("\n".join(LINES) + "\n")
    (path / "asked.txt").write_text("\n".join(ASKED) + "\n")
    # fastText 0.9.3 starts a tenth of its matrix per thread, and leaves the rest as the memory was.
    settings = {"input": str(path / "train.txt"), "dim": 4, "thread": 12, "verbose": 0, "bucket": 100}
    fasttext.train_supervised(**settings, wordNgrams=2, lr=0.3).save_model(str(path / "labels.bin"))
    fasttext.train_unsupervised(**settings, minCount=1, minn=2, maxn=3).save_model(str(path / "words.bin"))
    return path


def run(*arguments, stdin=b"", code=0):
    result = CliRunner().invoke(rubrica, ["fasttext", *map(str, arguments)], input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout_bytes.decode() if code == 0 else result.output


@pytest.fixture(scope="module")
def model(folder):
    return fasttext.load_model(str(folder / "labels.bin"))


@pytest.fixture(scope="module")
def words(folder):
    return fasttext.load_model(str(folder / "words.bin"))


def numbers(vector):
    return "".join(f"{value:.5g} " for value in vector)


@pytest.mark.parametrize("rest", [(), (2,), (-1,), (2, 0.4)])
def test_predict(folder, model, rest):
    k, threshold = (*rest, 1, 0.0)[0] if rest else 1, rest[1] if len(rest) > 1 else 0.0
    expected = [model.f.predict(text + "\n", k, threshold, "strict") for text in ASKED]
    labels = "".join(" ".join(label for _, label in pairs) + "\n" for pairs in expected)
    probabilities = "".join(" ".join(f"{label} {score:g}" for score, label in pairs) + "\n" for pairs in expected)
    assert run("predict", folder / "labels.bin", folder / "asked.txt", *rest) == labels
    assert run("predict-prob", folder / "labels.bin", folder / "asked.txt", *rest) == probabilities
    stdin = (folder / "asked.txt").read_bytes()
    assert run("predict", folder / "labels.bin", "-", *rest, stdin=stdin) == labels


def test_n_lines_in_n_lines_out(folder):
    for stdin, count in (
        (b"", 0),
        (b"\n", 1),
        (b"a", 1),
        (b"a\nb", 2),
        (b"a </s> b\n\0\n\xff\n", 3),
        (b"a " * 10**6, 1),
    ):
        assert run("predict", folder / "labels.bin", "-", stdin=stdin).count("\n") == count


def test_info_says_what_a_file_of_fasttext_holds_and_nothing_else(folder):
    def info(name, *more):
        result = CliRunner().invoke(rubrica, ["info", str(folder / name), *more])
        assert result.exit_code == 0, result.exception
        return result.stdout

    shown = info("labels.bin")
    assert re.search("classes: (a, b|b, a)\n", shown)
    assert "embedding_dim 4" in shown
    assert "training:" not in shown
    assert "data:" not in shown
    CliRunner().invoke(rubrica, ["convert", str(folder / "labels.bin"), "--out", str(folder / "converted")])
    assert info("converted").splitlines()[0] == shown.splitlines()[0]
    assert "training" not in info("converted")
    shown = info("words.bin")
    assert "classes" not in shown
    facts = json.loads(info("words.bin", "--json"))
    words = fasttext.load_model(str(folder / "words.bin"))
    assert f"words: {len(words.words)} (vectors: skipgram)" in shown
    assert (facts["words"], facts["config"]["model"]["embedding_dim"]) == (len(words.words), 4)
    assert facts["parameters"] == words.get_input_matrix().size + words.get_output_matrix().size
    assert facts.keys() == json.loads(info("labels.bin", "--json")).keys()


def test_test(folder, model):
    count, precision, recall = model.test(str(folder / "train.txt"), 2)
    expected = f"N\t{count}\nP@2\t{precision:.3g}\nR@2\t{recall:.3g}\n"
    assert run("test", folder / "labels.bin", folder / "train.txt", 2) == expected
    shown = run("test-label", folder / "labels.bin", folder / "train.txt")
    scores = model.test_label(str(folder / "train.txt"))
    for label, of_label in scores.items():
        row = re.search(rf"F1-Score : (\S+)  Precision : (\S+)  Recall : (\S+)   {label}\n", shown)
        expected = [of_label[name] for name in ("f1score", "precision", "recall")]
        assert [float(value) if value != "--------" else None for value in row.groups()] == [
            pytest.approx(value, abs=1e-6) if value == value else None for value in expected
        ]
    assert shown.endswith(f"N\t80\nP@1\t{model.test(str(folder / 'train.txt'))[1]:.3f}\n"
                          f"R@1\t{model.test(str(folder / 'train.txt'))[2]:.3f}\n")  # fmt: skip


def test_vectors(folder, words, model):
    stdin = b"word0 unseen\nother1\n"
    expected = "".join(f"{word} {numbers(words.get_word_vector(word))}\n" for word in stdin.decode().split())
    assert run("print-word-vectors", folder / "words.bin", stdin=stdin) == expected
    expected = "".join(f"{numbers(model.get_sentence_vector(text))}\n" for text in ASKED)
    assert run("print-sentence-vectors", folder / "labels.bin", stdin=(folder / "asked.txt").read_bytes()) == expected
    runs, rows = words.get_subwords("abc")
    expected = "".join(
        f"{run_} {numbers(words.get_input_vector(int(row)))}\n" for run_, row in zip(runs, rows, strict=True)
    )
    assert run("print-ngrams", folder / "words.bin", "abc") == expected


def test_neighbours(folder, words):
    def shown(pairs):
        return [(word, pytest.approx(cosine, abs=2e-6)) for cosine, word in pairs]

    found = run("nn", folder / "words.bin", 3, stdin=b"word0\n")
    assert found.startswith("Query word? ")
    assert found.endswith("Query word? ")
    pairs = [line.split() for line in found.removeprefix("Query word? ").splitlines()[:3]]
    assert [(word, float(cosine)) for word, cosine in pairs] == shown(words.get_nearest_neighbors("word0", 3))
    found = run("analogies", folder / "words.bin", 2, stdin=b"word0 word1 other1 word0\n")
    first, *rest = found.splitlines()
    assert first == f"Loading model {folder / 'words.bin'}"
    pairs = [line.removeprefix("Query triplet (A - B + C)? ").split() for line in rest[:2]]
    expected = shown(words.get_analogies("word0", "word1", "other1", 2))
    assert [(word, float(cosine)) for word, cosine in pairs] == expected
    run("analogies", folder / "words.bin", 0, code=2)


def test_dump(folder, model):
    expected = (
        "dim 4\nws 5\nepoch 5\nminCount 1\nneg 5\nwordNgrams 2\nloss softmax\nmodel sup\nbucket 100\nminn 0\nmaxn 0\n"
        "lrUpdateRate 100\nt 0.0001\n"
    )
    assert run("dump", folder / "labels.bin", "args") == expected
    words, counts = model.get_words(include_freq=True)
    labels, of_labels = model.get_labels(include_freq=True)
    entries = [f"{name} {count} word" for name, count in zip(words, counts, strict=True)]
    entries += [f"{name} {count} label" for name, count in zip(labels, of_labels, strict=True)]
    assert run("dump", folder / "labels.bin", "dict").splitlines() == [str(len(entries)), *entries]
    matrix = model.get_output_matrix()
    rows = [" ".join(f"{value:g}" for value in row) for row in matrix]
    assert run("dump", folder / "labels.bin", "output").splitlines() == ["2 4", *rows]


@needs_native
def test_training_writes_what_fasttext_reads(folder, tmp_path):
    name = tmp_path / "new"
    flags = ["-dim", 6, "-epoch", 3, "-wordNgrams", 2, "-bucket", 50, "-loss", "one-vs-all", "-verbose", 0]
    flags += ["-saveOutput", "-seed", 3]
    run("supervised", "-input", folder / "train.txt", "-output", name, *flags)
    model = fasttext.load_model(f"{name}.bin")
    assert model.get_dimension() == 6
    first, *rows = (tmp_path / "new.vec").read_text().splitlines()
    assert first == f"{len(model.words)} 6"
    assert rows == [f"{word} {numbers(model.get_word_vector(word))}" for word in model.words]
    assert (tmp_path / "new.output").read_text().startswith("2 6\n__label__")
    again = tmp_path / "again"
    run("supervised", "-input", folder / "train.txt", "-output", again, *flags)
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "new.bin").read_bytes()
    run("quantize", "-output", name, "-qnorm", "-dsub", 3, code=1)  # fewer rows than a code can name
    wide = tmp_path / "wide"
    run("supervised", "-input", folder / "train.txt", "-output", wide, "-wordNgrams", 2, "-bucket", 500, "-verbose", 0)
    run("quantize", "-output", wide, "-input", folder / "train.txt", "-qnorm", "-retrain", "-cutoff", 300)
    assert fasttext.load_model(f"{wide}.ftz").is_quantized()
    run("cbow", "-input", folder / "train.txt", "-output", tmp_path / "w", "-dim", 3, "-bucket", 9, "-verbose", 0)
    assert fasttext.load_model(str(tmp_path / "w.bin")).get_dimension() == 3


def test_wrong_flags_are_a_wrong_usage(folder, tmp_path):
    for flags, message in (
        (["-inputt", "x"], "no flag -inputt; did you mean 'input'?"),
        (["input", "x"], "'input' has no dash"),
        (["-input"], "-input is missing its value"),
        (["-dim", "many"], "-dim is 'many', expected int"),
        (["-input", "x"], "give -input FILE and -output NAME"),
        (["-autotune-duration", "1", "-thread"], "-thread is missing its value"),
    ):
        assert message in run("supervised", *flags, code=2)
    assert "no flag -autotune-duration" in run("skipgram", "-autotune-duration", "1", code=2)
    assert "give -output NAME" in run("quantize", "-qnorm", code=2)
    shown = run("predict", folder / "words.bin", folder / "asked.txt", code=1)
    assert shown == "error: Model needs to be supervised for prediction; this one holds word vectors\n"


@needs_native
@pytest.mark.parametrize(
    ("command", "flag", "value", "problem"),
    [
        ("supervised", "-loss", "l", "is 'l'; expected one of hs, ns, softmax, ova, one-vs-all"),
        ("supervised", "-lr", "-1", "is -1.0, expected 0 or more"),
        ("supervised", "-epoch", "-1", "is -1, expected 0 or more"),
        ("supervised", "-dim", "0", "is 0, expected 1 to 65536"),
        ("supervised", "-maxn", "-2", "is -2, expected 0 to 1000"),
        ("supervised", "-wordNgrams", "2000", "is 2000, expected 0 to 1000"),
        ("supervised", "-minCount", "-1", "is -1, expected 0 or more"),
        ("supervised", "-minCountLabel", "-1", "is -1, expected 0 or more"),
        ("supervised -wordNgrams 2", "-bucket", "0", "is 0; runs of characters or words need 1 or more"),
        ("supervised -loss ns", "-neg", "-1", "is -1, expected 0 or more"),
        ("supervised -autotune-validation {}", "-autotune-metric", "foo", "is 'foo', expected f1, "),
        ("supervised -autotune-validation {}", "-autotune-modelsize", "abc", "is 'abc', expected a size such as 2M"),
        ("supervised -autotune-validation {}", "-autotune-predictions", "0", "is 0, expected 1 or more, or -1"),
        ("skipgram", "-ws", "0", "is 0, expected 1 or more"),
        ("cbow", "-t", "0", "is 0.0, expected more than 0"),
        ("skipgram", "-loss", "ova", "is 'ova', which classifiers alone have"),
    ],
)
def test_a_wrong_value_is_a_wrong_usage_of_its_flag(folder, tmp_path, command, flag, value, problem):
    file = folder / "train.txt"
    command, *more = command.format(file).split()
    shown = run(command, "-input", file, "-output", tmp_path / "x", *more, flag, value, code=2)
    assert f"\nError: {flag} {problem}" in shown
    assert not list(tmp_path.iterdir())


@needs_native
def test_a_wrong_value_of_another_command_is_a_wrong_usage(folder):
    assert "\nError: k needs to be 1" in run("predict", folder / "labels.bin", folder / "asked.txt", 0, code=2)
    assert "\nError: k needs to be 1" in run("test-label", folder / "labels.bin", folder / "asked.txt", -2, code=2)
    assert "\nError: -dsub is 0" in run("quantize", "-output", folder / "labels", "-dsub", 0, code=2)
    retrain = ["-input", folder / "train.txt", "-output", folder / "labels", "-retrain"]
    assert "\nError: -epoch is -1" in run("quantize", *retrain, "-epoch", -1, code=2)


@needs_native
def test_no_folder_is_made_for_the_output(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("rubrica.fasttext.training.train", lambda *given: pytest.fail("a training began"))
    name = tmp_path / "none" / "x"
    result = CliRunner().invoke(
        rubrica, ["fasttext", "cbow", "-input", str(folder / "train.txt"), "-output", str(name)]
    )
    assert result.exit_code == 1
    assert str(result.exception).startswith(f"{name}: there is no folder {name.parent}; make it first")
    assert not list(tmp_path.iterdir())


@needs_native
@pytest.mark.parametrize("flags", [("-ws", 0), ("-t", 0), ("-neg", -1), ("-seed", -5), ("-epoch", 0)])
def test_a_classifier_does_not_look_at_what_it_has_no_use_for(folder, tmp_path, flags):
    run("supervised", "-input", folder / "train.txt", "-output", tmp_path / "m", "-dim", 4, "-verbose", 0, *flags)
    model = fasttext.load_model(str(tmp_path / "m.bin"))
    assert model.labels
    if flags[0] == "-epoch":  # the model as it starts
        assert not model.get_output_matrix().any()


def test_the_help_shows_the_flags_with_their_defaults():
    shown = run("supervised", "--help")
    assert re.search(r"-wordNgrams +longest run of words \[1\]", shown)
    assert re.search(r"-minCount +a rarer word is left out \[1\]", shown)
    assert "-autotune-validation" in shown
    shown = re.sub(r"\s+", " ", shown)
    assert "-autotune-metric what is made large: f1, f1:LABEL, precisionAtRecall:30 (a percentage)," in shown
    assert "-loss softmax, hs, ns, ova or one-vs-all [softmax]" in shown
    shown = run("skipgram", "--help")
    assert re.search(r"-minCount +a rarer word is left out \[5\]", shown)
    assert "autotune" not in shown
    assert re.search(r"-dsub +numbers that become one code \[2\]", run("quantize", "--help"))
    assert run("quantize", "-output", "x", "-h") == run("quantize", "--help")


@needs_native
def test_a_training_counts_in_the_words_of_fasttext(folder, tmp_path, capfd, caplog):
    flags = {"-input": folder / "train.txt", "-output": tmp_path / "m", "-epoch": 1, "-dim": 4, "-verbose": 1}
    run("supervised", *(word for pair in flags.items() for word in pair))
    fasttext.train_supervised(str(folder / "train.txt"), epoch=1, dim=4, thread=12, verbose=1)
    theirs = capfd.readouterr().err
    counts = re.compile(r"Read 0M words\nNumber of words:  \d+\nNumber of labels: \d+\n")
    assert counts.search(caplog.text)[0] == counts.search(theirs)[0]
