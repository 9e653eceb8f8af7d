"""Where benchmarks write: one JSON file a script, with the machine and the versions that made it."""

import json
from datetime import UTC, datetime
from pathlib import Path

from rubrica.environment import processor, versions
from rubrica.kernels import native

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("rubrica", "numpy", "torch", "pyarrow", "gensim", "scikit-learn", "fasttext")


def write_result(name, result):
    """Write a result beside its script's name and print it as the last line of stdout."""
    result = {
        "benchmark": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": processor(),
        "kernels": native.describe(),
        "versions": {name: version for name, version in versions(LIBRARIES).items() if version},
        **result,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
