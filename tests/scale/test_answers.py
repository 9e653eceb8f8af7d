"""Answers of Ray's workers are those of one process: the same rows and columns in the same order, whoever dies."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from made_models import make, random_artifact
from rubrica.artifact.folder import save_artifact
from rubrica.data.dataset import iter_texts
from rubrica.errors import DataError, FileError, RubricaError
from rubrica.predict import answer_file as module
from rubrica.predict.answer_file import answer_file, unfinished
from rubrica.predict.classifier import Classifier
from rubrica.scale import answer_folder
from rubrica.scale.answers import answer_on_ray

ray = pytest.importorskip("ray", reason="make ray installs Ray and runs these tests")
from waiting import kill_who_waits, wait_to_be_killed  # noqa: E402 - it needs Ray

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings

WORDS = ["a", "b", "c", "слово", "2020-01-01", 'a "quoted"', "x,y", "two\nlines", "😀", "null"]
TEXTS = [" ".join(random.Random(i).choices(WORDS, k=i % 9)) for i in range(250)]
RUN = {"model": "m"}


@pytest.fixture(scope="module", autouse=True)
def address():
    """The address of a cluster with two workers, in this process and below it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    context = ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield context.address_info["gcs_address"]
    ray.shutdown()


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 40)


@pytest.fixture
def files(tmp_path):
    """The texts in each format; the row groups of the Parquet file end nowhere near a part."""
    numbers = list(range(len(TEXTS)))
    some = [None if number % 50 == 7 else text for number, text in enumerate(TEXTS)]
    columns = {"id": numbers, "text": some, "label": list(map(str, numbers)), "when": [[1.5, None]] * len(TEXTS)}
    pq.write_table(pa.table(columns), tmp_path / "in.parquet", row_group_size=33)
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text"), *zip(numbers, TEXTS, strict=True)])
    rows = [{"id": n, "text": text, "when": "2020-01-01", "kind": None} for n, text in enumerate(some)]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def in_one_process(model, source, out, **options):
    answer_file(model, iter_texts(source), out, None, **options)
    return out


def check_same(ours, theirs):
    if theirs.suffix == ".jsonl":
        assert ours.read_bytes() == theirs.read_bytes()
    else:
        expected = pq.read_table(theirs)
        assert expected.num_rows == len(TEXTS)
        assert pq.read_table(ours).equals(expected, check_metadata=True)


@pytest.mark.parametrize("source", ["in.parquet", "in.csv", "in.jsonl"])
@pytest.mark.parametrize("lines", [True, False])
def test_they_are_the_answers_of_one_process(source, lines, files):
    # A model that reads padding as words: each text must be in the batch in which one process would answer it.
    model = _bag() if lines else make("gru", masked=False)[0]
    suffix, options = (".jsonl", {"all_classes": True}) if lines else (".parquet", {})
    expected = in_one_process(model, files / source, files / f"one{suffix}", **options)
    out = files / f"ray{suffix}"
    workers = 1 if lines else 2  # one worker reads its pieces itself; two get parts from readers
    assert answer_on_ray(model, str(files / source), str(out), RUN, workers=workers, **options) == len(TEXTS)
    check_same(out, expected)
    assert not unfinished(out).exists()


def _bag():
    return Classifier(random_artifact("bag", lists=False))


@pytest.mark.parametrize("place", ["{}/out.parquet/", "file://{}/out.parquet"])
def test_workers_write_a_folder(place, files):
    out = place.format(files)
    answer_on_ray(_bag(), f"file://{files}/in.parquet", out, RUN)
    check_same(files / "out.parquet", in_one_process(_bag(), files / "in.parquet", files / "one.parquet"))
    assert {path.name for path in (files / "out.parquet").glob("_*")} == {"_prediction.json", "_SUCCESS"}
    with pytest.raises(FileError, match="is there already"):
        answer_on_ray(_bag(), f"file://{files}/in.parquet", out, RUN)


@pytest.mark.parametrize("place", ["{}/out.parquet/", "{}/out.parquet"])
def test_with_resume_answers_are_complete_only_for_the_same_run(place, files):
    def answer(run):
        return answer_on_ray(_bag(), f"file://{files}/in.parquet", place.format(files), run, resume=True)

    assert answer(RUN) == len(TEXTS)
    assert answer(RUN) is None
    with pytest.raises(FileError, match="has answers of another model"):
        answer(RUN | {"model": "another"})
    (files / ("out.parquet/_prediction.json" if place.endswith("/") else "out.parquet.prediction.json")).unlink()
    with pytest.raises(FileError, match="nothing says what it answers"):
        answer(RUN)


