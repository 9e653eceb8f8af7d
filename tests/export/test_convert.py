"""A fastText file becomes a folder; fastText itself, which the tests have, says whether the answers are its own."""

import pytest
from click.testing import CliRunner

from rubrica import load
from rubrica.cli.main import rubrica as command
from rubrica.errors import ArtifactError
from rubrica.export import convert as converting
from rubrica.export.convert import convert

fasttext = pytest.importorskip("fasttext", reason="fastText is not installed")

TEXTS = ["a late goal", "the bank", "", "goal\tbank", "unseen words", "ж"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("convert")
    lines = ["__label__sport a late goal wins the cup", "__label__money the bank raises its rates"] * 20
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    # fastText 0.9.3 starts a tenth of its matrix per thread, rounded down, and leaves the rest as the memory was.
    options = {"dim": 8, "minn": 2, "maxn": 3, "bucket": 500, "thread": 12, "verbose": 0, "epoch": 20}
    fasttext.train_supervised(str(folder / "train.txt"), **options).save_model(str(folder / "model.bin"))
    return folder / "model.bin"


def test_the_folder_answers_as_the_file_and_as_fasttext(model, tmp_path):
    report = convert(model, tmp_path / "folder", TEXTS)
    assert report["bytes"]["before"] == {"model.bin": model.stat().st_size}
    for name in ("folder", "fasttext"):
        found = report["check"][name]
        assert found["texts"] == found["labels"] == len(TEXTS)
        assert found["difference"] < 1e-6
    assert load(tmp_path / "folder").predict(TEXTS) == load(model).predict(TEXTS)


def test_another_model_does_not_agree(model, tmp_path, monkeypatch):
    texts = tmp_path / "texts"
    texts.write_text("\n".join(TEXTS[:2]) + "\n")
    monkeypatch.setattr(converting, "_original", lambda file: Turned())
    done = CliRunner().invoke(command, ["convert", str(model), "--out", str(tmp_path / "m"), "--check", str(texts)])
    assert done.exit_code == 1
    assert "fasttext: the same label for 0 of 2 texts" in done.output
    assert "the answers differ" in f"{done.output}{done.exception}"


class Turned:
    """A model that answers the wrong label."""

    def multilinePredict(self, lines, k, threshold, on_unicode_error):  # noqa: N802 (fastText's name)
        return [["__label__money"], ["__label__sport"]], [[0.9], [0.9]]


def test_without_fasttext_the_folder_alone_is_compared(model, tmp_path, monkeypatch):
    monkeypatch.setattr(converting, "find_spec", lambda name: None)
    check = convert(model, tmp_path / "folder", TEXTS)["check"]
    assert check["fasttext"] is None
    assert check["folder"]["labels"] == len(TEXTS)


def test_what_is_no_model_of_labels_is_refused(model, tmp_path):
    with pytest.raises(ArtifactError, match="begins with"):
        convert(model.parent / "train.txt", tmp_path / "m")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ArtifactError, match="not empty"):
        convert(model, tmp_path / "full")


def test_export_names_the_commands_for_files(model, tmp_path):
    done = CliRunner().invoke(command, ["export", str(model), "--int8", "--out", str(tmp_path / "m")])
    assert "a fastText file; make it smaller with `rubrica quantize`" in f"{done.output}{done.exception}"
