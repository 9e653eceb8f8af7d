"""fastText's Python module: change `import fasttext` to `import rubrica.fasttext as fasttext`.

Names, arguments and return types are those of fastText 0.9.3. Files are read and written in its format.
"""

from typing import Any, NoReturn

from rubrica.fasttext import model as FastText
from rubrica.fasttext import util as util
from rubrica.fasttext.lines import BOW, EOS, EOW, tokenize
from rubrica.fasttext.model import load_model
from rubrica.fasttext.training import train_supervised, train_unsupervised

__all__ = [
    "BOW", "EOS", "EOW", "FastText", "load_model", "tokenize", "train_supervised", "train_unsupervised", "util",
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
