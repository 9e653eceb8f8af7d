"""Answers in a file: one for each text, in order, however often the prediction was killed."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from made_models import random_artifact
from rubrica.artifact.folder import save_artifact
from rubrica.errors import DataError, FileError
from rubrica.kernels import native
from rubrica.predict import answer_file as module
from rubrica.predict.answer_file import answer_file, unfinished
from rubrica.predict.classifier import Classifier

TEXTS = [" ".join(random.Random(i).choices("abcdefgh", k=i % 9)) for i in range(250)]
RUN = {"model": "m"}


@pytest.fixture(params=["gru", "bag", "linear"])
def model(request):
    return Classifier(random_artifact(request.param, lists=request.param == "linear"))


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 40)


def parts(rows=False):
    """The texts, 33 at a time, which no part is."""
    for first in range(0, len(TEXTS), 33):
        texts = TEXTS[first : first + 33]
        numbers = list(range(first, first + len(texts)))
        yield texts, module.Table("made", {"id": numbers, "label": pa.array(map(str, numbers))}) if rows else None


def expected(model, **options):
    """The lines of `predict`; without the core a part at a time: numpy's products depend on how many rows there are."""
    every = {"all_classes": options.get("all_classes", False)}
    size = len(TEXTS) if native.library() is not None else module.part_size(model, **every)
    stretches = [TEXTS[first : first + size] for first in range(0, len(TEXTS), size)]
    return "".join(f"{lines}\n" for texts in stretches for lines in model.iter_answers(texts, **every))


def test_they_are_the_lines_of_predict(model, tmp_path):
    for options in ({}, {"all_classes": True}):
        out = tmp_path / f"answers{len(options)}.jsonl"
        assert answer_file(model, parts(), out, RUN, **options) == 250
        assert out.read_text(encoding="utf-8") == expected(model, **options)
    assert {path.suffix for path in tmp_path.iterdir()} == {".jsonl"}


def test_a_parquet_file_keeps_all_columns(model, tmp_path):
    answer_file(model, parts(rows=True), tmp_path / "answers.parquet", RUN)
    table = pq.read_table(tmp_path / "answers.parquet")
    answers = [json.loads(line) for line in expected(model).splitlines()]
    assert table.column("id").to_pylist() == list(range(250))
    assert table.column("label").to_pylist() == list(map(str, range(250)))
    for name in answers[0]:
        column = table.column(name if name != "label" else "predicted_label").to_pylist()
        assert [dict(found) if name == "scores" else found for found in column] == [answer[name] for answer in answers]


class Killed(BaseException):
    """In place of SIGKILL."""


def kill(model, out, number, run=RUN, **more):
    """Die while a part is answered."""

    def dying():
        for count, part in enumerate(parts(**more)):
            if count == number:
                raise Killed
            yield part

    with pytest.raises(Killed):
        answer_file(model, dying(), out, run)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_killed_prediction_goes_on(model, suffix, tmp_path):
    rows = suffix == ".parquet"
    answer_file(model, parts(rows), tmp_path / f"whole{suffix}", RUN)
    out = tmp_path / f"out{suffix}"
    for number in (3, 2, 5, 7):
        kill(model, out, number, rows=rows)
    assert answer_file(model, parts(rows), out, RUN) < 250
    if rows:
        assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole.parquet"))
    else:
        assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not unfinished(out).exists()


def test_answers_of_another_prediction_are_refused(model, tmp_path):
    out = tmp_path / "out.jsonl"
    kill(model, out, 4)
    with pytest.raises(FileError, match="another model, other texts, other flags or another version; remove it"):
        answer_file(model, parts(), out, {"model": "another"})
    with pytest.raises(FileError, match="another model, other texts"):
        answer_file(model, parts(), out, None)


def test_texts_that_nobody_can_tell_are_answered_anew(model, tmp_path):
    out = tmp_path / "out.JSONL"
    kill(model, out, 4, run=None)
    assert answer_file(model, parts(), out, None) == 250
    assert out.read_text(encoding="utf-8") == expected(model)


def test_a_part_that_is_lost_is_answered_once_more(model, tmp_path):
    out = tmp_path / "out.jsonl"
    kill(model, out, 6)
    (unfinished(out) / "000001.jsonl").unlink()
    assert answer_file(model, parts(), out, RUN) > 40
    assert out.read_text(encoding="utf-8") == expected(model)


@pytest.mark.parametrize(("name", "problem"), [("a.csv", "as .jsonl or .parquet"), ("there.jsonl", "is there already")])
def test_what_cannot_be_written_is_refused(name, problem, model, tmp_path):
    (tmp_path / "there.jsonl").touch()
    with pytest.raises(FileError, match=problem):
        answer_file(model, parts(), tmp_path / name, RUN)


