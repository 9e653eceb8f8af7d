"""Answers from a model folder, without torch.

>>> model = load("reviews-model")                       # doctest: +SKIP
>>> model.predict(["a fine film", "two hours lost"])    # doctest: +SKIP
['positive', 'negative']

Letters: N texts, C classes.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.fasttext_model import open_model
from rubrica.artifact.folder import Artifact, check_writable, save_artifact
from rubrica.data.arrow_texts import text_column
from rubrica.data.objects import GIVEN, SEPARATOR, label_columns, list_in, ones, scores_in
from rubrica.data.soft_labels import labels_for, read_scored, scored_labels, settle
from rubrica.models.ensemble import Ensemble
from rubrica.models.family import Inputs
from rubrica.models.search import as_finite
from rubrica.scoring.report import Report
from rubrica.scoring.sureness import margins
from rubrica.scoring.tally import Tally
from rubrica.scoring.task import Floats
from rubrica.text.strings import as_texts
from rubrica.text.tokens import PackedTexts, take_some

if TYPE_CHECKING:
    from rubrica.vectors.neighbours import Neighbour
    from rubrica.vectors.word_vectors import Vectors

_AT_A_TIME = 1 << 16  # texts that are numbers in memory at once, about
_LOGITS = 1 << 24  # that are in memory at once, about, where not all of them are asked for: 64 MB
_READ_AHEAD = 4096  # texts that `iter_answers` reads before it answers the first, about


class Classifier:
    """A trained model that answers.

    Args:
        artifact: What `load_artifact` read, or what a training made. Its `task` and its `config` are attributes here.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact, self.task, self.config = artifact, artifact.task, artifact.config
        self._ensemble = Ensemble(artifact.config, artifact.tensors)

    def __repr__(self) -> str:
        return f"<Classifier: {self.config.title}, {len(self.task.labels):,} labels>"

    @property
    def labels(self) -> list[str]:
        """The C class names, in the order of the columns of `predict_proba`."""
        return list(self.task.labels)

    def predict(
        self, texts: Any, *, k: int | None = None, abstain_below: float | None = None, exact: bool = False
    ) -> list[Any]:
        """The most probable label of each text, in order; where a text may have several, a list, best first.

        Of a model that gives scores it is the score of each text, from 0 to 1.

        Args:
            texts: A list, a NumPy array, a column of pandas, polars, pyarrow or `datasets`, or anything that gives
                strings one by one.
            k: Gives the k most probable labels of each text in a list, best first.
            abstain_below: The answer is None where no label has at least this probability, from 0 to 1.
            exact: Asks every member about each text. Without it the linear model of the default answers alone where
                it is so sure that the network would change about 1 label in 10,000, see `Artifact.sure`; whatever
                says a probability asks all members.

        Raises:
            TypeError: If the texts are one string, a table of several columns, or hold what is neither text, number nor
                missing.
            ValueError: If k is below 1, or given with `abstain_below`; see `Task.check_abstaining`.
        """
        self._check(k, abstain_below)
        answers: list[Any] = []
        for strings in self._stretches(texts, self._texts_at_a_time(_AT_A_TIME)):
            if k is not None:
                answers += self._rank(strings, k)
            elif abstain_below is None and self.artifact.sure is not None and not exact:
                answers += self.task.name_answers(self._quickly(strings, self.artifact.sure))
            else:
                answers += self._name(strings, abstain_below)
        return answers

    def _quickly(self, texts: Sequence[str], sure: float) -> NDArray[np.integer[Any]]:
        """The most probable class of each text, (N,); the network is asked where the linear model is not sure."""
        logits = self._ensemble.quick(texts)
        best = logits.argmax(axis=1)
        asked = np.flatnonzero(margins(logits) < sure)
        if len(asked):
            some = take_some(texts, asked)
            best[asked] = as_finite(self._ensemble.slow(some, self.artifact.vocab) + logits[asked]).argmax(axis=1)
        return best

    def _check(self, k: int | None, abstain_below: float | None) -> None:
        self.task.check_abstaining(abstain_below)
        if k is not None and (index(k) < 1 or abstain_below is not None):
            raise ValueError(f"k is {k}, expected at least 1" if k < 1 else "give k or abstain_below, one of the two")

    def _name(self, texts: Sequence[str], abstain_below: float | None) -> list[Any]:
        """The answer to each text."""
        if self._ensemble.search is None:
            return self.task.answers(self._answer(texts), abstain_below)
        best, highest = self._find(texts)
        return self.task.name_answers(best, None if abstain_below is None else highest >= abstain_below)

    def scored(
        self, texts: Any, *, k: int | None = None, abstain_below: float | None = None
    ) -> list[list[tuple[str | None, float]]]:
        """The labels that `predict` gives to each text, each with its probability.

        Args:
            texts: As in `predict`.
            k: As in `predict`.
            abstain_below: As in `predict`; a text without an answer has None and the highest probability.

        Raises:
            TypeError: As in `predict`.
            ValueError: As in `predict`.
        """
        self._check(k, abstain_below)
        found: list[list[tuple[str | None, float]]] = []
        for strings in self._stretches(texts, self._texts_at_a_time(_AT_A_TIME)):
            if k is None and self._ensemble.search is None:
                logits = self._answer(strings)
                found += self._with_scores(self.task.decide(logits, abstain_below), self.task.probabilities(logits))
                continue
            places, scores = self._best(strings, k or 1)
            sure = None if abstain_below is None else scores >= abstain_below
            names = self.task.name_answers(places.ravel(), None if sure is None else sure.ravel())
            pairs = list(zip(names, scores.ravel().tolist(), strict=True))
            found += [pairs[first : first + scores.shape[1]] for first in range(0, len(pairs), scores.shape[1])]
        return found

    def _with_scores(self, answers: Sequence[Any], scores: Floats) -> list[list[tuple[str | None, float]]]:
        """Answers with the probability of each label, from the probabilities (N, C)."""
        if answers and not isinstance(answers[0], list):  # the answer to a text is its best label
            return [[pair] for pair in zip(answers, scores.max(axis=1).tolist(), strict=True)]
        column = self._columns
        return [
            [(name, float(row[column[name]])) for name in names] for names, row in zip(answers, scores, strict=True)
        ]

    @cached_property
    def _columns(self) -> dict[str, int]:
        """The column of each label."""
        return {label: place for place, label in enumerate(self.task.labels)}

    def _rank(self, texts: Sequence[str], k: int) -> list[list[str]]:
        """The k most probable labels of each text."""
        return [[self.task.labels[place] for place in row] for row in self._best(texts, k)[0].tolist()]

    def _best(self, texts: Sequence[str], k: int) -> tuple[NDArray[np.integer[Any]], Floats]:
        """The k most probable classes of each text and their probabilities, (N, k)."""
        if self._ensemble.search is not None:
            best = self._ensemble.search.best(self._inputs(texts), k)
            return best.classes, np.exp(best.log_probabilities)
        logits = self._answer(texts)
        places = np.argsort(-logits, axis=1, kind="stable")[:, :k]
        return places, np.take_along_axis(self.task.probabilities(logits), places, axis=1)

    def _find(self, texts: Sequence[str]) -> tuple[NDArray[np.integer[Any]], Floats]:
        """The most probable class of each text and its probability, where a tree finds them."""
        places, scores = self._best(texts, 1)
        return places[:, 0], scores[:, 0]

    def _inputs(self, texts: Sequence[str]) -> Inputs:
        return self._ensemble.inputs(texts, self._ensemble.read(texts, self.artifact.vocab))

    def _answer(self, texts: Sequence[str]) -> Floats:
        return self._ensemble.answer(texts, self.artifact.vocab)

    def _stretches(self, texts: Any, count: int) -> Iterator[Sequence[str]]:
        """Yield the texts of a column, `count` at a time."""
        texts, raw = text_column(texts), self.config.model.reads_raw
        for first in range(0, len(texts), count):
            part = texts[first : first + count]
            fits = isinstance(part, PackedTexts) and (raw or part.is_composed())
            yield part if fits else as_texts(part, first, raw=raw)

    def _texts_at_a_time(self, most: int) -> int:
        """How many texts to answer at a time: fewer of many classes, unless a tree finds them."""
        if self._ensemble.search is None:
            most = max(1, min(most, _LOGITS // self.task.num_classes))
        return self.whole_batches(most)

    def word_vector(self, word: str) -> NDArray[np.float32]:
        """The vector (E,) of a word that the model knows; of an opened fastText model, of any word.

        Raises:
            RubricaError: If the model has no vectors of words, as a linear one, or not this word's.
        """
        return self._vectors.asked([self._as_read(word)])[0]

    def neighbours(self, word: str, k: int = 10) -> "list[Neighbour]":
        """The k words whose vectors are nearest to the word's, see `Vectors.neighbours`.

        Raises:
            RubricaError: As in `word_vector`.
            ValueError: If k is below 1.
        """
        return self._vectors.neighbours(self._as_read(word), k)

    def sentence_vector(self, text: str) -> NDArray[np.floating[Any]]:
        """What the last layer sees of a text, (F,); of a network with a linear model beside it, the network's.

        Raises:
            RubricaError: If the model has no such vector, as a linear one.
        """
        (string,) = as_texts([text], 0, raw=self.config.model.reads_raw)
        return self._ensemble.features([string], self.artifact.vocab)[0]

    @cached_property
    def _vectors(self) -> "Vectors":
        """The vectors of the model's words, made when they are first asked for."""
        from rubrica.vectors.of_models import vectors_of_model  # late: an answer needs none

        return vectors_of_model(self.artifact, "the model")

    def _as_read(self, word: str) -> str:
        """A word as the model reads it in a text."""
        model, vocab = self.config.model, self.artifact.vocab
        (string,) = as_texts([word], 0, raw=model.reads_raw)
        return string.lower() if vocab.lowercase and not model.reads_raw else string

    def _repr_html_(self) -> str:
        """What a notebook shows: what the model is, and its scores."""
        from rubrica.predict.notebook import show_model  # late: an answer needs none

        return show_model(self.artifact)

    def save(self, folder: str | Path) -> None:
        """Write the model to a new folder, for `load`.

        Raises:
            ArtifactError: If the folder holds files already, or cannot be written.
        """
        save_artifact(self.artifact, check_writable(folder))

    def predict_proba(self, texts: Any) -> Floats:
        """Probabilities (N, C), one row per text, in order; where a text may have several labels, of each by itself."""
        return self.task.probabilities(self.logits(texts))

    def evaluate(
        self, texts: Any, labels: Any = None, *, abstain_below: float | None = None, name: str = GIVEN, **layout: Any
    ) -> Report:
        """The scores of the answers.

        A label that the model does not know counts as wrong, with a warning: see `Task.count`.

        Args:
            texts: As in `predict`. Without `labels`, texts and labels in whatever `train` takes: a path, a DataFrame,
                a `Dataset`; of several splits the test split, or the first. Or the `Examples` of one.
            labels: The label of each text in any spelling, such as 1, 1.0 or "1"; where a text may have several labels,
                a list or set of them, or one; or a matrix of 0 and 1, whose columns are `labels` or have their names;
                or how probable each label is, a dict for each text.
            abstain_below: The report also says what abstaining gains.
            name: What a warning calls the texts.
            layout: Without `labels`, how to read the data, see `read_dataset`; else `label_separator` alone.

        Raises:
            RubricaError: If the data cannot be read.
            TypeError: As in `predict`.
            ValueError: If there are no texts, or not one label per text; see `Task.encode_all` and
                `Task.check_abstaining`.
        """
        from rubrica.data.layout import make_layout  # late: an answer needs none
        from rubrica.scoring.unknown_labels import encode_scored

        self.task.check_abstaining(abstain_below)
        if labels is None:
            texts, labels, soft = self._with_labels(texts, layout)
        else:
            make_layout(layout, ("label_separator", "abstain_below", "name"))
            labels, soft = self._labels(labels, **layout)
        texts = text_column(texts)
        if not len(texts) or len(texts) != len(labels):
            raise ValueError(f"{len(texts)} texts and {len(labels)} labels; give as many labels as texts, at least one")
        targets, unknown = encode_scored(self.task, labels, name)  # first: a wrong label is found at once
        tally, done = Tally(self.task, len(texts), abstain_below, unknown), 0
        for strings in self._stretches(texts, self._texts_at_a_time(_AT_A_TIME)):
            here = targets[done : done + len(strings)]
            if self._ensemble.search is None:
                tally.add(self._answer(strings), here, None if soft is None else soft[done : done + len(strings)])
            else:
                self._ensemble.search.score(tally, self._inputs(strings), here)
            done += len(strings)
        return tally.report()

    def logits(self, texts: Any) -> NDArray[np.float32]:
        """Unnormalised log-probabilities (N, C), see `Ensemble.logits`.

        Raises:
            TypeError: As in `predict`.
        """
        stretches = self._stretches(texts, self.whole_batches(_AT_A_TIME))
        return np.concatenate([np.zeros((0, self.task.num_classes), np.float32), *map(self._answer, stretches)])

    def iter_answers(self, texts: Any, *, all_classes: bool, abstain_below: float | None = None) -> Iterator[str]:
        """Yield lines of JSON for the texts, in their order, some thousand lines in one string.

        The texts of an iterator are read as they come; else they are as in `predict`. `all_classes` adds the
        probability of every class.

        Raises:
            TypeError: As in `predict`.
            ValueError: See `Task.check_abstaining`.
        """
        self.task.check_abstaining(abstain_below)
        found = texts if isinstance(texts, Iterator) else iter(text_column(texts))
        return self._iter_answers(found, all_classes=all_classes, abstain_below=abstain_below)

    def _iter_answers(self, texts: Iterator[str], *, all_classes: bool, abstain_below: float | None) -> Iterator[str]:
        count = self._texts_at_a_time(_READ_AHEAD)
        if all_classes:  # a line has a number of each class
            count = self.whole_batches(max(1, min(_READ_AHEAD, _LOGITS // self.task.num_classes)))
        while chunk := list(islice(texts, count)):
            if self._ensemble.search is None or all_classes:
                lines = self.task.answer_lines(self.logits(chunk), all_classes=all_classes, abstain_below=abstain_below)
            else:
                lines = self.task.best_lines(*self._find(as_texts(chunk)), abstain_below)
            yield "\n".join(lines)

    def _labels(self, labels: Any, label_separator: str = SEPARATOR) -> tuple[Sequence[Any], Floats | None]:
        """The labels as one column, and how probable each is where they are scores.

        The columns of a matrix of 0 and 1 are the classes, or have their names.
        """
        columns = label_columns(labels)
        if len(columns) == 1:
            (column,), known = columns.values(), set(self.task.labels)
            if label_separator and self.task.gives_labels:
                column = [_parts(label, known, label_separator) for label in column]
            if (scored := scored_labels(column, self.task)) is None:
                return column, None
            found, soft = settle(scored, self.task)
            return found, soft.of(self.labels)
        named = list(columns) if hasattr(labels, "columns") else self.labels
        if len(named) != len(columns):
            raise ValueError(f"the matrix of labels has {len(columns)} columns, the model {len(named)} labels")
        rows = list(zip(*columns.values(), strict=True))
        if hasattr(labels, "columns") and any(value not in (0, 1) for row in rows for value in row):
            found, soft = settle([read_scored(dict(zip(named, row, strict=True))) for row in rows], self.task)
            return found, soft.of(self.labels)
        return [ones(row, named) for row in rows], None

    def _with_labels(self, data: Any, layout: dict[str, Any]) -> tuple[Sequence[str], Sequence[Any], Floats | None]:
        """Texts and labels of the test split of a data set, or of its first; see `_labels`."""
        from rubrica.data.dataset import Dataset, Examples, read_dataset

        if not isinstance(data, Examples):
            splits = (data if isinstance(data, Dataset) else read_dataset(data, **self.task.layout | layout)).splits
            data = splits.get("test") or next(iter(splits.values()))
        return data.texts, *labels_for(data.labels, data.soft, self.task)

    def whole_batches(self, count: int) -> int:
        """About `count` texts: where padding is read as words, the training batch is part of the result."""
        batch_size = self.config.training.batch_size
        return batch_size * max(1, count // batch_size)


def _parts(label: Any, known: set[str], separator: str) -> Any:
    """The labels in one string, as in `a|b` or `['a', 'b']`, where the model has no label of this name."""
    if not isinstance(label, str) or label in known:
        return label
    if (found := list_in(label)) is not None:
        return found
    if (scores := scores_in(label)) is not None:
        return scores
    return list(filter(None, map(str.strip, label.split(separator)))) if separator in label else label


def load(folder: str | Path) -> Classifier:
    """Open a model folder, or a supervised model in fastText's own file.

    A file's labels lose fastText's `__label__`. Its probabilities are fastText's scores, which are not rounded to add
    up to 1; where each label was trained by itself (ova), a score is at most 1.

    Raises:
        ArtifactError: If a file is missing, changed or not one of ours.
    """
    return Classifier(open_model(folder))
