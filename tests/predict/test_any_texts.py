"""n texts in, n answers out, in order: any texts, every way in, any chunks and threads; and names as they were."""

import csv
import json
from dataclasses import replace

import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from made_models import random_artifact
from rubrica.artifact.folder import load_artifact, save_artifact
from rubrica.cli.main import rubrica as command
from rubrica.predict import answer_file, classifier
from rubrica.predict.classifier import Classifier
from rubrica.scoring.tasks import task_of
from rubrica.text.vocab import Vocab

letters = st.characters(codec="utf-8", exclude_characters="\0")
text_lists = st.lists(st.text(st.one_of(st.sampled_from("abc é\n\t\"',"), letters), max_size=30), max_size=20)
names = st.text(letters, min_size=1, max_size=8).filter(lambda name: name == name.strip() and "|" not in name)


@pytest.fixture(scope="module", params=["bag", "linear", "gru", "cnn"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any") / request.param
    save_artifact(random_artifact(request.param, lists=False), folder)
    return folder


OBJECTS = {
    "list": list,
    "generator": iter,
    "numpy": lambda texts: np.array([*texts, None], object)[:-1],
    "series": lambda texts: pandas.Series(texts, range(len(texts), 0, -1), dtype=object),
    "polars": lambda texts: polars.Series(texts, dtype=polars.String),
    "arrow": lambda texts: pa.array(texts, pa.string()),
    "arrow, a chunk each": lambda texts: pa.chunked_array([[text] for text in texts], pa.large_string()),
}


@settings(max_examples=20)
@given(texts=text_lists, at_a_time=st.integers(1, 7), threads=st.sampled_from(["1", "3"]))
def test_objects(folder, texts, at_a_time, threads):
    model = Classifier(load_artifact(folder))
    alone = [model.predict_proba([text])[0] for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "_AT_A_TIME", at_a_time)
        patch.setenv("RUBRICA_THREADS", threads)
        for name, make in OBJECTS.items():
            found = model.predict_proba(make(texts))
            assert found.shape == (len(texts), len(model.labels)), name
            np.testing.assert_allclose(found, np.reshape(alone, found.shape), atol=2e-6, err_msg=name)


def write_csv(path, texts):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "n"), *((text, i) for i, text in enumerate(texts))])


def write_jsonl(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def write_parquet(path, texts):
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path, row_group_size=3)


FILES = {".csv": write_csv, ".jsonl": write_jsonl, ".parquet": write_parquet}


def answers_in(path):
    """Labels and scores in a file of answers."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return list(zip(table.column("label").to_pylist(), table.column("score").to_pylist(), strict=True))
    return [(answer["label"], answer["score"]) for answer in map(json.loads, path.read_text("utf-8").splitlines())]


@settings(max_examples=8)
@given(texts=text_lists.filter(len), rows=st.integers(1, 7))
@example(texts=["", "a", "\r\n", '"', "a\nb"], rows=2)
def test_files(folder, tmp_path_factory, texts, rows):
    place, model = tmp_path_factory.mktemp("files"), Classifier(load_artifact(folder))
    alone = [max(model.predict_proba([text])[0]) for text in texts]
    for suffix, write in FILES.items():
        write(place / f"texts{suffix}", texts)
        for kind in (".jsonl", ".parquet"):
            out = place / f"of{suffix}{kind}"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(answer_file, "_ROWS", rows)
                done = CliRunner().invoke(
                    command, ["predict", *map(str, (folder, place / f"texts{suffix}", "--out", out))]
                )
            assert done.exit_code == 0, done.output
            assert [score for _, score in answers_in(out)] == pytest.approx(alone, abs=2e-6), out.name
        assert pq.read_table(out).column("text").to_pylist() == texts
        printed = (
            CliRunner().invoke(command, ["predict", str(folder), str(place / f"texts{suffix}")]).stdout.splitlines()
        )
        assert [json.loads(line)["label"] for line in printed] == [label for label, _ in answers_in(out)]


@settings(max_examples=40)
@given(
    labels=st.lists(names, min_size=3, max_size=3, unique=True),
    words=st.lists(names.filter(lambda word: "\n" not in word), min_size=3, max_size=3, unique=True),  # no token has it
)
def test_a_folder_keeps_every_name(tmp_path_factory, labels, words):
    made = random_artifact("gru", lists=False)
    words = ["<pad>", "<unk>", *words]
    folder = tmp_path_factory.mktemp("names") / "model"
    artifact = replace(made, task=task_of(labels, lists=False), vocab=Vocab(words, 1, False, False))
    save_artifact(artifact, folder)
    read = load_artifact(folder)
    save_artifact(read, folder.with_name("again"))
    again = load_artifact(folder.with_name("again"))
    assert read.task.labels == artifact.task.labels
    assert list(read.vocab.words) == words
    texts = [" ".join(words), *words, ""]
    assert Classifier(read).predict(texts) == Classifier(again).predict(texts)
