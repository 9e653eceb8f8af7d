"""The command as a user meets it: what it prints where, its exit codes, its errors."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import rubrica
from made_models import make
from rubrica.artifact.folder import save_artifact
from rubrica.data.dataset import read_dataset
from settings import QUICK, changed


def test_train_writes_a_model_and_says_where(run, home, tmp_path):
    code, out, err = run("train", home, "--model", "cnn", *QUICK, "--epochs", "3", "--out", tmp_path / "m")
    assert (code, out) == (0, "")
    assert "validation: accuracy" in err
    assert "test: accuracy 1.0000" in err
    assert f"the model is in {tmp_path / 'm'}" in err
    assert run("--quiet", "train", home, "--model", "linear", "--out", tmp_path / "n")[2].count("\n") == 3


def test_evaluate_prints_a_table_or_one_json_object(run, home):
    code, out, _ = run("evaluate", home / "model", home)
    assert code == 0
    assert "accuracy: 1.0000" in out
    assert "Наука" in out
    _, out, _ = run("evaluate", home / "model", home, "--json")
    scores = json.loads(out)
    assert (scores["accuracy"], scores["macro_f1"], scores["texts"]) == (1.0, 1.0, 30)
    assert scores["loss"] < 0.5
    _, out, err = run("evaluate", home / "model", home, "--split", "train", "--json")
    assert json.loads(out)["texts"] == 120
    assert err == (
        f"{home}: the model was trained on these very texts, so the scores do not say how it does on others\n"
    )


def test_a_label_that_the_model_does_not_know_stops_nothing(run, home, tmp_path):
    rows = (home / "test.csv").read_text(encoding="utf-8").splitlines()
    data = tmp_path / "d"
    data.mkdir()
    (data / "test.csv").write_text("\n".join([*rows[:5], "sea,a ship"]) + "\n", encoding="utf-8")
    (data / "validation.csv").write_text("\n".join([*rows, "sea,a ship"]) + "\n", encoding="utf-8")
    shutil.copy(home / "train.csv", data)
    warned = '1 of 5 texts has a label that the model does not know ("sea"); it counts as wrong'
    code, out, err = run("evaluate", home / "model", data / "test.csv")
    assert (code, err) == (0, f"{data / 'test.csv'}: {warned}\n")
    assert "accuracy: 0.8000" in out
    code, out, err = run("evaluate", home / "model", data, "--json")
    assert (code, err, json.loads(out)["accuracy"]) == (0, f"{data}: {warned}\n", 0.8)
    code, _, err = run("train", data, "--model", "linear", "--out", tmp_path / "m")
    assert code == 0, err
    assert err.count("does not know") == 2
    assert f"{data} (test): {warned}" in err
    assert '(validation): 1 of 31 texts has a label that the model does not know ("sea"); it is left out of' in err
    assert "test: accuracy 0.8000" in err
    metrics = rubrica.load(tmp_path / "m").artifact.metrics
    assert (metrics["validation"]["texts"], metrics["test"]["texts"], metrics["train_texts"]) == (30, 5, 120)
    assert ["sea", "0", "1", "1"] in [line.split() for line in run("data", data)[1].splitlines()]
    code, out, err = run("quantize", home / "model", "--max-size", "9M", "--out", tmp_path / "q", "--data", data)
    assert (code, err.count(warned)) == (0, 1), err
    assert "80.00% before, 80.00% after" in out


def test_where_no_label_is_known_there_is_no_loss_to_print(run, home, tmp_path):
    (tmp_path / "sea.csv").write_text("label,text\nsea,a ship\nfish,a cod\n")
    code, out, err = run("evaluate", home / "model", tmp_path / "sea.csv")
    assert (code, "loss: -\n" in out, "accuracy: 0.0000" in out, "nan" in out) == (0, True, True, False)
    assert "2 of 2 texts have labels" in err
    assert '"loss": null' in run("evaluate", home / "model", tmp_path / "sea.csv", "--json")[1]
    (tmp_path / "train.csv").write_bytes((home / "train.csv").read_bytes())
    (tmp_path / "sea.csv").rename(tmp_path / "test.csv")
    assert run("train", tmp_path, "--model", "linear", "--out", tmp_path / "m")[0] == 0
    assert rubrica.load(tmp_path / "m").artifact.metrics["test"]["loss"] is None


def test_evaluate_shows_labels_as_they_are_and_of_many_classes_the_mistakes(run, tmp_path):
    labels = ["[/b]", "[red]x", *(f"class {i}" for i in range(10))]
    rows = [f"word{i} and more,{label}" for i, label in enumerate(labels) for _ in range(4)]
    data = tmp_path / "[a].csv"  # what rich would read as its markup
    for count in (2, 12):
        data.write_text("\n".join(["text,label", *rows[: 4 * count]]) + "\n", encoding="utf-8")
        model = tmp_path / f"model{count}"
        assert run("train", data, "--model", "linear", "--out", model)[0] == 0
        if count == 12:  # two mistakes more than are right
            data.write_text("\n".join(["text,label", *rows, *["word0,class 3"] * 2, "word1,class 4"]), encoding="utf-8")
        code, out, _ = run("evaluate", model, data)
        assert code == 0
        lines = [line.split() for line in out.splitlines()]
        assert (["[/b]", "[red]x"] in lines) == (count == 2)
    at = next(place for place, line in enumerate(lines) if line == ["truth", "answer", "texts"])
    assert lines[at + 2 : at + 4] == [["class", "3", "[/b]", "2"], ["class", "4", "[red]x", "1"]]
    assert "[a].csv" in run("data", data)[1].replace("\n", "")


def test_predict_answers_every_line_of_a_file_or_stdin(run, home, tmp_path):
    lines = ["the goal", "", "planet robot", 'a, "b" {}', "\u2028 cup"] * 700
    (tmp_path / "texts").write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, out, _ = run("predict", home / "model", tmp_path / "texts")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(answers) == 3500
    assert [answer["label"] for answer in answers[:3:2]] == ["Sport, local", "Наука"]
    assert all(answer.keys() == {"label", "score"} for answer in answers)
    done = subprocess.run(
        [sys.executable, "-m", "rubrica", "predict", home / "model"],
        input=(tmp_path / "texts").read_bytes(), capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.decode() == out
    assert done.stderr == b""


def test_predict_reads_a_table_and_shows_all_classes(run, home):
    code, out, _ = run("predict", home / "model", home / "test.csv", "--all")
    answers = [json.loads(line) for line in out.splitlines()]
    assert (code, len(answers)) == (0, 30)
    for answer in answers:
        assert answer["scores"].keys() == {"Sport, local", "Наука", "oil"}
        assert sum(answer["scores"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["score"] == max(answer["scores"].values())


def test_a_wrong_variable_is_no_fault_of_the_data(run, home, monkeypatch):
    monkeypatch.setenv("RUBRICA_THREADS", "many")
    code, _, err = run("evaluate", home / "model", home)
    assert code == 2
    assert err.startswith("error: RUBRICA_THREADS is 'many'")


def test_where_no_label_is_probable_enough_predict_gives_none_and_evaluate_says_what_that_buys(run, home, tmp_path):
    plain = [json.loads(line) for line in run("predict", home / "model", home / "test.csv", "--all")[1].splitlines()]
    middle = sorted(answer["score"] for answer in plain)[14:16]
    below = round(sum(middle) / 2, 5)
    assert middle[0] < below < middle[1]
    arguments = ("predict", home / "model", home / "test.csv", "--all", "--abstain-below", below)
    answers = [json.loads(line) for line in run(*arguments)[1].splitlines()]
    expected = [answer | {"label": answer["label"] if answer["score"] > below else None} for answer in plain]
    assert answers == expected
    model = rubrica.load(home / "model")
    texts = read_dataset(str(home)).splits["test"].texts
    assert model.predict(texts, abstain_below=below) == [answer["label"] for answer in expected]
    code, out, _ = run("evaluate", home / "model", home, "--abstain-below", below)
    assert code == 0
    assert f"answered at {below:g} or more: 50.00% of texts" in out
    assert "accuracy on answered texts: 1.0000" in out
    scores = json.loads(run("evaluate", home / "model", home, "--abstain-below", "1", "--json")[1])
    assert (scores["coverage"], scores["answered_accuracy"], scores["accuracy"]) == (0, None, 1)


def test_predict_reads_padding_as_the_evaluation_did(run, tmp_path):
    """A padded text's score depends on its batch: the batches are the same whatever is read at a time."""
    artifact = make("gru", "last", masked=False)[0].artifact
    save_artifact(replace(artifact, config=changed(artifact.config, ["training.batch_size=48"])), tmp_path / "m")
    texts = (["a", "c d"] * 50 + ["b " * 90]) * 50  # more than `predict` reads at a time; few batches have a long text
    (tmp_path / "texts").write_text("\n".join(texts) + "\n")
    answers = [json.loads(line)["score"] for line in run("predict", tmp_path / "m", tmp_path / "texts")[1].splitlines()]
    expected = rubrica.load(tmp_path / "m").predict_proba([text.strip() for text in texts]).max(axis=1)
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_info_shows_what_a_model_is(run, home):
    code, out, _ = run("info", home / "model")
    assert code == 0
    assert "gru" in out
    facts = json.loads(run("info", home / "model", "--json")[1])
    assert facts["labels"] == sorted(["Sport, local", "oil", "Наука"])
    assert facts["metrics"]["test"]["accuracy"] == 1
    assert facts["config"]["training"]["lr"] == 0.02


