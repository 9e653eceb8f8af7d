"""fastText's Python module: change `import fasttext` to `import rubrica.fasttext as fasttext`.

Names, arguments and return types are those of fastText 0.9.3. Files are read and written in its format.
"""

from rubrica.fasttext import FastText as FastText
from rubrica.fasttext import util as util
from rubrica.fasttext.FastText import (
    BOW,
    EOS,
    EOW,
    cbow,
    load_model,
    skipgram,
    supervised,
    tokenize,
    train_supervised,
    train_unsupervised,
)

__all__ = [
    "BOW", "EOS", "EOW", "FastText", "cbow", "load_model", "skipgram", "supervised", "tokenize", "train_supervised",
    "train_unsupervised", "util",
]  # fmt: skip
