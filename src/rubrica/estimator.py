"""Rubrica in scikit-learn: a classifier of texts with `fit`, `predict` and `predict_proba`.

It keeps scikit-learn's contract for estimators (https://scikit-learn.org/stable/developers/develop.html), so it goes
into `Pipeline`, `GridSearchCV`, `cross_val_score` and `CalibratedClassifierCV`. One difference: X is a column of texts,
and what has two dimensions is refused.

Letters: N texts, C classes.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact
from rubrica.data.dataset import Dataset, Examples, tell_empty
from rubrica.data.labels import as_list
from rubrica.data.objects import GIVEN, column_names, column_of, label_columns, ones
from rubrica.data.table import Table
from rubrica.errors import ConfigError, nearest, require
from rubrica.learning.continuing import settings_after
from rubrica.learning.train import train_dataset
from rubrica.models.config import Config, make_config, read_recipe, recipe_names, with_known
from rubrica.models.families import DEFAULT
from rubrica.predict.classifier import Classifier
from rubrica.scoring.label_names import spell
from rubrica.scoring.tasks import task_of
from rubrica.text.strings import as_texts, is_missing
from rubrica.vectors.word_vectors import Vectors

require("sklearn", "sklearn")

from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402 (after the sentence that says what to install)
from sklearn.metrics import accuracy_score  # noqa: E402
from sklearn.utils.class_weight import compute_sample_weight  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import check_is_fitted, column_or_1d  # noqa: E402

_NAMED = ("epochs", "batch_size", "lr", "hidden_size", "dropout", "cost")  # parameters that people search over


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A small text classifier, trained as `rubrica train` does.

    >>> from sklearn.model_selection import GridSearchCV                    # doctest: +SKIP
    >>> from rubrica import TextClassifier                                  # doctest: +SKIP
    >>> search = GridSearchCV(TextClassifier("linear"), {"cost": [0.1, 0.3, 1]})  # doctest: +SKIP
    >>> search.fit(["a fine film", ...], ["positive", ...])                 # doctest: +SKIP
    >>> search.predict(["two hours lost"])                                  # doctest: +SKIP
    array(['negative'], dtype='<U8')

    A part of the texts is held out of training (`data.validation_fraction`): it chooses the epoch and calibrates the
    probabilities. Where there are too few texts, no text is held out unless `settings` says how many. A parameter that
    the model does not read, such as `lr` of a linear model, has no effect.

    Args:
        model: `gru`, `lstm`, `rnn`, `cnn`, `mingru`, `drnn`, `bag` or `linear`; or a recipe, by its
            name (`small`, `large`, `seminar-gru`, ...) or TOML file.
        vectors: Word vectors: a file, a downloaded name of the gensim list, or a `Vectors`.
        epochs: Passes over the texts. None, here and below, takes what the model's recipe says.
        batch_size: Texts of one update.
        lr: The step size at its largest.
        hidden_size: Recurrent units of each direction, or filters of each convolution.
        dropout: Share of the features that is zeroed in each update of a network.
        cost: Of a linear model, alone or beside a network: what an error costs beside large weights.
        class_weight: How much each text of a class counts, as a dict by label; with `"balanced"` all classes count
            alike.
        random_state: The seed of every random draw, a whole number; None takes the recipe's, which mostly is 0. The
            same data and seed give the same model, to the last bit.
        settings: All other settings by name, as in `{"model.pooling": "max"}`; a parameter above wins over its own.

    Attributes:
        classes_: The C labels, sorted; of a matrix its columns. New labels of `partial_fit` come behind the others.
        classifier_: The trained `rubrica.Classifier`; its `save` writes a model folder.
        multilabel_: How y gave several labels a text, "matrix" or "lists"; None for one label.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT,
        *,
        vectors: str | Path | Vectors | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        hidden_size: int | None = None,
        dropout: float | None = None,
        cost: float | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        random_state: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.vectors = vectors
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.cost = cost
        self.class_weight = class_weight
        self.random_state = random_state
        self.settings = settings

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on texts; what was learned before is forgotten.

        Args:
            X: N texts: a list, a NumPy array, a column of pandas, polars or pyarrow.
            y: The label of each: strings, integers or booleans. Or several labels of each: a matrix of 0 and 1, or a
                list or set of labels for each text.
            sample_weight: How much each text counts in training, at least 0; a text of weight 0 is left out. The scale
                has no effect: weights are divided by their mean.

        Raises:
            TypeError: If X holds something else than texts.
            ValueError: If X and y do not fit each other, hold nothing, or one class only; for a bad setting.
            KeyboardInterrupt: After Ctrl-C; the estimator then has what was learned until then.
        """
        return self._fit(X, y, sample_weight, None)

    classes_: NDArray[Any]
    multilabel_: str | None

    def _fit(self, X: Any, y: Any, sample_weight: Any, before: Artifact | None) -> Self:
        config = self._config()
        if before is not None:
            config = settings_after(before, config)
        known = {} if before is None else dict(zip(self.classes_.tolist(), before.task.labels, strict=True))
        texts, targets = as_texts(column_of(X)), _Targets(y, known)
        if not texts or len(texts) != len(targets.labels):
            raise ValueError(f"found {len(texts)} texts and {len(targets.labels)} labels; give a label for each text")
        tell_empty(texts, Table(GIVEN, {"text": texts}))
        weights = self._weights(sample_weight, targets)
        kept = np.flatnonzero(weights)
        labels = [targets.labels[row] for row in kept.tolist()]
        names = targets.names_of(labels)
        if before is not None and targets.form != self.multilabel_:
            raise ValueError(
                f"y gives labels as {targets.form or 'one a text'}, and before as {self.multilabel_ or 'one'}"
            )
        if len(names) < 2 and before is None:
            found = f"one class only ({names[0]})" if names else "no label"
            raise ValueError(f"y has {found}; give texts of at least two classes")
        examples = Examples([texts[row] for row in kept.tolist()], labels)
        data = Dataset("X", {"train": examples}, ("text",), "label", task_of(names, lists=targets.is_multilabel))
        weights = weights[kept]
        counts = None if weights.min() == weights.max() else (weights / weights.mean()).astype(np.float32)
        vectors = self.vectors if before is None else None
        _, artifact = train_dataset(data, vectors, config, counts, before=before)
        self.classifier_ = Classifier(artifact)
        classes = targets.classes[[targets.names.index(name) for name in names]]
        if before is not None:
            new = [place for place, name in enumerate(names) if name not in before.task.labels]
            classes = np.concatenate([self.classes_, classes[new]])
        self.classes_ = classes
        self.multilabel_ = targets.form
        if artifact.metrics["interrupted"]:  # a search over settings has to end, too
            raise KeyboardInterrupt
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Go on from what was learned before, with more texts; a `bag` can. The first call is `fit`.

        New labels are added behind the known ones as they come, so `classes_` is in the order of their coming.

        Args:
            X: As in `fit`.
            y: As in `fit`; one class is enough after the first call.
            classes: Has no effect: scikit-learn's callers announce the labels to come.
            sample_weight: As in `fit`.

        Raises:
            TypeError: As in `fit`.
            ValueError: As in `fit`; if the model cannot go on, or the labels are of another form than before.
        """
        if not hasattr(self, "classifier_"):
            return self.fit(X, y, sample_weight)
        return self._fit(X, y, sample_weight, self.classifier_.artifact)

    def predict(self, X: Any) -> Any:
        """The most probable label of each text, (N,); of several labels a matrix (N, C) or lists, as y was in `fit`.

        Raises:
            NotFittedError: Before `fit`.
        """
        check_is_fitted(self)
        logits = self.classifier_.logits(X)
        if self.multilabel_ is None:
            return self.classes_[logits.argmax(axis=1)]
        places = {name: place for place, name in enumerate(self.classifier_.labels)}
        rows = [[places[label] for label in found] for found in self.classifier_.task.decide(logits)]
        if self.multilabel_ == "lists":
            return [self.classes_[row].tolist() for row in rows]
        return _matrix(rows, len(places))

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities (N, C), columns as in `classes_`; of several labels, each by itself.

        Raises:
            NotFittedError: Before `fit`.
        """
        check_is_fitted(self)
        return self.classifier_.predict_proba(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy; of several labels the share of texts whose labels are all right."""
        found, classes = self.predict(X), self.classes_.tolist()
        if self.multilabel_ is None:
            y = _as_held(y) if isinstance(y, list | tuple) else y
        elif len(columns := label_columns(y)) > 1:
            if set(column_names(y) or ()) == set(classes):
                columns = {name: columns[str(name)] for name in classes}
            y = np.array(list(columns.values())).T
            if self.multilabel_ == "lists":
                found = _matrix([[classes.index(label) for label in row] for row in found], len(classes))
        elif self.multilabel_ == "lists":  # scikit-learn compares matrices alone
            y = list(map(_labels_of, y))
            known = {label: place for place, label in enumerate(sorted({*chain(*found, *y)}, key=str))}
            y, found = (_matrix([[known[label] for label in row] for row in rows], len(known)) for rows in (y, found))
        return float(accuracy_score(y, found, sample_weight=sample_weight))

    def _weights(self, sample_weight: Any, targets: "_Targets") -> NDArray[np.float64]:
        """What each text counts, (N,); 0 where it is left out."""
        weights = _check_weights(sample_weight, len(targets.labels))
        if self.class_weight in (None, "balanced"):  # "balanced" is a setting, see `_config`
            return weights
        if targets.is_multilabel:
            raise ValueError(
                f"class_weight is {self.class_weight!r}; of several labels a text, only 'balanced' is known"
            )
        kept = np.flatnonzero(weights)
        weights[kept] *= compute_sample_weight(self.class_weight, targets.given[kept])
        if not (np.isfinite(weights).all() and (weights[kept] > 0).all()):
            raise ValueError(f"class_weight is {self.class_weight!r}; give finite weights above 0")
        return weights

    def _config(self) -> Config:
        if not isinstance(self.model, str | Path):
            raise TypeError(f"model is {self.model!r:.40}, expected a string, for example 'gru'")
        if self.settings is not None and not isinstance(self.settings, Mapping):
            raise TypeError(f"settings is {self.settings!r:.40}, expected a dict such as {{'model.pooling': 'max'}}")
        if str(self.model) not in recipe_names() and not Path(self.model).suffix:
            raise ConfigError(f"model is {self.model!r:.40}; {nearest(str(self.model), recipe_names())}")
        tables = {section: dict(values) for section, values in read_recipe(str(self.model)).items()}
        balanced = {"training.class_weight": "balanced"} if self.class_weight == "balanced" else {}
        for path, value in (dict(self.settings or {}) | balanced).items():
            section, _, key = str(path).partition(".")
            tables.setdefault(section, {})[key] = _plain(value)
        given = {name: getattr(self, name) for name in _NAMED} | {"seed": self.random_state}
        known = {name: _plain(value) for name, value in given.items() if value is not None}
        return with_known(make_config(**tables), known)


def _plain(value: Any) -> Any:
    """A setting as Python's own number."""
    return value.item() if isinstance(value, np.generic) else value


class _Targets:
    """What `fit` was given as y.

    Attributes:
        form: None where a text has one label; else "matrix" or "lists".
        classes: Every label once, as it was given, sorted; the columns of a matrix.
        names: The same as strings.
        labels: The label of each text by its name; of several, a tuple.
        given: y as an array, where a text has one label.
    """

    def __init__(self, y: Any, known: Mapping[Any, str]) -> None:
        if y is None:
            raise ValueError(
                "TextClassifier requires y to be passed, but the target y is None; give a label for each text"
            )
        columns = label_columns(y)
        self.form = "matrix" if len(columns) > 1 else None
        if self.form:
            named = column_names(y)
            self.classes = np.arange(len(columns)) if named is None else np.array(named)
            self.names = list(map(str, self.classes.tolist()))
            self.labels = [ones(row, self.names) for row in zip(*columns.values(), strict=True)]
            return
        (values,) = columns.values()
        for place, value in enumerate(values):
            if is_missing(value):
                raise ValueError(f"label {place} is missing ({value}); give one, or remove the row")
        if any(isinstance(value, list | tuple | set | frozenset) for value in values):
            self.form = "lists"
            self._read_lists(values, known)
            return
        _check_kinds([*known, *values])
        # pandas' own types, such as Int64, become NumPy's by their values.
        is_array = isinstance(getattr(y, "dtype", None), np.dtype)
        self.given: NDArray[Any] = column_or_1d(y, warn=True) if is_array else np.asarray(_as_held(values))
        if len(self.given):
            check_classification_targets(self.given)
        self.classes, targets = np.unique(self.given, return_inverse=True)
        self.names = _names_of(self.classes.tolist(), known)
        self.labels = [self.names[target] for target in targets.tolist()]

    def _read_lists(self, values: Sequence[Any], known: Mapping[Any, str]) -> None:
        rows = list(map(_labels_of, values))
        every = sorted({label for row in rows for label in row}, key=lambda label: (str(type(label)), label))
        kinds = set(map(type, every))
        self.classes = np.array(every, None if len(kinds) == 1 else object)
        self.names = _names_of(every, known)
        named = dict(zip(every, self.names, strict=True))
        self.labels = [tuple(dict.fromkeys(named[label] for label in sorted(row, key=str))) for row in rows]

    @property
    def is_multilabel(self) -> bool:
        """Whether a text may have several labels."""
        return self.form is not None

    def names_of(self, labels: list[Any]) -> list[str]:
        """The classes that some texts have, in the order of the columns; of a matrix all columns."""
        if self.form == "matrix":
            return self.names
        there = {name for label in labels for name in as_list(label)}
        return [name for name in self.names if name in there]


def _as_held(labels: Sequence[Any]) -> list[Any]:
    """Labels, the members of an Enum as the strings that they hold; NumPy would take their names."""
    return [str.__str__(label) if isinstance(label, str) else label for label in labels]


def _labels_of(value: Any) -> Collection[Any]:
    """The labels of a text as a list or set."""
    if getattr(value, "shape", ()):
        return list(value.tolist())
    return value if isinstance(value, list | tuple | set | frozenset) else (value,)


def _check_kinds(labels: Sequence[Any]) -> None:
    """Make sure that strings and numbers are not mixed: NumPy would make strings of all.

    Raises:
        ValueError: If they are.
    """
    kinds = set(map(type, labels))
    if len({issubclass(kind, str) for kind in kinds}) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"y has labels of several types ({names}); give strings, or numbers")


