"""Fingerprints of every kind of model, to show that a change of the code changed no result.

    python benchmarks/unchanged.py before.json --python OLD/.venv/bin/python
    python benchmarks/unchanged.py after.json --python .venv/bin/python
    python benchmarks/unchanged.py after.json --against before.json

Each case is trained by the command line of the named installation. A fingerprint is the sha256 of the weights, the
scores, and the sha256 of the answers to the test texts. Weights depend on the processor and on the number of threads,
so both files must come from one machine.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
FAMILIES = ("bag", "linear", "cnn", "rnn", "gru", "lstm", "mingru", "drnn")
TREC, NEWS = str(SHARED / "data/trec6"), "mini-news"
POTION, GLOVE = str(SHARED / "vectors/potion-base-4m"), str(SHARED / "vectors/glove.twitter.27B.25d.12k.txt")
SEMINAR = ("cnn", "rnn", "gru", "gru-vectors", "gru-frozen")

TRAININGS: dict[str, list[str]] = {
    **{f"{family}, trec6": [TREC, "--model", family] for family in FAMILIES},
    **{f"{family}, mini-news": [NEWS, "--model", family] for family in FAMILIES},
    "gru, small": [NEWS, "--size", "small"],
    "gru, large": [TREC, "--size", "large"],
    "gru, potion vectors": [TREC, "--vectors", POTION],
    "gru, glove vectors": [TREC, "--vectors", GLOVE],
    "bag, glove vectors": [TREC, "--model", "bag", "--vectors", GLOVE],
    "gru, attention, seed 3": [TREC, "--set", "model.pooling=attention", "--seed", "3"],
    "mingru, attention": [TREC, "--model", "mingru", "--set", "model.pooling=attention"],
    "cnn, widths": [TREC, "--model", "cnn", "--set", "model.kernel_sizes=[3, 4, 5]"],
    "gru, balanced": [str(SHARED / "data/sms_spam"), "--class-weight", "balanced", "--epochs", "2"],
    "bag, balanced": [str(SHARED / "data/sms_spam"), "--class-weight", "balanced", "--model", "bag"],
    "gru, several labels": [str(SHARED / "data/reuters21578"), "--epochs", "2"],
    "bag, several labels": [str(SHARED / "data/reuters21578"), "--model", "bag"],
    "linear, several labels": [str(SHARED / "data/reuters21578"), "--model", "linear", "--class-weight", "balanced"],
    "lstm, steps": [TREC, "--model", "lstm", "--set", "training.max_steps=90", "--set", "training.patience=1"],
    "rnn, float32, alone": [
        TREC, "--model", "rnn", "--set", "training.storage=float32", "--set", "model.with_linear=false",
    ],
}  # fmt: skip
EXPORTS: dict[str, tuple[str, list[str]]] = {
    "quantize, gru": ("gru, trec6", ["quantize", "--max-size", "700k"]),
    "quantize, bag": ("bag, trec6", ["quantize", "--max-size", "3M"]),
    "quantize, linear": ("linear, trec6", ["quantize", "--max-size", "500k"]),
    "export, bf16": ("lstm, trec6", ["export", "--bf16"]),
    "export, int8": ("bag, trec6", ["export", "--int8"]),
}
ONNX = ("gru, small", "bag, trec6", "rnn, float32, alone")


def main() -> None:
    """Write the fingerprints of one installation, or compare two files of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--python", default=sys.executable, help="of the installation to run")
    parser.add_argument("--against", type=Path, help="compare with this file, and run nothing")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    options = parser.parse_args()
    if options.against:
        sys.exit(compare(json.loads(options.against.read_text()), json.loads(options.file.read_text())))
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, fingerprint in run(options.python, Path(folder), options.only):
            found[name] = fingerprint
            options.file.write_text(json.dumps(found, indent=1) + "\n")


def run(python: str, folder: Path, only: str):
    """Yield the name and the fingerprint of each case."""

    def rubrica(*arguments: str, text: str | None = None) -> str:
        command = [python, "-m", "rubrica", "-q", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8")
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return done.stdout

    def place(name: str) -> str:
        return str(folder / name.replace(",", "").replace(" ", "-"))

    def fingerprint(model: str, data: str) -> dict[str, object]:
        weights = (Path(model) / "model.safetensors").read_bytes()
        scores = without_times(json.loads((Path(model) / "metrics.json").read_text()))
        answers = rubrica("predict", model, str(Path(data) / "test.csv"), "--all") if data != NEWS else ""
        return {
            "weights": hashlib.sha256(weights).hexdigest(),
            "scores": hashlib.sha256(json.dumps(scores, sort_keys=True).encode()).hexdigest(),
            "answers": hashlib.sha256(answers.encode()).hexdigest(),
            "shown": shown(scores),
        }

    data_of = {name: arguments[0] for name, arguments in TRAININGS.items()}
    needed = {source for name, (source, _) in EXPORTS.items() if only in name} | set(ONNX if only in "onnx" else ())
    for name, arguments in TRAININGS.items():
        if only not in name and name not in needed:
            continue
        started = time.perf_counter()
        rubrica("train", *arguments, "--out", place(name))
        yield name, fingerprint(place(name), arguments[0])
        print(f"{name}: {time.perf_counter() - started:.1f} s", file=sys.stderr)
    for name, (source, (command, *flags)) in EXPORTS.items():
        if only in name:
            rubrica(command, place(source), *flags, "--out", place(name))
            yield name, fingerprint(place(name), data_of[source])
    for name in ONNX:
        if only in "onnx":
            rubrica("export", place(name), "--onnx", "--out", place(name) + ".onnx")
            content = Path(place(name) + ".onnx").read_bytes()
            yield f"onnx, {name}", {"weights": hashlib.sha256(content).hexdigest()}
    if only in "seminar":
        out = place("seminar")
        rubrica("seminar", "--data", str(SHARED / "data/ag_news"), "--vectors", GLOVE, "--out", out)
        for name in SEMINAR:
            yield f"seminar, {name}", fingerprint(f"{out}/models/{name}", TREC)


def without_times(value):
    """Scores without what a clock measured."""
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if not key.endswith("seconds")}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def shown(scores: dict) -> dict[str, float]:
    """The main figures, for a person."""
    test = scores.get("test", {})
    return {key: value for key, value in test.items() if isinstance(value, float)}


def compare(before: dict, after: dict) -> int:
    """Print each case that differs; the exit status is 1 if one does."""
    different = 0
    for name in before.keys() | after.keys():
        old, new = before.get(name, {}), after.get(name, {})
        parts = [part for part in ("weights", "scores", "answers") if old.get(part) != new.get(part)]
        if parts:
            different += 1
            print(f"{name}: {', '.join(parts)} differ: {old.get('shown')} {new.get('shown')}")
    print(f"{len(before.keys() & after.keys())} cases compared, {different} differ")
    return int(different > 0)


if __name__ == "__main__":
    main()
