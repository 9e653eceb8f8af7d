"""Texts a second of `rubrica predict --ray` with two workers beside one worker, of one processor each.

    python benchmarks/ray_scoring.py [MILLIONS]

Expected before measuring: 1.8 times. A worker reads, answers and writes its row groups by itself, so two of them work
at twice the speed of one; but on a machine with two processors they share them with Ray's own processes. Less than 1.7
on an idle machine would mean that something else is in the way. (Measured: 1.57 and, on another machine, 1.68, where
two plain processes gained 1.51 and 1.72: two processors of a virtual machine are less than two cores.)

The file is made of the sentences of Mini News; a bag answers it into a folder, which the workers write. Both numbers of
workers run in one cluster, in turn. Before each run a file of one text tells how long the start of its workers takes;
the ratio is of the seconds behind the start, and `ratio_whole` of all.

On a machine that others use, two workers get less than twice the processors of one. So one and two plain processes do
the same work in the same minutes, without Ray: `ratio_without_ray` is what the machine had to give. And processor
seconds are counted, which depend less on others: `ratio_of_processor_seconds` is twice what one plain process takes,
divided by what two workers and all processes of Ray take. A busy machine makes these longer, too.
"""

import multiprocessing
import os
import pickle
import random
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

import rubrica
from results import write_result
from rubrica.data.mini_news import build_mini_news
from rubrica.data.pieces import cut
from rubrica.predict.answer_file import part_size
from rubrica.scale.answer_folder import store_part
from rubrica.scale.answers import answer_on_ray
from rubrica.scale.cluster import cluster
from rubrica.scale.worker import Answers, read_parts

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
    """Seconds and processor seconds of the answers on Ray."""
    began, before = time.perf_counter(), processor_seconds()
    used = dict(before)
    # A worker is gone when all is done, so its seconds are read behind each part.
    look = lambda _: used.update(processor_seconds())  # noqa: E731
    answer_on_ray(model, str(source), f"{out}.parquet/", {}, workers=workers, advance=look)
    seconds = time.perf_counter() - began
    used.update(processor_seconds())
    return seconds, sum(used.values()) - sum(before.values())


def processor_seconds():
    """What this process and each process below it has used so far."""
    import psutil  # Ray brings it

    me, found = psutil.Process(), {}
    for process in [me, *me.children(recursive=True)]:
        with suppress(psutil.Error):  # it has just ended
            found[process.pid] = sum(process.cpu_times()[:2])
    return found


def answer_share(model, source, out, share, shares, barrier, seconds):
    """Answer every second piece in this process, say, as a worker does."""
    classifier = rubrica.load(model)
    size = part_size(classifier, all_classes=False)
    pieces, _ = cut(str(source), size, classifier.config.training.batch_size, {})
    read = partial(read_parts, out="", layout={}, size=size, suffix=".parquet", done=set())
    answers = Answers(
        classifier=classifier, out="", suffix=".parquet", options={"all_classes": False}, version=rubrica.__version__,
        store=partial(store_part, (LocalFileSystem(), str(out))), read=read,
    )  # fmt: skip
    barrier.wait()
    began = time.process_time()
    for number in range(share, len(pieces), shares):
        for _ in answers(pa.Table.from_pylist([{"number": number, "piece": pickle.dumps(pieces[number])}])):
            pass
    seconds.put(time.process_time() - began)


def seconds_without_ray(model, source, out, processes):
    """Seconds and processor seconds of plain processes, from when all of them have opened the model."""
    out.mkdir()
    context = multiprocessing.get_context("spawn")
    barrier, seconds = context.Barrier(processes + 1), context.Queue()
    team = [
        context.Process(target=answer_share, args=(model, source, out, share, processes, barrier, seconds))
        for share in range(processes)
    ]
    for process in team:
        process.start()
    barrier.wait()
    began = time.perf_counter()
    used = sum(seconds.get() for _ in team)
    for process in team:
        process.join()
        assert process.exitcode == 0
    return time.perf_counter() - began, used


def measure(folder, model, number, workers):
    """One round of a number of workers: the seconds with and without Ray."""
    name = f"{number}-{workers}"
    plain = seconds_without_ray(folder / "model", folder / "texts.parquet", folder / f"plain-{name}", workers)
    start = seconds_of(model, folder / "one.parquet", folder / f"start-{name}", workers)
    whole = seconds_of(model, folder / "texts.parquet", folder / name, workers)
    places = folder / f"plain-{name}", folder / f"{name}.parquet"
    ours, theirs = ([pq.read_metadata(path).num_rows for path in sorted(place.glob("0*"))] for place in places)
    assert ours == theirs
    for place in places:
        shutil.rmtree(place)
    names = "seconds", "processor_seconds"
    found = {"start": start, "whole": whole, "without_ray": plain}
    return {f"{run}_{name}": value for run, both in found.items() for name, value in zip(names, both, strict=True)} | {
        "load": os.getloadavg()[0]
    }


def main():
    rows = int(float(sys.argv[1] if len(sys.argv) > 1 else 3) * 1_000_000)
    runs = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_texts(folder / "texts.parquet", rows)
        make_texts(folder / "one.parquet", 1)
        model = rubrica.train("mini-news", config=rubrica.load_recipe("bag"), out=folder / "model")
        began = time.perf_counter()
        with cluster(2):
            cluster_seconds = time.perf_counter() - began
            for number in range(PAIRS):
                for workers in (1, 2) if number % 2 else (2, 1):
                    runs[workers].append(measure(folder, model, number, workers))
                    print(workers, runs[workers][-1], flush=True)
    pairs = list(zip(runs[1], runs[2], strict=True))
    ratios = {
        "ratio": [work(one) / work(two) for one, two in pairs],
        "ratio_whole": [one["whole_seconds"] / two["whole_seconds"] for one, two in pairs],
        "ratio_without_ray": [one["without_ray_seconds"] / two["without_ray_seconds"] for one, two in pairs],
        "ratio_of_processor_seconds": [
            2 * one["without_ray_processor_seconds"] / work(two, "processor_seconds") for one, two in pairs
        ],
    }
    write_result(
        "ray_scoring",
        {
            "model": "bag",
            "texts": rows,
            "pairs": PAIRS,
            "cluster_seconds": cluster_seconds,
            "start_seconds": {n: median(run["start_seconds"] for run in of) for n, of in runs.items()},
            "texts_per_second": {n: rows / median(map(work, of)) for n, of in runs.items()},
            "texts_per_second_without_ray": {
                n: rows / median(run["without_ray_seconds"] for run in of) for n, of in runs.items()
            },
            **{name: median(values) for name, values in ratios.items()},
            **{f"{name}_min": min(values) for name, values in ratios.items()},
            **{f"{name}_max": max(values) for name, values in ratios.items()},
            "runs": runs,
        },
    )


def work(run, what="seconds"):
    """The seconds behind the start."""
    return run[f"whole_{what}"] - run[f"start_{what}"]


if __name__ == "__main__":
    main()
