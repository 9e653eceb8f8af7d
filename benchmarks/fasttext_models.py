"""Texts a second of fastText's own models, beside fastText itself and its fastest copies: a list or a file to labels.

The models are fastText's: bigrams of AG News (dim 10, 2,000,000 buckets), runs of 3 to 6 characters of the same texts,
and lid.176.ftz. Each side runs in a process of its own: it imports its package, opens the model (seconds of loading),
answers all texts once to warm up, and then once more (texts a second); its largest memory is read at the end. The sides
take turns. fastText 0.9.3 has one thread. The texts are as they are: what fastText wants done to them is not counted.
A list is answered by the call that each side documents for it (fastText by its inner one, whose result numpy 2 can
hold); a file goes line by line into lists where the side has no call for files.

Expected before measuring, one thread: a text of 40 words has 240 bytes to hash, 0.4 us, 40 words to find, 0.3 us, and
80 rows of a cache line, half of them from main memory, 1 us: 500 thousand texts a second. fastText: 80 to 110 thousand.
Of lid.176, 9 of 10 words were met before, so their runs of 2 to 4 characters are neither hashed nor looked up: three
times as fast as without a memo of words (measured: 76 to 213 thousand).

    pip install -c constraints.txt '.[bench]'
    python benchmarks/fasttext_models.py ../shared/data/ag_news ../shared/models/lid.176.ftz [PYTHON]

PYTHON is an interpreter that has fasttext-new and fasttext-threaded; without it, these sides are left out.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAIRS = 5
TEXTS = 60_000
MODELS = {"AG News, bigrams": {"wordNgrams": 2}, "AG News, characters": {"minn": 3, "maxn": 6}}


def open_rubrica():
    import rubrica.fasttext
    from rubrica.kernels import native

    native.library()  # ours loads its core when it is first needed, the others with the import, which is not counted
    return rubrica.fasttext.load_model, answer_stretches


def answer_stretches(model):
    def answer(texts):
        if not isinstance(texts, str):
            return [found[0] for found in model.predict(texts)[0]]
        names = model.labels
        return [names[i] for _, labels, *_ in model.iter_best(texts, 1, 0.0) for i in labels[:, 0].tolist()]

    return answer


def lines_of_texts(texts):
    """The lines of a file, with their ends, or the given texts as lines."""
    if not isinstance(texts, str):
        return [text + "\n" for text in texts]
    with open(texts, encoding="utf-8", newline="\n") as file:  # noqa: PTH123
        return file.readlines()


def open_fasttext():
    import fasttext

    return fasttext.load_model, answer_inner


def answer_inner(model):
    def answer(texts):
        return [found[0] for found in model.f.multilinePredict(lines_of_texts(texts), 1, 0.0, "strict")[0]]

    return answer


def open_new():
    import fasttext_new

    return fasttext_new.load_model, answer_lists


def open_threaded():
    import fasttext_threaded

    return lambda path: fasttext_threaded.load_model(path, int(os.environ["RAYON_NUM_THREADS"])), answer_lists


def answer_lists(model):
    def answer(texts):
        texts = [line.rstrip("\n") for line in lines_of_texts(texts)] if isinstance(texts, str) else texts
        return [found[0] for found in model.predict(texts)[0]]

    return answer


SIDES = {
    "rubrica": open_rubrica,
    "fasttext": open_fasttext,
    "fasttext-new": open_new,
    "fasttext-threaded": open_threaded,
}


def work(side, model, file, source):
    """One process of one side; prints what it measured."""
    texts = file
    if source == "list":
        texts = Path(file).read_text(encoding="utf-8").split("\n")[:-1]
    load_model, answers = SIDES[side]()
    started = time.perf_counter()
    opened_model = load_model(model)
    opened = time.perf_counter()
    answer = answers(opened_model)
    count = len(answer(texts))
    again = time.perf_counter()
    answer(texts)
    done = time.perf_counter()
    print(json.dumps({
        "texts_per_second": count / (done - again), "load_seconds": opened - started,
        "peak_mb": peak_mb(),
    }))  # fmt: skip


def peak_mb():
    """The largest memory of this program; what `resource` says may be its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))


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
    asked = texts[:TEXTS]
    pythons = {"rubrica": sys.executable, "fasttext": sys.executable}
    if other:
        pythons |= {"fasttext-new": other[0], "fasttext-threaded": other[0]}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        train, file = Path(folder, "train.txt"), Path(folder, "texts.txt")
        lines = (
            f"__label__{label.replace(' ', '_')} {text}\n" for label, text in zip(examples.labels, texts, strict=True)
        )
        train.write_text("".join(lines), encoding="utf-8")
        file.write_text("".join(text + "\n" for text in asked), encoding="utf-8")
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
                    rows += [{"model": name, "from": source, "threads": threads} | row for row in summed_up(found)]
    write_result("fasttext_models", {"pairs": PAIRS, "texts": len(asked), "rows": rows})


def summed_up(found):
    """A row a side: medians, and our texts a second by its own, pair by pair."""
    for side, runs in found.items():
        row = {"side": side} | {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        ratios = sorted(
            ours["texts_per_second"] / run["texts_per_second"] for ours, run in zip(found["rubrica"], runs, strict=True)
        )
        row |= {"rubrica_by_it": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]}
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}, flush=True)
        yield row


if __name__ == "__main__":
    work(*sys.argv[2:]) if sys.argv[1:2] == ["work"] else main()
