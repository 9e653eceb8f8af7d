"""`train_supervised` and `train_unsupervised`, with fastText's arguments."""

from typing import Any

from rubrica.fasttext.arguments import Values, read_arguments
from rubrica.fasttext.faults import ArgumentError, value_errors
from rubrica.fasttext.model import Model


def train_supervised(*args: Any, **named: Any) -> Model:
    """Train a classifier on a file that has a text a line, with its labels among its words.

    Args:
        args: fastText's arguments in their order: `input`, `lr`, `dim`, `ws`, `epoch` and so on; see `ARGUMENTS`.
        named: The same by their names; `min_count`, `word_ngrams`, `lr_update_rate`, `label_prefix` and
            `pretrained_vectors` are other names of some.

    Raises:
        TypeError: If an argument is unknown, given twice, or of another type.
        ValueError: If an argument is out of its bounds, or a file cannot be used.
        RubricaError: If the training diverges, or there is no native core.
    """
    return train(*read_arguments(args, named, supervised=True))


def train_unsupervised(*args: Any, **named: Any) -> Model:
    """Train word vectors on a file that has a text a line.

    Args:
        args: fastText's arguments in their order: `input`, `model` ("skipgram" or "cbow"), `lr`, `dim` and so on.
        named: The same by their names.

    Raises:
        TypeError: If an argument is unknown, given twice, or of another type.
        ValueError: If an argument is out of its bounds, or a file cannot be used.
        RubricaError: If the training diverges, or there is no native core.
    """
    return train(*read_arguments(args, named, supervised=False))


def train(values: Values, given: frozenset[str]) -> Model:
    """Train with these arguments; search for those that were not given, if there is a file to choose them by.

    Raises:
        ValueError: As the functions above do.
        RubricaError: As they do.
    """
    if not values["input"]:
        raise ArgumentError("input", "is missing; give the file to learn from")
    from rubrica.fasttext.fitting import fit  # late: answers need no trainer

    with value_errors():
        if values["autotuneValidationFile"]:
            from rubrica.fasttext.autotune import tune  # late: a training needs no search

            return Model.of(*tune(values, given))
        return Model.of(*fit(values), values)
