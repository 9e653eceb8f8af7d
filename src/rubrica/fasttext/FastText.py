"""The names of fastText's own module, `fasttext.FastText`; what it builds its calls with is not among them."""

# ruff: noqa: N813, N999  # the names are fastText's

from typing import Any, NoReturn

from rubrica.fasttext.arguments import LossName as loss_name
from rubrica.fasttext.arguments import ModelName as model_name
from rubrica.fasttext.lines import BOW, EOS, EOW, tokenize
from rubrica.fasttext.meter import Meter as _Meter
from rubrica.fasttext.model import Model as _FastText
from rubrica.fasttext.model import load_model
from rubrica.fasttext.training import train_supervised, train_unsupervised

__all__ = [
    "BOW", "EOS", "EOW", "_FastText", "_Meter", "cbow", "load_model", "loss_name", "model_name", "skipgram",
    "supervised", "tokenize", "train_supervised", "train_unsupervised",
]  # fmt: skip


def cbow(*args: Any, **named: Any) -> NoReturn:
    """A name of fastText 0.8; raises as fastText does."""
    raise RuntimeError("`cbow` is not supported any more; use train_unsupervised(input, model='cbow')")


def skipgram(*args: Any, **named: Any) -> NoReturn:
    """A name of fastText 0.8; raises as fastText does."""
    raise RuntimeError("`skipgram` is not supported any more; use train_unsupervised(input, model='skipgram')")


def supervised(*args: Any, **named: Any) -> NoReturn:
    """A name of fastText 0.8; raises as fastText does."""
    raise RuntimeError("`supervised` is not supported any more; use train_supervised(input)")
