"""A model2vec folder, read into words and a matrix: `model.safetensors` and `tokenizer.json`.

Source: https://github.com/MinishLab/model2vec.
"""

import json
from pathlib import Path

import numpy as np

from rubrica.errors import VectorsError
from rubrica.vectors.files import Table, check_finite


def read_model2vec(path: Path) -> Table:
    """Read a folder; the vector of a token is its row of `embeddings`, times its weight if it has one.

    In newer versions several tokens share a row: then `mapping` holds the row of each token.

    Raises:
        VectorsError: If a file is missing or does not fit the others.
    """
    from safetensors import SafetensorError, safe_open  # late: texts need no vectors

    for name in ("model.safetensors", "tokenizer.json"):
        if not (path / name).is_file():
            raise VectorsError(path, f"the folder has no {name}; expected a model2vec folder, or give a file")
    words = _tokenizer_words(path / "tokenizer.json")
    path = path / "model.safetensors"
    try:
        with safe_open(path, "numpy") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, TypeError) as error:  # TypeError: a type that numpy lacks
        raise VectorsError(path, f"cannot be read ({error}); download it again") from error
    matrix = tensors.get("embeddings")
    if matrix is None or matrix.ndim != 2:
        raise VectorsError(path, f"tensors {sorted(tensors)}, expected a matrix called 'embeddings'")
    if (rows := tensors.get("mapping")) is not None:
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise VectorsError(path, f"'mapping' is {rows.dtype} {rows.shape}, expected a list of whole numbers")
        if rows.size and not 0 <= rows.min() <= rows.max() < len(matrix):
            raise VectorsError(path, f"'mapping' up to {rows.max()} for {len(matrix)} rows; download it again")
        matrix = matrix[rows]
    weights = tensors.get("weights", np.ones(len(matrix), np.float32))
    if len(words) != len(matrix) or weights.shape != (len(matrix),):
        raise VectorsError(
            path, f"{len(matrix)} vectors, weights {weights.shape}, expected {len(words)} of each as in tokenizer.json"
        )
    matrix = (matrix * weights[:, None]).astype(np.float32)
    check_finite(matrix, words, path)
    return words, matrix


def _tokenizer_words(path: Path) -> list[str]:
    """The tokens of a `tokenizer.json` of the `tokenizers` library, in the order of their ids."""
    try:
        tokenizer = json.loads(path.read_bytes())
        vocab = tokenizer["model"]["vocab"]
        if isinstance(vocab, list):  # Unigram: [token, score], the place is the id
            vocab = {token: i for i, (token, _) in enumerate(vocab)}
        words = {i: word for word, i in vocab.items()}
        words |= {token["id"]: token["content"] for token in tokenizer.get("added_tokens") or []}
        return ["".join(words[i]) for i in range(len(words))]  # a TypeError where a word is no string
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VectorsError(path, f"no vocabulary with ids from 0 on ({error!r}); download it again") from error
