"""Where benchmarks write: one JSON file a script, with the machine and the versions that made it."""

import json
from datetime import UTC, datetime
from pathlib import Path

from rubrica.environment import processor, versions
from rubrica.kernels import native

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("rubrica", "numpy", "torch", "pyarrow", "gensim", "scikit-learn", "fasttext", "model2vec", "ray")


def where_it_ran():
    """The machine and the versions, as every result has them."""
    return {
        "machine": processor(),
        "kernels": native.describe(),
        "versions": {name: version for name, version in versions(LIBRARIES).items() if version},
    }


def save_result(name, result):
    """Write a result beside its script's name, whole or not at all; returns all that was written."""
    result = {"benchmark": name, "date": datetime.now(UTC).strftime("%Y-%m-%d"), **where_it_ran(), **result}
    RESULTS.mkdir(exist_ok=True)
    part = RESULTS / f"{name}.json.part"
    part.write_text(json.dumps(result, indent=2) + "\n")
    part.replace(RESULTS / f"{name}.json")
    return result


def load_result(name):
    """What was written before, on whatever machine, if it was with these versions; else nothing."""
    path = RESULTS / f"{name}.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    return result if result.get("versions") == where_it_ran()["versions"] else {}


def write_result(name, result):
    """Write a result beside its script's name and print it as the last line of stdout."""
    print(json.dumps(save_result(name, result)))
