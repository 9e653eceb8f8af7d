"""The vectors of a model's words: the rows of its table, or for a fastText model of rows and subwords."""

from rubrica.artifact.folder import Artifact
from rubrica.errors import RubricaError
from rubrica.models.fasttext import FastText
from rubrica.models.storage import take_rows
from rubrica.vectors.subwords import SubwordVectors
from rubrica.vectors.word_vectors import Vectors

_TABLE = "embedding.weight"
_MADE_UP = ["<pad>", "<unk>"]  # the first words of a vocabulary made from texts; no text holds them


def vectors_of_model(artifact: Artifact, source: str) -> Vectors:
    """The words that a model knows, and their vectors; `source` is what messages call the model.

    Raises:
        RubricaError: If the model has no vectors of words.
    """
    model = artifact.config.model
    if isinstance(model, FastText):
        return SubwordVectors(model, artifact.tensors, source)
    if _TABLE not in artifact.tensors:
        raise RubricaError(f"{source}: a {model.name} model weighs n-grams and has no vectors; take another model")
    words, matrix = artifact.vocab.words, take_rows(artifact.tensors, _TABLE)
    first = len(_MADE_UP) if words[: len(_MADE_UP)] == _MADE_UP else 0
    return Vectors(words[first:], matrix[first:], source)
