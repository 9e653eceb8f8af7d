"""A folder that cannot be read is a RubricaError that says what is wrong, never a hang and never a NaN."""

import json
import shutil

import numpy as np

from made_fasttext import FASTTEXT, made_fasttext
from made_models import make_bag, random_artifact, resign
from nodes import ask
from rubrica.artifact.fasttext_model import to_artifact
from rubrica.artifact.folder import save_artifact
from rubrica.artifact.tensor_file import map_tensors, write_tensors

WEIGHTS = "model.safetensors"


def set_config(section, key, value):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (config[section] if section else config)[key] = value
        (folder / "config.json").write_text(json.dumps(config))

    return change


def change_tensor(name, change):
    def write(folder):
        tensors = {key: np.array(tensor) for key, tensor in map_tensors(folder / WEIGHTS).items()}
        tensors[name] = change(tensors[name])
        write_tensors(tensors, folder / WEIGHTS)

    return write


def cut(name, size):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def too_large(folder):
    for name in ("head.bias", "linear.bias"):  # the sum is no float32
        change_tensor(name, lambda x: x + np.float32(3e38))(folder)


FAULTS = {
    "no file": (lambda folder: (folder / "vocab.txt").unlink(), "vocab.txt cannot be read"),
    "no JSON": (cut("config.json", 99), "copy all of it again"),
    "an old format": (set_config(None, "rubrica_format", 3), "rubrica export --web"),
    "an unknown key": (set_config(None, "news", 1), "unknown key news"),
    "an unknown setting": (set_config("model", "hiden_size", 1), "unknown key model.hiden_size"),
    "an unknown model": (set_config("model", "name", "toString"), "no model is called toString"),
    "a wrong setting": (set_config("model", "pooling", "median"), "model.pooling is median"),
    "a negative size": (set_config("model", "hidden_size", -1), "model.hidden_size is -1"),
    "a huge size": (set_config("model", "hidden_size", 2**32), "tensor"),
    "labels without numbers": (set_config(None, "id2label", {}), "id2label"),
    "no thresholds": (set_config(None, "problem_type", "multi_label_classification"), "thresholds"),
    "an unknown id": (set_config(None, "unknown_id", 99), "unknown_id is 99"),
    "weights that are cut off": (cut(WEIGHTS, -40), "tensor"),
    "a header that is cut off": (cut(WEIGHTS, 20), "copy all of it again"),
    "no weights": (cut(WEIGHTS, 0), "copy all of it again"),
    "another shape": (change_tensor("head.weight", lambda x: x[:, 1:]), "tensor head.weight is F32"),
    "another type": (change_tensor("linear.keys", lambda x: x.astype(np.int32)), "tensor linear.keys is I32"),
    "NaN": (change_tensor("cell.bias_ih_l0", lambda x: x * np.nan), "not finite"),
    "weights that are too large": (too_large, "not finite"),
    "keys that are not sorted": (change_tensor("linear.keys", lambda x: x[::-1].copy()), None),
}


def test_damaged_folders(tmp_path):
    save_artifact(random_artifact("gru", lists=False), tmp_path / "sound")
    for name, (damage, _) in FAULTS.items():
        shutil.copytree(tmp_path / "sound", tmp_path / name)
        damage(tmp_path / name)
        if name != "no file":
            resign(tmp_path / name)
    shutil.copytree(tmp_path / "sound", tmp_path / "sum")
    (tmp_path / "sum" / "vocab.txt").write_bytes(b"<pad>\n")  # not signed anew
    folders = [*FAULTS, "sum", "missing"]
    found = dict(
        zip(folders, ask([{"folder": str(tmp_path / name), "texts": ["a b"]} for name in folders]), strict=True)
    )
    expected = {name: message for name, (_, message) in FAULTS.items()}
    expected |= {"sum": "vocab.txt does not match manifest.json", "missing": "manifest.json cannot be read"}
    for name, message in expected.items():
        error = found[name].get("error", "none")
        if message is None:
            assert np.isfinite(found[name]["probabilities"]).all()
        else:
            assert error.startswith("RubricaError: "), (name, error)
            assert message in error, (name, error)


def test_damaged_bytes_end_in_an_error_or_an_answer(tmp_path):
    """Any byte of the weights and settings, with a manifest that fits."""
    makers = {
        "gru": random_artifact("gru", lists=True),
        "bag": make_bag(2, 13, "model.max_n=3"),
        "fasttext": to_artifact(*made_fasttext(**FASTTEXT["tree.bin"]), "tree"),
    }
    draw, questions = np.random.default_rng(0), []
    for name, artifact in makers.items():
        save_artifact(artifact, tmp_path / name)
        for number in range(40):
            folder = tmp_path / f"{name}-{number}"
            shutil.copytree(tmp_path / name, folder)
            path = folder / ("config.json" if number % 2 else WEIGHTS)
            content = bytearray(path.read_bytes())
            for place in draw.integers(0, min(len(content), 1500), 2):
                content[place] = draw.integers(0, 256)
            path.write_bytes(content)
            resign(folder)
            questions.append({"folder": str(folder), "texts": ["a b", "слово w1"]})
    found = ask(questions)
    assert len(found) == len(questions)
    for answer in found:
        assert answer.get("error", "RubricaError: ").startswith("RubricaError: "), answer
        assert all(None not in row for row in answer.get("probabilities", []))  # JSON's NaN
    assert any("error" in answer for answer in found)
