"""Word vectors from one's own texts: fastText's skip-gram and CBOW on our tokens, with subwords or without.

Source: P. Bojanowski et al., TACL 2017, https://arxiv.org/abs/1607.04606; see `fasttext.py`. The defaults are
fastText's, except for the number of buckets: they follow the texts, so that the file of a few texts is small.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from rubrica.data.stored_texts import stretches, take_texts
from rubrica.errors import VectorsError
from rubrica.kernels import native
from rubrica.learning.checkpoint import Checkpoints, Stage, State
from rubrica.learning.fasttext import FastTextTraining, train_fasttext
from rubrica.learning.first_vectors import MATRIX, Place, pack_words, saved_vectors
from rubrica.models.config import Config
from rubrica.models.fasttext import FastText
from rubrica.progress import Progress, share_bar
from rubrica.text.subwords import Runs, hash_runs
from rubrica.text.tokens import WordCounter, pack
from rubrica.vectors.subwords import SubwordVectors
from rubrica.vectors.word_vectors import Vectors, check_enough

_LR = 0.05  # fastText's for word vectors
_MOST_TEXTS = 300_000  # that a network's first vectors are made of: more take memory
_FORESEEN_TEXTS = 10_000  # fewer teach a recurrent layer little
_START_COUNT = 3  # how often a word must be there for a first vector
_MOST_BUCKETS = 2_000_000  # fastText's number, whatever the texts
_BUCKETS_PER_RUN = 4  # a run of train shares its bucket with another in about one of five cases
_WHOLE = 2**31 - 1  # tokens of a text


def train_subword_vectors(
    texts: Iterable[str],
    *,
    dim: int = 50,
    min_count: int = 5,
    epochs: int = 5,
    min_n: int = 3,
    max_n: int = 6,
    cbow: bool = False,
    lowercase: bool = True,
    split_unspaced: bool = True,
    seed: int = 0xDEAD,
    progress: Progress | None = None,
) -> SubwordVectors:
    """Word vectors with subwords; `save_vectors` writes them as fastText's own file.

    The same texts, settings and number of threads give the same bits.

    Args:
        texts: Without their labels; all are in memory as tokens.
        dim: Numbers of each word.
        min_count: Rarer words have no row of their own.
        epochs: Passes over the texts.
        min_n: The shortest run of characters that has a row, at least 1.
        max_n: The longest, at least `min_n`.
        cbow: CBOW, which foresees a word from the words around it, in place of skip-gram.
        lowercase: Whether texts are lower-cased first, as the model will do.
        split_unspaced: Whether each character of a script without spaces is a word, see `text/tokenizer.py`.
        seed: Start of every random draw.
        progress: Called some 20 to 100 times a second.

    Raises:
        ValueError: If `min_n` is below 1 or above `max_n`, or `epochs` is below 1.
        VectorsError: If fewer than two words are frequent enough.
        RubricaError: If there is no native core.
    """
    if not 1 <= min_n <= max_n:
        raise ValueError(f"min_n is {min_n} and max_n is {max_n}, expected 1 <= min_n <= max_n")
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}, expected 1 or more")
    return _train(
        texts, dim, min_count, epochs, (min_n, max_n), cbow=cbow, lowercase=lowercase, split_unspaced=split_unspaced,
        seed=seed, progress=progress,
    )  # fmt: skip


def train_start_vectors(
    texts: Sequence[str], config: Config, *, least: int, dim: int, epochs: int, checkpoints: Checkpoints | None = None
) -> Vectors | None:
    """Vectors for the words of a network to start at, without subwords: what gensim's skip-gram learns, on all cores.

    From many texts a recurrent network gets a layer to start at, too. The same texts, settings and number of threads
    give the same bits.

    Args:
        texts: Of many, some hundred thousand are read.
        config: Says how texts are read, and the seed.
        least: Fewer texts make none.
        dim: Numbers of a vector.
        epochs: Passes over the texts.
        checkpoints: Of the run that the network is trained in.

    Returns:
        None where the texts are too few, hardly a word is frequent enough, or there is no native core.

    Raises:
        ArtifactError: If a checkpoint is not of this training.
    """
    if native.library() is None or len(texts) < least:
        return None
    if len(texts) > _MOST_TEXTS:
        texts = take_texts(texts, np.linspace(0, len(texts) - 1, _MOST_TEXTS).astype(np.int64))
    stage = Stage() if checkpoints is None else checkpoints.stage("word vectors")
    saved = stage.take()
    vectors = (
        _train_start(texts, config, dim, epochs) if saved is None else saved_vectors(saved, _source_of(texts), dim)
    )
    if vectors is None:
        return None
    if config.model.can_foresee and len(texts) >= _FORESEEN_TEXTS:
        from rubrica.learning.language_model import learn_to_foresee  # late: it imports torch

        return learn_to_foresee(texts, vectors, config, stage, saved)
    stage.offer(lambda: State(Place(), {MATRIX: vectors.matrix} | pack_words(vectors.words)), is_last=True)
    return vectors


def _train_start(texts: Sequence[str], config: Config, dim: int, epochs: int) -> Vectors | None:
    """Vectors by skip-gram; None of too few frequent words."""
    data = config.data
    try:
        with share_bar("word vectors") as show:
            found = _train(
                texts, dim, _START_COUNT, epochs, (0, 0), cbow=False, lowercase=data.lowercase is not False,
                split_unspaced=data.split_unspaced is not False, seed=config.training.seed, progress=show,
            )  # fmt: skip
    except VectorsError:
        return None
    return Vectors(found.words, found.matrix, found.source)


def _source_of(texts: Sequence[str]) -> str:
    return f"{len(texts)} own texts"


def _train(
    texts: Iterable[str], dim: int, min_count: int, epochs: int, lengths: tuple[int, int], *, cbow: bool,
    lowercase: bool, split_unspaced: bool, seed: int, progress: Progress | None,
) -> SubwordVectors:  # fmt: skip
    """Vectors of the words, and of their runs of characters of these lengths; (0, 0) learns no runs."""
    texts, (min_n, max_n) = texts if isinstance(texts, Sequence) else list(texts), lengths
    counter = WordCounter(lowercase=lowercase, max_length=_WHOLE, split_unspaced=split_unspaced)
    numbered = [counter.add(stretch) for stretch in stretches(texts)]
    words, counts = counter.words()
    frequent = [word for word, count in zip(words, counts.tolist(), strict=True) if count >= min_count]
    source = _source_of(texts)
    check_enough(source, len(frequent), min_count=min_count, dim=dim)
    settings = FastText(
        kind="cbow" if cbow else "skipgram",
        loss="ns",
        embedding_dim=dim,
        min_n=min_n,
        max_n=max_n,
        num_buckets=_num_buckets(frequent, min_n, max_n) if max_n else 0,
        min_count=min_count,
    )
    lines = []
    for ids, starts in numbered:
        tokens = [words[number] for number in ids.tolist()]
        lines += [" ".join(tokens[start:end]) for start, end in pairwise(starts.tolist())]
    training = FastTextTraining(lr=_LR, epochs=epochs, seed=seed)
    return SubwordVectors(*train_fasttext(pack(lines), settings, training, progress=progress), source)


def _num_buckets(words: Sequence[str], min_n: int, max_n: int) -> int:
    """How many buckets the runs of these words are worth, at least 1."""
    _, buckets = hash_runs(words, Runs(min_n, max_n, _MOST_BUCKETS))
    return max(1, min(_MOST_BUCKETS, _BUCKETS_PER_RUN * len(np.unique(buckets))))
