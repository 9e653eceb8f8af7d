"""`rubrica export --web` writes the model beside rubrica.js, from a checkout and from an installed package."""

import json
import re

import pytest

import rubrica
from made_fasttext import FASTTEXT, made_fasttext
from nodes import FOLDER, ask
from rubrica import load
from rubrica.artifact.fasttext_file import write_fasttext
from rubrica.errors import ArtifactError, RubricaError
from rubrica.export import page
from rubrica.export.browser import export_web

DATA = FOLDER.parent / "data"


def test_the_command(run, tmp_path):
    code, out, _ = run("export", DATA / "artifact-v4", "--web", tmp_path / "web", "--bf16")
    assert code == 0
    assert "model/config.json" in out
    assert f"python -m http.server -d {tmp_path / 'web'}" in " ".join(out.split())
    scripts = {path.name for path in (tmp_path / "web").glob("*.js")}
    js = FOLDER.parents[1] / "js"
    assert scripts == {path.name for path in [*js.glob("*.js"), *js.glob("page/*.js")]}
    assert load(tmp_path / "web" / "model").artifact.storage == "bfloat16"


@pytest.mark.parametrize("flags", [["--onnx"], ["--out", "folder"], ["--int8", "--bf16"], ["--data", "mini-news"]])
def test_flags_that_do_not_go_together(run, tmp_path, flags):
    code, _, err = run("export", DATA / "artifact-v4", "--web", tmp_path / "web", *flags)
    assert code == 2
    assert "--web" in err


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_older_folders_are_written_anew(version, tmp_path):
    export_web({"model": DATA / f"artifact-v{version}"}, tmp_path / "web")
    texts = ["Cup final", "Oil prices climb", ""]
    (found,) = ask([{"folder": str(tmp_path / "web" / "model"), "texts": texts}])
    for row, expected in zip(
        found["probabilities"], load(DATA / f"artifact-v{version}").predict_proba(texts), strict=True
    ):
        assert row == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_fasttext_file(tmp_path):
    write_fasttext(*made_fasttext(**FASTTEXT["softmax.bin"]), tmp_path / "model.bin")
    export_web({"model": tmp_path / "model.bin"}, tmp_path / "web")
    (found,) = ask([{"folder": str(tmp_path / "web" / "model"), "texts": ["w0 w1"]}])
    expected = load(tmp_path / "model.bin").predict_proba(["w0 w1"])[0].tolist()
    assert found["probabilities"][0] == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ArtifactError, match="not empty"):
        export_web({"model": DATA / "artifact-v4"}, tmp_path / "full")
    monkeypatch.setattr(page, "_BUILT", tmp_path / "full")  # a folder without scripts
    with pytest.raises(RubricaError, match="lacks the files of rubrica"):
        export_web({"model": DATA / "artifact-v4"}, tmp_path / "web")
    assert not (tmp_path / "web").exists()


def test_the_npm_package():
    js = FOLDER.parents[1] / "js"
    package = json.loads((js / "package.json").read_text())
    assert package["version"] == rubrica.__version__
    assert package["type"] == "module"
    assert "dependencies" not in package
    described = re.findall(
        r"^  (\w+)[(:]", (js / package["types"]).read_text().partition("interface Model")[2], re.MULTILINE
    )
    given = (js / package["main"]).read_text().partition("  return {\n    labels")[2].partition("\n  };\n")[0]
    assert described == ["labels", *re.findall(r"^    (\w+)[(:]", given, re.MULTILINE)]


def loaded(folder, name, found=None):
    """The scripts that a script imports, itself among them."""
    found = {name} if found is None else found | {name}
    for other in re.findall(r'from "./(\w+\.js)"', (folder / name).read_text()):
        found |= loaded(folder, other, found) if other not in found else set()
    return found


def test_a_page_loads_less_than_forty_kilobytes_of_script(tmp_path):
    export_web({"model": DATA / "artifact-v4"}, tmp_path / "web")
    families = set(
        re.findall(
            r'\w+: "(\w+)"', (tmp_path / "web" / "folder.js").read_text().partition("FAMILIES")[2].partition("}")[0]
        )
    )
    assert len(families) == 6
    shared = loaded(tmp_path / "web", "rubrica.js")
    for family in families:
        scripts = shared | loaded(tmp_path / "web", f"{family}.js") | loaded(tmp_path / "web", "linear.js")
        assert sum((tmp_path / "web" / name).stat().st_size for name in scripts) < 40_000, family