def test_export_and_quantize_write_smaller_models_and_say_what_it_costs(run, home, tmp_path):
    code, out, err = run("export", home / "model", "--int8", "--out", tmp_path / "int8", "--data", home)
    assert code == 0
    assert "int8: is not smaller, since " in err  # the training has stored it so
    assert "accuracy on 30 texts: 100.00% before, 100.00% after (+0.00 points)" in out
    assert "features: 160 before, 160 after" in out
    assert "tables as: int8" in out
    assert json.loads(run("evaluate", tmp_path / "int8", home, "--json")[1])["accuracy"] == 1
    code, out, _ = run("export", home / "model", "--bf16", "--out", tmp_path / "bf16")
    assert code == 0
    assert "accuracy: not measured; --data" in out
    assert json.loads(run("info", tmp_path / "bf16", "--json")[1])["storage"] == "bfloat16"
    code, out, _ = run("quantize", home / "model", "--max-size", "15k", "--out", tmp_path / "small")
    assert code == 0
    total = sum(path.stat().st_size for path in (tmp_path / "small").iterdir())
    assert f"{total:,}" in out
    assert total <= 15_000


def test_export_writes_an_onnx_file_and_its_words(run, home, tmp_path):
    onnx = ("--onnx", "--int8", "--out", tmp_path / "out" / "news.onnx")
    code, out, err = run("export", home / "model", *onnx)
    assert (code, err) == (0, "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"news.onnx", "news.vocab.txt"}
    assert "onnxruntime: answers are" in out
    assert f"{(tmp_path / 'out' / 'news.onnx').stat().st_size:,}" in out


def test_data_shows_what_is_there(run, home):
    code, out, err = run("data", home, "--vectors", home / "v.txt")
    assert code == 0
    for expected in ("Наука", "120", "first words: <user> the cup", "unknown, lower-cased"):
        assert expected in out
    assert "reading the file" in err
    code, out, err = run("data", home, "--vectors", home / "v.txt", "--json")
    facts = json.loads(out)
    assert facts["splits"]["test"]["rows"] == 30
    assert "reading from the cache" in err
    example = facts["examples"][0]
    assert len(example["tokens"]) == len(example["ids"])
    assert facts["unknown"]["test"]["share_as_written"] > 0


def test_vectors_are_listed_and_made(run, tmp_path):
    code, out, _ = run("vectors", "list")
    assert code == 0
    assert "glove-twitter-50" in out
    (tmp_path / "d.csv").write_text("label,text\n" + "1,the cup of tea\n2,the goal\n" * 20)
    (tmp_path / "d.txt").write_text("the cup of tea\nthe goal\n" * 20)  # without labels
    (tmp_path / "labels.txt").write_text("__label__1 the cup of tea\n__label__2 the goal\n" * 20)
    for name in ("d.csv", "d.txt", "labels.txt"):
        made = tmp_path / f"{name}.vec"
        code, out, err = run("vectors", "train", tmp_path / name, "--dim", "4", "--out", made)
        assert code == 0, err
        assert "5 words x 4" in err
        assert made.read_bytes() == (tmp_path / "d.csv.vec").read_bytes()


def test_help_names_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    for name in ("data", "evaluate", "export", "info", "predict", "quantize", "seminar", "train", "vectors"):
        assert f"  {name} " in out
        assert run(name, "--help")[0] == 0


def bad_cases(home, tmp):
    """What a user may type, the exit code, and what the one sentence on stderr must say."""
    (tmp / "empty.csv").write_text("")
    (tmp / "ragged.csv").write_text("label,text\na,b\nc,d,e\n")
    (tmp / "latin.csv").write_bytes(b"label,text\na,b\nc,caf\xe9\n")
    (tmp / "one.csv").write_text("label,text\na,b\na,c\n")
    split = tmp / "split"
    split.mkdir()
    (split / "train.csv").write_text("label,text\na,b\nb,c\n")
    (split / "test.csv").write_text("label,text\na,b\na|b,c\n")
    (tmp / "two.csv").write_text("label,text\na,b\na|b,c\n")
    (tmp / "broken.txt").write_text("the 1 2 3\ncup 1 x 3\n")
    (tmp / "narrow.txt").write_text("the 1 2 3\ncup 1 2\n")
    (tmp / "short.bin").write_bytes(b"2 3\nthe " + np.ones(3, np.float32).tobytes() + b"cup \0\0")
    (tmp / "full").mkdir()
    (tmp / "full" / "precious").write_text("")
    (tmp / "texts").write_bytes(b"fine\n\xff\n")
    model, out = home / "model", ["--out", tmp / "new"]
    return [
        (["train", tmp / "none.csv", *out], 1, ["none.csv", "no such file"]),
        (["train", tmp / "empty.csv", *out], 1, ["empty.csv", "empty"]),
        (["train", home, "--text-column", "body", *out], 1, ["train.csv", "body", "label, text"]),
        (["train", tmp / "ragged.csv", *out], 1, ["ragged.csv line 3: 3 columns, expected 2", "--delimiter"]),
        (["train", tmp / "latin.csv", *out], 1, ["latin.csv line 3", "UTF-8"]),
        (["train", tmp / "split", *out], 1, ["test.csv line 3", "a list of labels (2)"]),
        (["train", tmp / "one.csv", *out], 1, ["one.csv", "one class only", "--label-column"]),
        (["train", home, "--vectors", tmp / "broken.txt", *out], 1, ["broken.txt line 2"]),
        (["train", home, "--vectors", tmp / "narrow.txt", *out], 1, ["narrow.txt line 2"]),
        (["train", home, "--vectors", tmp / "short.bin", *out], 1, ["short.bin", "word 2"]),
        (["train", home, "--vectors", "glove-twiter-50", *out], 1, ["glove-twitter-50"]),
        (["train", home, "--vectors", "glove-twitter-50", *out], 1, ["rubrica vectors get glove-twitter-50"]),
        (["train", home, "--out", tmp / "full"], 1, ["full", "not empty"]),
        (["train", home, "--out", tmp / "one.csv" / "model"], 1, ["cannot be written"]),
        (["train", home, "--set", "training.lrr=1", *out], 2, ["training.lrr", "'lr'"]),
        (["train", home, "--set", "lr=1", *out], 2, ["--set lr=1: expected section.key=value"]),
        (["train", home, "--epochs", "-1", *out], 2, ["training.epochs is -1"]),
        (["train", home, "--time-budget", "2d", *out], 2, ["'--time-budget': '2d' is no length of time", "2m or 1h"]),
        (["train", home, "--recipe", "nothing", *out], 2, ["nothing", "recipe"]),
        (["train", home, "--model", "bert", *out], 2, ["--model", "bert"]),
        (["train", home], 2, ["--out"]),
        (["evaluate", tmp / "none", home], 1, ["none", "no such model folder"]),
        (["evaluate", model, tmp / "two.csv"], 1, ["two.csv: label 1: a text has 2 labels"]),
        (["evaluate", model, home, "--split", "dev"], 2, ["--split dev", "train, test"]),
        (["predict", model, tmp / "texts"], 1, ["texts line 2", "UTF-8"]),
        (["predict", model, home / "test.csv", "--abstain-below", "80"], 2, ["--abstain-below", "80", "0<=x<=1"]),
        (["predict", model, tmp / "none.txt"], 1, ["none.txt: no such file", 'echo "TEXT" | rubrica predict']),
        (
            ["evaluate", model, home, "--report", home / "test.csv"],
            1,
            ["test.csv: is no name of a page; give one that"],
        ),
        (["explain", model, "goal", "--html", home / "test.csv"], 1, ["test.csv: is no name of a page; give one that"]),
        (["predict", model, "Wonderful"], 1, ["Wonderful: no such file", 'echo "TEXT" | rubrica predict']),
        (["evaluate", home / "test.csv", model], 1, ["test.csv: is a file and no model"]),
        (["seminar", "--data", tmp / "one.csv", "--vectors", home / "v.txt", *out], 1, ["one class only"]),
        (["vectors", "get", "glove-twiter-25"], 1, ["glove-twitter-25"]),
        (["train", home, "--delimiter", "ab", *out], 2, ["delimiter is 'ab', expected one ASCII character"]),
        (["train", home, "--device", "gpu", *out], 2, ["training.device is 'gpu'", "cpu, cuda or auto"]),
        (["vectors", "train", home, "--out", tmp / "v.pdf"], 1, ["v.pdf", ".vec (text)"]),
        (["vectors", "train", home, "--out", tmp / "one.csv" / "v.txt"], 1, ["v.txt: cannot be written"]),
        (["export", model, *out], 2, ["give --onnx, --web, --int8 or --bf16"]),
        (["export", model, "--int8", "--bf16", *out], 2, ["give --onnx, --web, --int8 or --bf16"]),
        (["export", tmp / "none", "--int8", *out], 1, ["none", "no such model folder"]),
        (["export", model, "--int8", "--out", tmp / "full"], 1, ["full", "not empty"]),
        (["export", model, "--int8", "--data", tmp / "two.csv", *out], 1, ["two.csv: label 1: a text has 2 labels"]),
        (["export", model, "--onnx", *out], 1, ["new", "ends in .onnx"]),
        (["quantize", model, "--max-size", "2T", *out], 2, ["'--max-size': '2T' is no size", "2M"]),
        (["quantize", model, "--max-size", "1k", *out], 1, ["cannot be made smaller than", "1,000 were asked for"]),
        (["quantize", model, *out], 2, ["--max-size"]),
        (
            ["train", "mini-news", "--size", "large", "--model", "bag", *out],
            2,
            ["a bag has one size; leave --size out"],
        ),
        (["info", "x" * 300], 1, ["xxx: cannot be read (File name too long)"]),
        (["train", "x" * 300 + ".csv", *out], 1, ["xxx.csv: cannot be read (File name too long)"]),
        (["predict", model, tmp / "texts", "--text-column", "text"], 2, ["texts has a text a line"]),
        (["predict", model, "--delimiter", ";"], 2, ["- has a text a line"]),
        (["bogus"], 2, ["No such command"]),
        ([], 2, ["Usage"]),
    ]


@pytest.mark.parametrize("case", range(53))
def test_what_goes_wrong_is_one_sentence(run, home, tmp_path, monkeypatch, case):
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "gensim-data"))
    cases = bad_cases(home, tmp_path)
    assert len(cases) == 53
    arguments, expected_code, sentences = cases[case]
    code, out, err = run(*arguments)
    assert code == expected_code, err
    assert out == ""
    for sentence in sentences:
        assert sentence in err
    assert "Traceback" not in err
    if expected_code == 1:
        errors = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert err.splitlines()[-1] == errors[0]
    assert not (tmp_path / "new").exists()


OFFLINE = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_DISABLE_TELEMETRY": "1"}


def test_a_hub_id_without_network_names_the_way_off_line(run, home, tmp_path, monkeypatch):
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    done = subprocess.run(
        [sys.executable, "-m", "rubrica", "train", "someone/news", "--out", tmp_path / "m"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "someone/news" in done.stderr
    assert "hf download" in done.stderr
    assert "Traceback" not in done.stderr


NO_TORCH = "import sys; sys.modules['torch'] = None; sys.argv[0] = 'rubrica'; from rubrica.cli.main import main; main()"


def test_predict_evaluate_and_info_work_where_torch_is_not_installed(home):
    for arguments in (
        ["predict", home / "model", home / "test.csv"],
        ["evaluate", home / "model", home],
        ["info", home / "model"],
        ["quantize", home / "model", "--max-size", "20k", "--data", home, "--out", home / "small"],
    ):
        subprocess.run([sys.executable, "-c", NO_TORCH, *arguments], capture_output=True, check=True)
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, "train", home, "--out", home / "never"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "error: torch is not installed; run: pip install 'rubrica[train]'\n"
