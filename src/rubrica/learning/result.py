"""What is saved of a trained model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rubrica.artifact.folder import Artifact
from rubrica.corpus.corpus import Corpus, pretrained_rows
from rubrica.files import make_array
from rubrica.learning.job import Job, Trained
from rubrica.models.storage import store_tensors
from rubrica.scoring.task import Rows, Task
from rubrica.text.tokenizer import is_token
from rubrica.text.vocab import PAD_ID, TokenIds, Vocab, Words
from rubrica.vectors.word_vectors import Vectors


def build_artifact(trained: Trained, job: Job, task: Task, metrics: dict[str, Any]) -> Artifact:
    """A trained model as it is saved.

    A table that began as pretrained vectors takes all of them along, trained rows and untouched ones: a word that train
    lacked is still worth its vector. Words that the tokenizer can never produce are left out.
    """
    corpus, config = job.corpus, job.config
    vocab, tensors = corpus.vocab, trained.tensors
    if not any(member.reads_words for member in config.members):
        vocab = vocab.take(np.array([PAD_ID, vocab.unknown_id]))  # it looks no word up
    if job.start is not None:
        vocab, rows, places = _all_words(corpus, job.start)
        table = pretrained_rows(job.start, rows)
        table[places] = tensors["embedding.weight"]
        tensors = tensors | {"embedding.weight": table}
    source, storage = Path(job.vectors.source).name if job.vectors else None, config.training.storage
    stored = store_tensors(tensors, storage)
    return Artifact(config, task, vocab, stored, metrics, trained.history.records, source, storage)


def with_all_words(corpus: Corpus, vectors: Vectors) -> Corpus:
    """The corpus in the numbers of the model to be saved, for a model that hashes its n-grams from them."""
    vocab, rows, places = _all_words(corpus, vectors)
    splits = {}
    for name, split in corpus.splits.items():
        ids, words = make_array(len(split.tokens.ids), np.int32), split.tokens.words
        if words is not None:
            words = Words(vocab.words, words.others, vocab.unknown_id)
            places = np.concatenate([places[: len(corpus.rows)], len(rows) + np.arange(len(words.others))])
        np.take(places.astype(np.int32), split.tokens.ids, out=ids, mode="clip")  # "raise" would fill a copy first
        splits[name] = replace(split, tokens=TokenIds(ids, split.tokens.offsets, words))
    return replace(corpus, vocab=vocab, rows=rows, splits=splits)


def _all_words(corpus: Corpus, vectors: Vectors) -> tuple[Vocab, Rows, Rows]:
    """The words that a text holds or may yet hold, their rows among the vectors, and the places of the words in use."""
    lowercase, split_unspaced = corpus.vocab.lowercase, corpus.vocab.split_unspaced
    vocab = Vocab.from_vectors(vectors.words, lowercase=lowercase, split_unspaced=split_unspaced)
    keep, file_size = np.zeros(corpus.table_size, bool), len(vectors.words)
    keep[:file_size] = [
        is_token(word, split_unspaced=split_unspaced) and (not lowercase or word == word.lower())
        for word in vocab.words[:file_size]
    ]
    keep[corpus.rows] = True
    rows = np.flatnonzero(keep)
    return vocab.take(rows), rows, np.searchsorted(rows, corpus.rows)
