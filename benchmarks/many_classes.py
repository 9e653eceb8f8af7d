"""100,000 classes of three texts: the bag with a tree of decisions beside fastText's own, on the same made texts.

Each class has two rare words of its own, which stand in each of its texts among four common words. Both learn word
pairs with the same number of epochs and threads. Each runs in a process of its own, which shows its peak of memory.

    python benchmarks/many_classes.py [--classes 100000] [--seed 0]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

EPOCHS, DIM = 25, 16


def make(num_classes: int, seed: int, folder: Path) -> None:
    """Three texts of each class to train on, one to test on."""
    draw = np.random.default_rng(seed)
    for name, count in (("train", 3), ("test", 1)):
        classes = draw.permutation(np.repeat(np.arange(num_classes), count))
        common = draw.zipf(1.3, (len(classes), 4)) % 20_000
        with (folder / f"{name}.txt").open("w") as file:
            for target, words in zip(classes.tolist(), common.tolist(), strict=True):
                text = draw.permutation([*(f"w{word}" for word in words), f"a{target}", f"b{target}"])
                file.write(f"__label__c{target} {' '.join(text)}\n")


def run_ours(folder: Path) -> dict[str, float]:
    """Train and test with Rubrica."""
    import rubrica

    began = time.perf_counter()
    config = rubrica.make_config(model={"name": "bag", "loss": "hs"}, training={"epochs": EPOCHS})
    model = rubrica.train(folder / "train.txt", config=config)
    trained = time.perf_counter() - began
    began = time.perf_counter()
    report = model.evaluate(folder / "test.txt")
    tested = time.perf_counter() - began
    return {"accuracy": report["accuracy"], "loss": report["loss"], "train_seconds": trained, "test_seconds": tested}


def run_fasttext(folder: Path) -> dict[str, float]:
    """Train and test with fastText."""
    import fasttext

    began = time.perf_counter()
    lr = 1.0  # the best of 0.1, 0.5, 1 and 2 at 20,000 classes
    model = fasttext.train_supervised(
        str(folder / "train.txt"), loss="hs", dim=DIM, wordNgrams=2, epoch=EPOCHS, lr=lr, thread=2, verbose=0
    )
    trained = time.perf_counter() - began
    began = time.perf_counter()
    _, precision, _ = model.test(str(folder / "test.txt"))
    return {"accuracy": precision, "train_seconds": trained, "test_seconds": time.perf_counter() - began}


def main() -> None:
    """Run both, each in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", nargs=2)
    arguments = parser.parse_args()
    if arguments.run:
        name, folder = arguments.run
        found = (run_ours if name == "rubrica" else run_fasttext)(Path(folder))
        found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({name: found}))
        return
    with tempfile.TemporaryDirectory() as folder:
        make(arguments.classes, arguments.seed, Path(folder))
        for name in ("rubrica", "fasttext"):
            subprocess.run([sys.executable, __file__, "--run", name, folder], check=True)


if __name__ == "__main__":
    main()
