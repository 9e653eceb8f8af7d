"""Texts a second of fastText's own models, beside fastText itself and its fastest copy: a list or a file to labels.

The models are fastText's: bigrams of AG News (dim 10, 2,000,000 buckets), runs of 3 to 6 characters of the same texts,
and lid.176.ftz. Each side runs in a process of its own: it opens the model (seconds of loading), answers all texts once
to warm up, and then once more (texts a second); its largest memory is read at the end. The sides take turns.
fastText 0.9.3 has one thread. The texts are as they are: what fastText wants done to them is not counted.

Expected before measuring, one thread: a text of 40 words has 240 bytes to hash, 0.4 us, 40 words to find, 0.3 us, and
80 rows of a cache line, half of them from main memory, 1 us: 500 thousand texts a second. fastText: 80 to 110 thousand.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/fasttext_models.py ../shared/data/ag_news ../shared/models/lid.176.ftz [PYTHON]

PYTHON is an interpreter that has fasttext-new; without it, this side is left out.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAIRS = 5
MODELS = {"AG News, bigrams": {"wordNgrams": 2}, "AG News, characters": {"minn": 3, "maxn": 6}}


def open_rubrica(path):
    import numpy as np

    from rubrica.artifact.fasttext_file import read_fasttext
    from rubrica.artifact.fasttext_model import label_names
    from rubrica.kernels.fasttext import Engine
    from rubrica.kernels.fasttext_rules import lines_of
    from rubrica.text.tokens import pack

    settings, tensors = read_fasttext(path)
    engine, names = Engine(settings.rules, tensors), np.array(label_names(settings, tensors), object)

    def answer(texts):
        packed = lines_of(np.fromfile(texts, np.uint8)) if isinstance(texts, str) else pack(texts)
        return names[engine.best(packed, 1).labels[:, 0]].tolist()

    return answer


def lines_of_texts(texts):
    """The lines of a file, with their ends, or the given texts as lines."""
    if not isinstance(texts, str):
        return [text + "\n" for text in texts]
    with open(texts, encoding="utf-8", newline="\n") as file:  # noqa: PTH123
        return file.readlines()


def open_fasttext(path):
    import fasttext

    model = fasttext.load_model(path)

    def answer(texts):
        return [found[0] for found in model.f.multilinePredict(lines_of_texts(texts), 1, 0.0, "strict")[0]]

    return answer


def open_new(path):
    import fasttext_new

    model = fasttext_new.load_model(path)

    def answer(texts):
        texts = [line.rstrip("\n") for line in lines_of_texts(texts)] if isinstance(texts, str) else texts
        return [found[0] for found in model.predict(texts)[0]]

    return answer


SIDES = {"rubrica": open_rubrica, "fasttext": open_fasttext, "fasttext-new": open_new}


def work(side, model, file, source):
    """One process of one side; prints what it measured."""
    texts = file
    if source == "list":
        texts = Path(file).read_text(encoding="utf-8").split("\n")[:-1]
    started = time.perf_counter()
    answer = SIDES[side](model)
    opened = time.perf_counter()
    count = len(answer(texts))
    again = time.perf_counter()
    answer(texts)
    done = time.perf_counter()
    print(json.dumps({
        "texts_per_second": count / (done - again), "load_seconds": opened - started,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }))  # fmt: skip


def measure(python, threads, *arguments):
    environment = os.environ | {"RUBRICA_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    command = [python, __file__, "work", *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def main():
    import fasttext

    from results import write_result
    from rubrica.data.dataset import read_dataset

    data, lid, *other = sys.argv[1:]
    examples = read_dataset(Path(data)).splits["train"]
    texts = [" ".join(text.split()) for text in examples.texts]
    pythons = {"rubrica": sys.executable, "fasttext": sys.executable}
    if other:
        pythons["fasttext-new"] = other[0]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        train, file = Path(folder, "train.txt"), Path(folder, "texts.txt")
        lines = (
            f"__label__{label.replace(' ', '_')} {text}\n" for label, text in zip(examples.labels, texts, strict=True)
        )
        train.write_text("".join(lines), encoding="utf-8")
        file.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
        paths = {"lid.176": Path(lid)}
        for name, settings in MODELS.items():
            paths[name] = Path(folder, f"{len(paths)}.bin")
            # fastText 0.9.3 starts a tenth of its matrix per thread, and leaves the rest as the memory was.
            model = fasttext.train_supervised(str(train), dim=10, lr=0.25, thread=12, verbose=0, **settings)
            model.save_model(str(paths[name]))
        for name, path in paths.items():
            for source in ("list", "file"):
                for threads in (1, 2):
                    found = {side: [] for side in pythons if threads == 1 or side != "fasttext"}
                    for _ in range(PAIRS):
                        for side, runs in found.items():
                            runs.append(measure(pythons[side], threads, side, path, file, source))
                    for side, runs in found.items():
                        medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
                        rows.append({"model": name, "from": source, "threads": threads, "side": side} | medians)
                        print(rows[-1], flush=True)
    write_result("fasttext_models", {"pairs": PAIRS, "texts": len(texts), "rows": rows})


if __name__ == "__main__":
    work(*sys.argv[2:]) if sys.argv[1:2] == ["work"] else main()
