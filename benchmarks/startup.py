"""How long the command takes to answer: whole processes, in turn, ten runs each.

Claim: `rubrica --help` answers in under 0.3 s, and neither it nor `rubrica predict` imports torch.

Expected before measuring: bare Python 15 ms, with numpy 90 ms, --help 80 ms (click), predict 150 ms.

    python benchmarks/startup.py [MODEL]        # a model folder; without one a tiny one is made
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from results import write_result
from rubrica.artifact import Artifact, expected_shapes, save_artifact
from rubrica.config import Config
from rubrica.vocab import Vocab

RUNS = 10


def tiny_model(folder):
    """A model of five words: what remains is the start."""
    config = Config().changed(["model.hidden_size=8", "model.embedding_dim=4"])
    shapes = expected_shapes(config, 5, 2)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    vocab = Vocab(["<pad>", "<unk>", "a", "b", "c"], 1, True)
    return save_artifact(Artifact(config, ["no", "yes"], vocab, tensors), Path(folder) / "model")


def main():
    with tempfile.TemporaryDirectory() as folder:
        model = sys.argv[1] if len(sys.argv) > 1 else str(tiny_model(folder))
        python = sys.executable
        rubrica = str(Path(python).with_name("rubrica"))
        commands = {
            "python -c pass": [python, "-c", "pass"],
            "python -c 'import numpy'": [python, "-c", "import numpy"],
            "python -c 'import rubrica'": [python, "-c", "import rubrica"],
            "rubrica --help": [rubrica, "--help"],
            "echo text | rubrica predict MODEL": [rubrica, "predict", model],
        }
        seconds = {name: [] for name in commands}
        for run in range(RUNS + 1):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, input=b"a text\n", capture_output=True, check=True)
                if run:  # the first fills the page cache
                    seconds[name].append(time.perf_counter() - started)
    rows = [
        {"command": name, "median_s": float(np.median(s)), "min_s": min(s), "max_s": max(s), "runs": RUNS}
        for name, s in seconds.items()
    ]
    for row in rows:
        print(f"{row['command']:36} {row['median_s']:.3f} s ({row['min_s']:.3f}-{row['max_s']:.3f})")
    write_result("startup", {"rows": rows})


if __name__ == "__main__":
    main()