def _names_of(classes: list[Any], known: Mapping[Any, str]) -> list[str]:
    """The labels as `train` spells them, or as Python does where two would be one; known ones keep their names.

    Raises:
        ValueError: If one is empty or missing, or has the name of another in both ways.
    """
    new = [label for label in classes if label not in known]
    names = list(map(spell, new))
    if len({*names, *known.values()}) < len(names) + len(known):
        names = list(map(str, new))
    if len({*names, *known.values()}) < len(names) + len(known):
        raise ValueError(f"y has labels that differ in their spelling alone ({', '.join(names)}); spell them alike")
    every = {**known, **dict(zip(new, names, strict=True))}
    return [every[label] for label in classes]


def _matrix(rows: list[list[int]], columns: int) -> NDArray[np.int64]:
    """Ones at the given places of each row."""
    matrix = np.zeros((len(rows), columns), np.int64)
    for line, places in zip(matrix, rows, strict=True):
        line[places] = 1
    return matrix


def _check_weights(sample_weight: Any, count: int) -> NDArray[np.float64]:
    weights = np.asarray(1 if sample_weight is None else sample_weight, np.float64)
    if weights.ndim == 0:
        weights = np.full(count, float(weights))
    if weights.shape != (count,):
        raise ValueError(f"sample_weight.shape is {weights.shape}, expected ({count},), a weight for each text")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not (np.isfinite(total) and (weights >= 0).all() and weights.any()):
        problem = "sample_weight holds NaN, infinity, a negative number, numbers with an infinite sum or only zeros"
        raise ValueError(f"{problem}; give 0 or more, some above")
    return weights
