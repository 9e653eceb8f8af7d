"""`rubrica doctor` on models: for a person, for machines, for pipelines."""

import json

import pytest


def doctor(run, *arguments):
    return run("doctor", *arguments)


def test_json_names_the_target_and_each_finding(run, home):
    code, out, _ = doctor(run, home / "model", home, "--vectors", home / "v.txt", "--json")
    assert code == 0
    found = json.loads(out)
    assert found.keys() == {"target", "findings"}
    assert found["target"] == str(home / "model")
    for finding in found["findings"]:
        assert finding.keys() == {"kind", "severity", "title", "why", "remedy", "figures", "rows", "cost"}


def test_without_data_the_texts_of_the_training_are_read_again(run, home, monkeypatch):
    given = doctor(run, home / "model", home, "--json")[1]
    assert json.loads(doctor(run, home / "model", "--json")[1]) == json.loads(given)


def test_a_person_reads_what_it_means_and_what_to_do(run, home):
    code, out, _ = doctor(run, home / "model", home)
    found = json.loads(doctor(run, home / "model", home, "--json")[1])["findings"]
    assert code == 0
    text = " ".join(out.split())
    for finding in found:
        assert finding["severity"] + ": " + " ".join(finding["title"].split()) in text
        assert " ".join(finding["remedy"].split()) in text
    assert str(home / "model") in text


def unsound(home, tmp_path, run):
    """A model whose padding is read as words."""
    flags = ["--set", "model.mask_padding=false", "--set", "model.init=uniform01", "--set", "model.with_linear=false"]
    out = tmp_path / "unsound"
    assert run("train", home, "--out", out, "--epochs", "1", "--set", "model.hidden_size=8", *flags)[0] == 0
    return out


def test_a_pipeline_fails_on_what_is_grave_enough(run, home, tmp_path):
    model = unsound(home, tmp_path, run)
    code, out, _ = doctor(run, model, home, "--json", "--fail-on", "warning")
    assert code == 1
    found = json.loads(out)["findings"]
    assert "padding-read" in {finding["kind"] for finding in found}
    (remedy,) = [finding["remedy"] for finding in found if finding["kind"] == "padding-read"]
    assert remedy.startswith(f"rubrica train DATA --out NEW --recipe {model}/config.json --set model.mask_padding=true")
    assert doctor(run, model, home)[0] == 0


def test_a_new_file_is_compared_with_the_training_and_by_its_columns(run, home, tmp_path):
    rows = (home / "test.csv").read_text(encoding="utf-8").splitlines()[1:]
    lines = ["label,text,source", *(f"{row},{'a' if i % 2 else 'b'}" for i, row in enumerate(rows * 3))]
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, out, err = doctor(run, home / "model", tmp_path / "new.csv", "--slice-column", "source", "--json")
    assert code == 0, err
    json.loads(out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such file here"),
        (["{home}/model", "nowhere.csv"], "nowhere.csv"),
        (["{home}/model", "{home}", "--slice-column", "colour"], "colour"),
        (["{home}/test.csv", "{home}"], "is no model"),
    ],
)
def test_what_cannot_be_examined_is_refused_in_a_sentence(run, home, arguments, message):
    code, out, err = doctor(run, *(argument.format(home=home) for argument in arguments))
    assert code in (1, 2)
    assert not out
    assert "Traceback" not in err
    assert message in err


def test_help_tells_what_it_does(run):
    code, out, _ = doctor(run, "--help")
    assert code == 0
    assert "Say what is wrong with TARGET" in out
