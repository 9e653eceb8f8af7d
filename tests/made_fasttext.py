"""Models in fastText's own file with random numbers: each form of the file, in few bytes and without fastText."""

import numpy as np

from rubrica.models.fasttext import CENTROIDS, FastText

FASTTEXT = {
    "softmax.bin": {},
    "tree.bin": {"labels": 4, "loss": "hs", "max_n": 0, "min_n": 0},
    "several.bin": {"loss": "ova", "word_ngrams": 1, "max_n": 0, "min_n": 0, "num_buckets": 0},
    "pruned.ftz": {"dsub": 2, "norms": True, "pruned": True, "loss": "ns"},
    "output.ftz": {"dsub": 1, "output": True, "norms": False, "embedding_dim": 1},
    "skipgram.bin": {"kind": "skipgram", "labels": 0, "loss": "ns"},
}


def made_fasttext(labels=2, words=3, *, dsub=0, output=False, norms=False, pruned=False, **settings):
    """A model with random numbers: its settings and tensors."""
    draw, entries = np.random.default_rng(0), labels + words
    names = [f"w{i}" for i in range(words)] + [f"__label__{i}" for i in range(labels)]
    buckets = [1, 3] if pruned else []
    settings = {"embedding_dim": 2, "num_buckets": 4, "max_n": 3, "min_n": 2, "word_ngrams": 2} | settings
    rows = words + (len(buckets) if pruned else settings["num_buckets"])
    found = FastText(
        **settings, pruned=pruned, num_words=words, num_labels=labels, num_rows=rows, num_pruned=len(buckets),
        num_bytes=sum(map(len, names)), num_tokens=9, input_dsub=dsub, output_dsub=dsub if output else 0,
        input_norms=norms, output_norms=norms and output,
    )  # fmt: skip
    tensors = {
        "dictionary.bytes": np.frombuffer("".join(names).encode(), np.uint8),
        "dictionary.ends": np.cumsum([len(name) for name in names]),
        "dictionary.counts": np.arange(entries, 0, -1),
        "prune.buckets": np.array(buckets, np.int32),
        "prune.rows": np.arange(len(buckets), dtype=np.int32),
    }
    width = found.embedding_dim
    for side, count, quantised in (("input", rows, dsub), ("output", found.num_outputs, found.output_dsub)):
        if not quantised:
            tensors[f"{side}.weight"] = draw.normal(size=(count, width)).astype(np.float32)
            continue
        tensors[f"{side}.codes"] = draw.integers(0, 256, (count, -(-width // dsub)), dtype=np.uint8)
        tensors[f"{side}.centroids"] = draw.normal(size=CENTROIDS * width).astype(np.float32)
        if norms:
            tensors[f"{side}.norm_codes"] = draw.integers(0, 256, count, dtype=np.uint8)
            tensors[f"{side}.norm_centroids"] = draw.normal(size=CENTROIDS).astype(np.float32)
    return found, tensors
