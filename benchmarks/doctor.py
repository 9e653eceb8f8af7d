"""The doctor of data, tried: faults planted into sound data at three strengths, and how many it names.

Sound data is made of the train split of a real data set alone: markup is taken out, texts that stand twice or are
almost the same are left out, long texts are cut, classes of few texts are left out and large ones are thinned, and a
random fifth is the test split. On it every warning is a false alarm. A planted fault is found if the doctor names its
kind in a warning or an error; notes do not count.

The thresholds of the checks were chosen on two data sets, trec6 and AG News; the other three judge them.

    python benchmarks/doctor.py                # all; or some kinds
"""

import html
import random
import re
import sys
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from planted import PLANTS, labels_of
from results import write_result
from rubrica.config.groups import DataSettings
from rubrica.data.dataset import Dataset, Examples, read_dataset
from rubrica.insight.data_checks.near import similar_pairs
from rubrica.insight.data_checks.sample import Sample
from rubrica.insight.data_doctor import examine_data
from rubrica.insight.findings import at_least
from rubrica.scoring.tasks import task_of

DATA = Path(__file__).parents[2] / "shared" / "data"
CHOSEN_ON = ("trec6", "ag_news")
JUDGED_ON = ("lenta_headlines_ru", "reuters21578", "sms_spam")
STRENGTHS = ("weak", "middling", "strong")
TWINS = 5  # sound samples of each data set
TEXTS = 5000  # of each sample
LONGEST, RAREST, UNEVEN = 90, 60, 5  # words of a text, texts of a class, texts of a class beside the smallest's
ALSO = {"duplicates": {"near-duplicates"}, "near-duplicates": {"duplicates"}}  # a case more, and it is the other


def sound(name, seed):
    """A sample without faults."""
    data = read_dataset(DATA / name)
    rng, train = random.Random(seed), data.splits["train"]
    rows = []
    for text, label in zip(train.texts, train.labels, strict=True):
        plain = html.unescape(html.unescape(re.sub(r"#(\d+);", r"&#\1;", text)))
        plain = re.sub(r"<[^>]*>|&\w+;|https?://\S+|www\.\S+|[\ufffd]|\*+ Blah blah blah\.", " ", plain)
        rows.append((" ".join(plain.split()[:LONGEST]), label))
    rng.shuffle(rows)
    rows = thinned([row for row in rows[: 3 * TEXTS] if row[0].strip()])
    rows = without_twins(rows)[:TEXTS]
    rows = thinned(rows)
    rng.shuffle(rows)  # of a thinned class the last rows are missing
    cut = len(rows) // 5
    return {"train": rows[cut:], "test": rows[:cut]}


def thinned(rows):
    """The rows of classes with enough texts, large classes thinned."""
    counts = Counter(name for _, label in rows for name in labels_of(label))
    kept = {name for name, count in counts.items() if count >= RAREST}
    most = UNEVEN * min(counts[name] for name in kept)
    found, have = [], Counter()
    for text, label in rows:
        names = [name for name in labels_of(label) if name in kept]
        if names and all(have[name] < most for name in names):
            have.update(names)
            found.append((text, tuple(names) if isinstance(label, tuple) else label))
    return found


def without_twins(rows):
    """One of each text, and of each that is almost the same."""
    sample = Sample(as_dataset({"train": rows}), None, DataSettings(lowercase=True, split_unspaced=False))
    part, (_, numbers) = sample.train, sample.lowered
    pairs = similar_pairs(numbers[part.ids], part.offsets, alike=0.5)
    _, firsts = np.unique(part.keys, return_index=True)
    kept = np.zeros(len(rows), bool)
    kept[firsts] = True
    kept[pairs.second] = False
    return [row for row, good in zip(rows, kept.tolist(), strict=True) if good]


def as_dataset(splits):
    names = sorted({name for _, label in splits["train"] for name in labels_of(label)})
    lists = any(isinstance(label, tuple) for _, label in splits["train"])
    examples = {
        name: Examples([text for text, _ in rows], [label for _, label in rows]) for name, rows in splits.items()
    }
    return Dataset("planted", examples, ("text",), "label", task_of(names, lists=lists))


def named(splits):
    """The kinds in warnings and errors."""
    return {found.kind for found in at_least(examine_data(as_dataset(splits)), "warning")}


def main():
    kinds = sys.argv[1:] or list(PLANTS)
    rows, alarms = [], []
    for data in (*CHOSEN_ON, *JUDGED_ON):
        twins = [sound(data, seed) for seed in range(TWINS)]
        alarms += [{"data": data, "seed": seed, "kinds": sorted(named(twin))} for seed, twin in enumerate(twins)]
        print(alarms[-TWINS:], flush=True)
        for kind in kinds:
            plant, strengths = PLANTS[kind]
            for strength, share in zip(STRENGTHS, strengths, strict=True):
                seed = zlib.crc32(f"{data} {kind} {strength}".encode())
                found = named(plant(twins[seed % TWINS], share, random.Random(seed)))
                hit = bool(found & ({kind} | ALSO.get(kind, set())))
                rows.append({"data": data, "kind": kind, "strength": strength, "share": share, "found": hit,
                             "others": sorted(found - {kind} - ALSO.get(kind, set()))})  # fmt: skip
                print(rows[-1], flush=True)
    write_result("doctor", {"alarms": alarms, "rows": rows, "judged_on": JUDGED_ON, "summary": summary(rows, alarms)})


def summary(rows, alarms):
    """The shares that count, on the data sets that chose nothing."""
    judged = [row for row in rows if row["data"] in JUDGED_ON]
    shares = {
        strength: float(np.mean([row["found"] for row in judged if row["strength"] == strength]))
        for strength in STRENGTHS
    }
    checked = [alarm for alarm in alarms if alarm["data"] in JUDGED_ON]
    kinds = len({row["kind"] for row in rows})
    return shares | {"false_alarms": sum(len(alarm["kinds"]) for alarm in checked) / max(1, len(checked) * kinds)}


if __name__ == "__main__":
    main()