def test_a_storage_that_does_not_answer_is_one_sentence(files, monkeypatch):
    def fail(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(answer_folder, "_exists", fail)
    with pytest.raises(FileError, match=r"cannot be written \(no route to host\); give another --out"):
        answer_on_ray(_bag(), f"file://{files}/in.parquet", f"file://{files}/out.parquet", RUN, resume=True)


def test_a_folder_is_read_in_the_order_of_its_names(files):
    (files / "texts/deep").mkdir(parents=True)
    (files / "texts/_SUCCESS").touch()
    table = pq.read_table(files / "in.parquet")
    pq.write_table(table.slice(100), files / "texts/part-1.parquet")
    pq.write_table(table.slice(0, 100), files / "texts/part-0.parquet")
    pq.write_table(table.slice(0, 0), files / "texts/deep/empty.parquet")
    answer_on_ray(_bag(), str(files / "texts"), str(files / "out.parquet"), RUN)
    check_same(files / "out.parquet", in_one_process(_bag(), files / "in.parquet", files / "one.parquet"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no-text.csv", "a,b,c\n1,2,3\n"),
        ("no-rows.csv", "id,text\n"),
        ("empty.parquet", ""),
        ("broken.parquet", "PAR1 nothing of that kind"),
        ("wrong.jsonl", '{"text": "a"}\n{"text": {"a": 1}}\n'),
        ("bad.jsonl", '{"text": "a"}\n{"text": \n'),
        ("missing.csv", None),
        ("unknown.doc", "text"),
    ],
)
def test_what_cannot_be_read_has_the_same_sentence(name, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_text(content)
    sentences = []
    for answer in (lambda: in_one_process(_bag(), name, Path("one.jsonl")), lambda: run_here(name, "ray.jsonl")):
        with pytest.raises(DataError) as error:
            answer()
        sentences.append(str(error.value))
    assert sentences[0] == sentences[1]


def run_here(name, out):
    answer_on_ray(_bag(), name, out, RUN)


def test_a_column_that_does_not_fit_has_the_same_sentence(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a", "n": 1}\n{"text": "a", "n": "x"}\n')
    for answer in (in_one_process, lambda model, file, out: answer_on_ray(model, str(file), str(out), RUN)):
        with pytest.raises(FileError, match=r"a column does not fit into Parquet .*write the answers as \.jsonl"):
            answer(_bag(), tmp_path / "in.jsonl", tmp_path / f"{answer.__name__.strip('<>')}.parquet")


class Waiting(Classifier):
    """Waits for its end where it first meets a certain text, and answers it in the next process."""

    def __reduce__(self):
        return type(self)._again, (self.artifact, self.mark)

    @classmethod
    def _again(cls, artifact, mark):
        model = cls(artifact)
        model.mark = mark
        return model

    def iter_answers(self, texts, **options):
        texts = list(texts)
        if TEXTS[130] in texts:
            wait_to_be_killed(self.mark)
        return super().iter_answers(texts, **options)


# Two workers get parts from readers; one worker reads its pieces itself.
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["out.parquet", "out.parquet/"])
def test_a_worker_that_is_killed_is_replaced(name, workers, files):
    model = Waiting._again(_bag().artifact, files / "mark")
    kill_who_waits(model.mark, __name__)
    assert answer_on_ray(model, str(files / "in.parquet"), f"{files}/{name}", RUN, workers=workers) == len(TEXTS)
    killed, heir = model.mark.read_text().split()
    assert killed != heir
    check_same(files / "out.parquet", in_one_process(_bag(), files / "in.parquet", files / "one.parquet"))


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out.parquet/"])
def test_a_command_that_is_killed_goes_on(name, files):
    class Killed(BaseException):
        """In place of SIGKILL."""

    def dying(note):
        raise Killed

    source, out = str(files / "in.parquet"), f"{files}/{name}"
    with pytest.raises(Killed):
        answer_on_ray(_bag(), source, out, RUN, advance=dying)
    with pytest.raises(FileError, match="answers of another model"):
        answer_on_ray(_bag(), source, out, {"model": "another"})
    assert answer_on_ray(_bag(), source, out, RUN) < len(TEXTS)
    expected = in_one_process(_bag(), files / "in.parquet", (files / "one").with_suffix(Path(name).suffix))
    check_same(files / name, expected)


def test_a_worker_of_another_version_is_refused(files, monkeypatch):
    monkeypatch.setattr("rubrica.scale.answers.__version__", "0.0.0")
    with pytest.raises(RubricaError, match=r"has 0\.0\.0; install the same version"):
        answer_on_ray(_bag(), str(files / "in.csv"), str(files / "out.jsonl"), RUN)


@pytest.mark.parametrize("running", [True, False])
def test_the_command_says_no_more_than_without_ray(running, files, address):
    save_artifact(_bag().artifact, files / "model")
    environment = {**os.environ, "RAY_ADDRESS": address if running else "local"}
    command = [sys.executable, "-m", "rubrica", "predict", "model", "in.csv", "--out", "out.parquet", "--ray", "2"]
    done = subprocess.run(command, cwd=files, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "250 texts answered; the answers are in out.parquet\n"
    check_same(files / "out.parquet", in_one_process(_bag(), files / "in.csv", files / "one.parquet"))
