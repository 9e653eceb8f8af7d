"""How long the command takes to answer, and what it needs: whole processes of an installed package, in pairs.

Claims: `echo text | rubrica predict MODEL` takes at most 2.5 times `python -c "import numpy"`, `python -c "import
rubrica"` at most 1.2 times; an installed environment for prediction is under 120 MB, the memory to predict under 150.

Expected before measuring: import rubrica 0.3, --help 0.7, predict 1.7 with a model of 37,000 words x 50 and 1.4 with a
tiny one; 90 MB on disk without pip; 60 MB of memory.

    python benchmarks/startup.py [MODEL]        # a model folder; without one a tiny one is made

The package is installed into a fresh environment, as a user has it: with its bytecode, without torch.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from results import write_result
from rubrica.artifact.folder import Artifact, save_artifact
from rubrica.models.config import load_recipe
from rubrica.models.family import Sizes
from rubrica.scoring.tasks import task_of
from rubrica.text.vocab import Vocab

PAIRS = 12
ROOT = Path(__file__).parents[1]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

# Runs a command and prints the most memory that it held, in KiB (on a Mac, bytes).
PEAK = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
PEAK += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def tiny_model(folder):
    """A model of five words: what remains is the start."""
    config = load_recipe("small").replace(model={"hidden_size": 8, "embedding_dim": 4}, training={"batch_size": 64})
    task = task_of(["no", "yes"], lists=False)
    shapes = config.shapes(Sizes(5, task.num_classes, task.num_machines))
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    vocab = Vocab(["<pad>", "<unk>", "a", "b", "c"], 1, True)
    return save_artifact(Artifact(config, task, vocab, tensors), folder / "model")


def install(folder):
    """The package and what it needs, in an environment of its own; where its commands lie, and its megabytes."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", ROOT], check=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return folder / "bin", size / 1e6


def run(command):
    return subprocess.run(
        command, input=b"Oil prices climb\n", capture_output=True, check=True, env=ENVIRONMENT, cwd="/"
    ).stdout


def seconds(command):
    started = time.perf_counter()
    run(command)
    return time.perf_counter() - started


def main():
    with tempfile.TemporaryDirectory() as folder:
        model = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else tiny_model(Path(folder))
        bin_folder, megabytes = install(Path(folder) / "environment")
        python, rubrica = bin_folder / "python", bin_folder / "rubrica"
        base = [python, "-c", "import numpy"]
        commands = {
            "python -c pass": [python, "-c", "pass"],
            "python -c 'import rubrica'": [python, "-c", "import rubrica"],
            "rubrica --help": [rubrica, "--help"],
            "echo text | rubrica predict MODEL": [rubrica, "predict", model],
        }
        rows = []
        for name, command in {"python -c 'import numpy'": base, **commands}.items():
            seconds(base), seconds(command)  # fill the page cache
            pairs = np.array([(seconds(base), seconds(command)) for _ in range(PAIRS)])
            ratios = pairs[:, 1] / pairs[:, 0]
            rows.append(
                {
                    "command": name,
                    "median_s": float(np.median(pairs[:, 1])),
                    "numpy_median_s": float(np.median(pairs[:, 0])),
                    "ratio": float(np.median(ratios)),
                    "ratio_min": float(ratios.min()),
                    "ratio_max": float(ratios.max()),
                    "peak_megabytes": int(run([python, "-c", PEAK, *command]))
                    * (1 if sys.platform == "darwin" else 1024)
                    / 1e6,
                    "pairs": PAIRS,
                }
            )
        model_megabytes = sum(path.stat().st_size for path in Path(model).iterdir()) / 1e6
        kernels = json.loads(run([rubrica, "info", "--env", "--json"]))["kernels"]
    for row in rows:
        spread = f"{row['ratio']:.2f} ({row['ratio_min']:.2f}-{row['ratio_max']:.2f}) of numpy"
        print(f"{row['command']:36} {1000 * row['median_s']:.0f} ms, {spread}, {row['peak_megabytes']:.0f} MB")
    sizes = {"environment_megabytes": megabytes, "model_megabytes": model_megabytes}
    write_result("startup", {"kernels": kernels, **sizes, "rows": rows})


if __name__ == "__main__":
    main()
