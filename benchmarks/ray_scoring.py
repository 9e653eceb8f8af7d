"""Texts a second of `rubrica predict --ray` with two workers beside one worker, of one processor each.

    python benchmarks/ray_scoring.py [MILLIONS]

Expected before measuring: 1.8 times. A worker reads, answers and writes its row groups by itself, so two of them work
at twice the speed of one; but on a machine with two processors they share them with Ray's own processes, and the start
of the workers takes the same seconds in both runs. Less than 1.7 would mean that something else is in the way.

The file is made of the sentences of Mini News; a bag answers it into a folder, which the workers write. Both numbers
of workers run in one cluster, in turn, so a busy machine is busy for both. The start of the workers is measured with a
file of one text just before each run, and is in the seconds of the run.
"""

import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq

import rubrica
from results import write_result
from rubrica.data.mini_news import build_mini_news
from rubrica.scale.answers import answer_on_ray
from rubrica.scale.cluster import cluster

PAIRS = 5
STRETCH = 100_000  # rows of a row group


def make_texts(path, rows):
    """A Parquet file of some sentences each row, and a number."""
    sentences = [some for text in build_mini_news()["train"][0] for some in text.split(". ")]
    draw = random.Random(0)
    with pq.ParquetWriter(path, pa.schema({"id": pa.int64(), "text": pa.string()})) as file:
        for first in range(0, rows, STRETCH):
            numbers = range(first, min(rows, first + STRETCH))
            texts = [". ".join(draw.choices(sentences, k=3)) for _ in numbers]
            file.write_table(pa.table({"id": pa.array(numbers, pa.int64()), "text": texts}))


def seconds_of(model, source, out, workers):
    """How long the answers take, and how many texts were answered."""
    began = time.perf_counter()
    count = answer_on_ray(model, str(source), f"{out}.parquet/", {}, workers=workers)
    return time.perf_counter() - began, count


def main():
    rows = int(float(sys.argv[1] if len(sys.argv) > 1 else 3) * 1_000_000)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_texts(folder / "texts.parquet", rows)
        make_texts(folder / "one.parquet", 1)
        model = rubrica.train("mini-news", config=rubrica.load_recipe("bag"), out=folder / "model")
        runs = {1: [], 2: []}
        began = time.perf_counter()
        with cluster(2):
            cluster_seconds = time.perf_counter() - began
            for pair in range(PAIRS):
                for workers in (1, 2) if pair % 2 else (2, 1):
                    name = f"{pair}-{workers}"
                    start, _ = seconds_of(model, folder / "one.parquet", folder / f"start-{name}", workers)
                    seconds, count = seconds_of(model, folder / "texts.parquet", folder / name, workers)
                    assert count == rows
                    runs[workers].append({"seconds": seconds, "start_seconds": start, "load": os.getloadavg()[0]})
                    print(workers, runs[workers][-1], flush=True)
        ratios = [one["seconds"] / two["seconds"] for one, two in zip(runs[1], runs[2], strict=True)]
    write_result(
        "ray_scoring",
        {
            "model": "bag",
            "texts": rows,
            "pairs": PAIRS,
            "cluster_seconds": cluster_seconds,
            "texts_per_second": {n: median(rows / run["seconds"] for run in of) for n, of in runs.items()},
            "start_seconds": {n: median(run["start_seconds"] for run in of) for n, of in runs.items()},
            "ratio": median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
            "runs": runs,
        },
    )


if __name__ == "__main__":
    main()