def test_no_texts_are_no_answers(model, tmp_path):
    for suffix in (".jsonl", ".parquet"):
        assert answer_file(model, [], tmp_path / f"out{suffix}", RUN) == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def test_columns_of_several_types_have_a_sentence(model, tmp_path):
    def mixed():
        yield TEXTS[:40], module.Table("made", {"n": list(range(40))})
        yield TEXTS[:40], module.Table("made", {"n": ["x"] * 40})

    with pytest.raises(FileError, match=r"a column does not fit into Parquet .*write the answers as \.jsonl"):
        answer_file(model, mixed(), tmp_path / "out.parquet", RUN)


def test_the_command(tmp_path, capsys, monkeypatch):
    from rubrica.cli.main import rubrica

    monkeypatch.chdir(tmp_path)
    save_artifact(random_artifact("bag", lists=False), "model")
    (tmp_path / "texts.csv").write_text("text,id\n" + "".join(f"{text or 'x'},{i}\n" for i, text in enumerate(TEXTS)))
    (tmp_path / "lines").write_text("\n".join(text or "x" for text in TEXTS) + "\n")

    def run(*arguments):
        rubrica(["predict", "model", *arguments], standalone_mode=False)
        return capsys.readouterr()

    plain = run("texts.csv").out
    for file in ("texts.csv", "lines"):
        assert "250 texts answered" in run(file, "--out", f"{file}.jsonl").err
        assert (tmp_path / f"{file}.jsonl").read_text(encoding="utf-8") == plain
        with pytest.raises(FileError, match="is there already, and nothing says what it answers"):
            run(file, "--out", f"{file}.jsonl", "--resume")
    run("texts.csv", "--out", "out.parquet")
    assert pq.read_table("out.parquet").column_names == ["text", "id", "label", "score"]


def test_with_resume_answers_are_complete_only_for_the_same_model_texts_and_flags(tmp_path, capsys, monkeypatch):
    from rubrica.cli.main import rubrica

    monkeypatch.chdir(tmp_path)
    for name in ("model", "other"):
        save_artifact(random_artifact("bag" if name == "model" else "linear", lists=False), name)
    (tmp_path / "texts.csv").write_text("text\n" + "some words\n" * 30)
    (tmp_path / "more.csv").write_text("text\n" + "some words\n" * 31)

    def run(model, file, *flags):
        rubrica(["predict", model, file, "--out", "out.jsonl", "--resume", *flags], standalone_mode=False)
        return capsys.readouterr().err

    assert "30 texts answered" in run("model", "texts.csv")
    first = (tmp_path / "out.jsonl").read_bytes()
    assert "out.jsonl: is complete already" in run("model", "texts.csv")
    for model, file, *flags in (("other", "texts.csv"), ("model", "more.csv"), ("model", "texts.csv", "--all")):
        with pytest.raises(FileError, match="has answers of another model, other texts, other flags"):
            run(model, file, *flags)
    (tmp_path / "out.jsonl").unlink()  # the note of what was removed is not of what comes in its place
    rubrica(["predict", "other", "texts.csv", "--out", "out.jsonl"], standalone_mode=False)
    with pytest.raises(FileError, match="nothing says what it answers"):
        run("model", "texts.csv")
    (tmp_path / "out.jsonl").unlink()
    assert "30 texts answered" in run("model", "texts.csv")
    # A kill between the answers and the note beside them.
    (tmp_path / "out.jsonl.unfinished").mkdir()
    (tmp_path / "out.jsonl.prediction.json").rename("out.jsonl.unfinished/prediction.json")
    assert "is complete already" in run("model", "texts.csv")
    assert {path.name for path in tmp_path.iterdir()} >= {"out.jsonl", "out.jsonl.prediction.json"}
    assert not (tmp_path / "out.jsonl.unfinished").exists()
    assert (tmp_path / "out.jsonl").read_bytes() == first


def test_where_nothing_was_answered_another_prediction_begins_anew(tmp_path, capsys, monkeypatch):
    from rubrica.cli.main import rubrica

    monkeypatch.chdir(tmp_path)
    save_artifact(random_artifact("bag", lists=False), "model")
    (tmp_path / "texts.csv").write_text("text\n")
    with pytest.raises(DataError):
        rubrica(["predict", "model", "texts.csv", "--out", "out.jsonl"], standalone_mode=False)
    (tmp_path / "texts.csv").write_text("text\nsome words\n")
    rubrica(["predict", "model", "texts.csv", "--out", "out.jsonl"], standalone_mode=False)
    assert capsys.readouterr().err.endswith("1 texts answered; the answers are in out.jsonl\n")
