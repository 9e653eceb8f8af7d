"""One update of the seminar's experiments as written, and ours, on the same batches.

Claim: ours is at least 40x faster for the cnn and 20x for the rnn and the gru. As written means: the whole table of
1,193,514 x 50 (the size of glove-twitter-50), torch's dense Adam, a Python loop over time (`tests/literal.py`).
Ours means `rubrica.learning.loop.update`: the rows that some text uses, the native kernels, padding included.

Expected before measuring: as written 0.46-0.49 s an update, nearly all of it Adam over 60 million numbers; ours
about 15 ms for the gru (95 steps of six small operations forward and three backward), 8 ms for the rnn, 9 ms for the
cnn, of which 3 ms are Adam over the rows in use.

    python benchmarks/seminar_step.py ../shared/data/ag_news        # about a minute; writes results/seminar_step.json
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from results import write_result
from rubrica.corpus.corpus import build_corpus
from rubrica.data.dataset import read_dataset
from rubrica.learning.backend import choose_backend
from rubrica.learning.job import Job, all_rows
from rubrica.learning.loop import update
from rubrica.learning.network import initial_table
from rubrica.learning.seeds import seed_everything
from rubrica.models.config import load_recipe
from rubrica.networks.networks import build_network
from rubrica.text.tokenizer import tokenize
from rubrica.vectors.word_vectors import Vectors

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from literal import LITERAL, literal_ids, literal_update, pad

TABLE_SIZE, DIM, UPDATES, WARM_UP = 1_193_514, 50, 40, 3


def made_up_vectors(dataset):
    """As many words as glove-twitter-50, those of the texts in lower case among them, as GloVe Twitter has them."""
    draw = np.random.default_rng(0)
    seen = {token for split in dataset.splits.values() for text in split.texts for token in tokenize(text.lower())}
    words = ["<user>", "unk", *sorted(seen - {"unk"})]
    words += [f"word {i}" for i in range(TABLE_SIZE - len(words))]
    return Vectors(words, draw.normal(size=(TABLE_SIZE, DIM)).astype(np.float32), "made up")


def median_ms(seconds):
    return float(np.median(seconds) * 1e3)


def measure(name, dataset, corpus, vectors, recipe):
    """Milliseconds of each update, as written and ours, in turn."""
    seed_everything(recipe.training.seed)
    split = corpus.splits["train"]
    small = initial_table(Job(corpus, recipe, all_rows(split), vectors))
    ours = build_network(recipe.model, small, corpus.task.num_classes).train()
    backend = choose_backend(ours, recipe, corpus.task)
    table = torch.from_numpy(vectors.matrix.copy())
    table[torch.from_numpy(corpus.rows)] = small
    theirs = LITERAL[name][0](table, recipe.model.hidden_size).train()
    theirs.copy_start(table, ours)
    their_optimizer = torch.optim.Adam(theirs.parameters(), lr=recipe.training.lr)
    order = np.random.default_rng(0).permutation(len(split.targets))
    batches = order[: 32 * (UPDATES + WARM_UP)].reshape(-1, 32)
    ids = literal_ids([dataset.splits["train"].texts[i] for i in batches.ravel()], vectors.words)
    times, losses = {"as written": [], "ours": []}, []
    for step, batch in enumerate(batches):
        started = time.perf_counter()
        padded = pad(ids[32 * step : 32 * step + 32])
        targets = torch.from_numpy(split.targets[batch])
        loss = literal_update(theirs, their_optimizer, padded, targets, LITERAL[name][1])
        between = time.perf_counter()
        our_loss, _ = update(backend, split, batch)
        ended = time.perf_counter()
        losses.append((loss, our_loss))
        if step >= WARM_UP:
            times["as written"].append(between - started)
            times["ours"].append(ended - between)
    # The same start and batch must give the same loss, or the race is between different things. (In float32 later ones
    # drift apart: Adam's first step has the sign of a gradient, even of one that is rounding noise. In float64 all
    # agree, see tests/seminar/test_literal.py.)
    np.testing.assert_allclose(*losses[0], rtol=1e-5)
    return times


def main():
    dataset = read_dataset(sys.argv[1] if len(sys.argv) > 1 else "mini-news")
    vectors = made_up_vectors(dataset)
    rows = []
    for name in ("cnn", "rnn", "gru"):
        recipe = load_recipe(f"seminar-{name}")
        corpus = build_corpus(dataset, vectors, recipe.data)
        times = measure(name, dataset, corpus, vectors, recipe)
        ratios = np.divide(times["as written"], times["ours"])
        rows.append(
            {
                "experiment": name,
                "as_written_ms": median_ms(times["as written"]),
                "ours_ms": median_ms(times["ours"]),
                "ratio": float(np.median(ratios)),
                "ratio_min": float(ratios.min()),
                "ratio_max": float(ratios.max()),
                "updates": UPDATES,
            }
        )
        row = rows[-1]
        print(f"{name:5} as written {row['as_written_ms']:6.1f} ms   ours {row['ours_ms']:5.1f} ms   "
              f"{row['ratio']:.0f}x ({row['ratio_min']:.0f}-{row['ratio_max']:.0f})")  # fmt: skip
    settings = {"data": dataset.name, "table": [TABLE_SIZE, DIM], "rows_in_use": len(corpus.rows)}
    write_result("seminar_step", {**settings, "rows": rows})


if __name__ == "__main__":
    main()
