"""fastText's training beside fastText itself, with the same arguments: P@1 on test, and words whose neighbours agree.

Each training has its own process, which imports the module, trains and saves. The seconds are of the whole process. The
sides take turns. fastText itself tests all models.

fastText has two rows. Each thread of 0.9.3 fills a tenth of the matrix with its start values, rounded down; with ten
threads or fewer the rest holds whatever the memory held. So read its P@1 in the row of 12 threads, and its seconds in
the row with Rubrica's number of threads. Where fastText met NaN, the row has null.

Skip-gram has no right answer. So the ten nearest of 500 frequent words are compared: what share of them do two models
have in common? The yardstick is two models of fastText with two seeds.

Measured before this script was written, on raw texts with 3 to 5 seeds: trec6 86.8 (fastText 87.3), lenta 70.3 (70.3),
AG News 90.9 (91.0). Expected: equal accuracy within the spread, less time, and an equal share of common neighbours.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/fasttext_train.py            # all; or some names of RUNS, or skipgram
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fasttext_lines import words_of, write_lines
from results import load_result, write_result
from rubrica.data.dataset import read_dataset
from rubrica.kernels import native

DATA = Path(__file__).parents[2] / "shared" / "data"
SEEDS = (1, 2, 3, 4, 5)
# Arguments that fit the data for either side, as far as fastText's tutorial has them: more passes where texts are few.
RUNS = {
    "ag_news": ("ag_news", {}),
    "ag_news, pairs of words": ("ag_news", {"dim": 10, "lr": 0.25, "wordNgrams": 2}),
    "trec6": ("trec6", {"lr": 0.5, "epoch": 10}),
    "lenta": ("lenta_headlines_ru", {"dim": 50, "lr": 0.5, "epoch": 10, "wordNgrams": 2}),
    "reuters": ("reuters21578", {"dim": 50, "lr": 0.5, "epoch": 25, "wordNgrams": 2}),
}
THREADS = native.num_threads()
SIDES = {"rubrica": THREADS, "fastText": THREADS, "fastText, 12 threads": 12}
FREQUENT, NEAREST = 500, 10  # words that are asked for, and neighbours of each
PAIRS = 2  # trainings of word vectors a side: the yardstick needs two


def work(side, path, model, arguments):
    """One training, in this process."""
    arguments = json.loads(arguments) | {"verbose": 0}
    kind, seed = arguments.pop("kind"), arguments.pop("seed")
    if side == "rubrica":
        import rubrica.fasttext as fasttext
    else:
        import fasttext

        build = fasttext.FastText._build_args

        def build_with_seed(*args):  # `train_unsupervised` of 0.9.3 takes no seed
            built = build(*args)
            built.seed = seed
            return built

        fasttext.FastText._build_args = build_with_seed
    if kind == "supervised":
        fasttext.train_supervised(path, seed=seed, **arguments).save_model(model)
    else:
        more = {"seed": seed} if side == "rubrica" else {}
        fasttext.train_unsupervised(path, kind, **more, **arguments).save_model(model)


def train(side, path, model, **arguments):
    """Seconds of a process that trains and saves; nothing if it failed."""
    arguments = json.dumps(arguments | {"thread": SIDES[side]})
    command = [sys.executable, __file__, "work", side, str(path), str(model), arguments]
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode and side != "fastText":
        raise SystemExit(done.stderr)
    return None if done.returncode else seconds


def measure_supervised(name, folder):
    """A row a side: P@1 and seconds of all seeds."""
    import fasttext

    data, arguments = RUNS[name]
    splits = read_dataset(DATA / data).splits
    paths = {split: folder / f"{split}.txt" for split in ("train", "test")}
    for split, path in paths.items():
        write_lines(splits[split], path)
    model = folder / "model.bin"
    runs = {side: [] for side in SIDES}
    for seed in SEEDS:
        for side, found in runs.items():
            seconds = train(side, paths["train"], model, kind="supervised", seed=seed, **arguments)
            precision = None if seconds is None else fasttext.load_model(str(model)).test(str(paths["test"]))[1]
            found.append((precision, seconds))
        print(name, seed, runs, flush=True)
    return [row_of(name, side, found) for side, found in runs.items()]


def row_of(name, side, found):
    precisions, seconds = zip(*found, strict=True)
    numbers = [each for each in precisions if each is not None]
    took = [each for each in seconds if each is not None]
    return {
        "data": name, "side": side, "threads": SIDES[side], "precision": precisions, "seconds": seconds,
        "mean": float(np.mean(numbers)) if numbers else None,
        "deviation": float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None,
        "median_seconds": float(np.median(took)) if took else None,
    }  # fmt: skip


def measure_skipgram(folder):
    """A row a side: words a second; and the share of neighbours that models have in common."""
    texts = folder / "texts.txt"
    split = read_dataset(DATA / "ag_news").splits["train"]
    texts.write_text("".join(words_of(text) + "\n" for text in split.texts), encoding="utf-8")
    seconds, neighbours = {side: [] for side in SIDES}, {side: [] for side in SIDES}
    for seed in range(1, PAIRS + 1):
        for side in SIDES:
            model = folder / "model.bin"
            took = train(side, texts, model, kind="skipgram", seed=seed)
            seconds[side].append(took)
            neighbours[side].append(None if took is None else find_neighbours(model))
            print("skipgram", seed, seconds, flush=True)
    whole = "fastText, 12 threads"
    words = 5 * sum(len(line.split()) + 1 for line in texts.read_text(encoding="utf-8").splitlines())  # 5 passes
    rows = []
    for side, took in seconds.items():
        numbers = [each for each in took if each is not None]
        rows.append({
            "side": side, "threads": SIDES[side], "seconds": took,
            "words_per_second": words / float(np.median(numbers)) if numbers else None,
            "common_with_fasttext": [common(*pair) for pair in zip(neighbours[side], neighbours[whole], strict=True)],
            "common_with_itself": common(*neighbours[side][:2]),
        })  # fmt: skip
    return rows


def find_neighbours(path):
    """The ten nearest of each of the most frequent words that have a letter."""
    import rubrica.fasttext

    model = rubrica.fasttext.load_model(str(path))
    words = model.get_words()
    vectors = np.stack([model.get_word_vector(word) for word in words])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-8)
    asked = [i for i, word in enumerate(words) if any(map(str.isalpha, word)) and word != "</s>"][:FREQUENT]
    cosines = vectors[asked] @ vectors.T
    cosines[np.arange(len(asked)), asked] = -np.inf
    nearest = np.argpartition(-cosines, NEAREST, axis=1)[:, :NEAREST]
    return {words[i]: {words[j] for j in row} for i, row in zip(asked, nearest, strict=True)}


def common(mine, theirs):
    """The mean share of neighbours of a word that two models have in common."""
    if mine is None or theirs is None:
        return None
    return float(np.mean([len(mine[word] & theirs[word]) / NEAREST for word in mine if word in theirs]))


def main():
    names = sys.argv[1:] or [*RUNS, "skipgram"]
    found = load_result("fasttext_train")
    supervised = {row["data"]: [] for row in found.get("supervised", [])}
    for row in found.get("supervised", []):
        supervised[row["data"]].append(row)
    skipgram = found.get("skipgram", [])
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            if name == "skipgram":
                skipgram = measure_skipgram(Path(folder))
            else:
                supervised[name] = measure_supervised(name, Path(folder))
    rows = [row for name in RUNS for row in supervised.get(name, [])]
    write_result("fasttext_train", {"seeds": len(SEEDS), "supervised": rows, "skipgram": skipgram})


if __name__ == "__main__":
    work(*sys.argv[2:]) if sys.argv[1:2] == ["work"] else main()
