"""Rubrica in scikit-learn: a classifier of texts with `fit`, `predict` and `predict_proba`.

It keeps scikit-learn's contract for estimators (https://scikit-learn.org/stable/developers/develop.html), so it goes
into `Pipeline`, `GridSearchCV`, `cross_val_score` and `CalibratedClassifierCV`. One difference: X is a column of texts,
and what has two dimensions is refused.

Letters: N texts, C classes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rubrica.data.dataset import Dataset, Examples
from rubrica.errors import ConfigError, nearest, require
from rubrica.learning.train import train_dataset
from rubrica.models.config import Config, make_config, read_recipe, recipe_names, with_known
from rubrica.models.families import DEFAULT
from rubrica.predict.classifier import Classifier
from rubrica.scoring.tasks import task_of
from rubrica.vectors.word_vectors import Vectors

require("sklearn", "sklearn")

from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402 (after the sentence that says what to install)
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
        classes_: The C labels, sorted.
        classifier_: The trained `rubrica.Classifier`; `rubrica.artifact.folder.save_artifact` writes its `artifact`.
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
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on texts; what was learned before is forgotten.

        Args:
            X: N texts: a list, a NumPy array, a column of pandas or pyarrow.
            y: The label of each: strings, integers or booleans.
            sample_weight: How much each text counts in training, at least 0; a text of weight 0 is left out. The scale
                has no effect: weights are divided by their mean.

        Raises:
            TypeError: If X holds something else than strings.
            ValueError: If X and y do not fit each other, hold nothing, gaps, or one class only; for a bad setting.
        """
        config = self._config()
        texts, labels = _check_texts(X), _check_labels(y)
        if not texts or len(texts) != len(labels):
            raise ValueError(f"found {len(texts)} texts and {len(labels)} labels; give a label for each, at least one")
        weights = _check_weights(sample_weight, len(texts))
        if not weights.all():
            kept = np.flatnonzero(weights)
            texts, labels, weights = [texts[row] for row in kept.tolist()], labels[kept], weights[kept]
        by_class = None if self.class_weight == "balanced" else self.class_weight  # that is a setting, see `_config`
        weights = weights * compute_sample_weight(by_class, labels)
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise ValueError(f"class_weight is {self.class_weight!r}; give finite weights above 0")
        classes, targets = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"y has one class only ({classes.tolist()[0]!r}); give texts of at least two classes")
        names = [str(label) for label in classes.tolist()]
        examples = Examples(texts, [names[target] for target in targets.tolist()])
        data = Dataset("X", {"train": examples}, ("text",), "label", task_of(names, lists=False))
        counts = None if weights.min() == weights.max() else (weights / weights.mean()).astype(np.float32)
        _, artifact = train_dataset(data, self.vectors, config, counts)
        self.classifier_ = Classifier(artifact)
        self.classes_ = classes
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each text, (N,).

        Raises:
            NotFittedError: Before `fit`.
        """
        places = self.predict_proba(X).argmax(axis=1)  # first, since `classes_` is there only after `fit`
        return self.classes_[places]

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities (N, C), columns as in `classes_`.

        Raises:
            NotFittedError: Before `fit`.
        """
        check_is_fitted(self)
        return self.classifier_.predict_proba(_check_texts(X))

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


def _items(values: Any, kind: str, advice: str) -> list[Any]:
    """The items of a column as Python's own; the advice is for an item that is missing."""
    if isinstance(values, str | bytes | Mapping | set) or not hasattr(values, "__len__"):
        raise TypeError(f"{kind}s is {values!r:.40}, expected a list of {kind}s; pass a list, or a column of a table")
    shape = getattr(values, "shape", (0,))
    if len(shape) != 1:
        raise ValueError(f"{kind}s have shape {tuple(shape)}, expected one dimension; pass one column of the table")
    for name in ("tolist", "to_pylist", "to_list"):  # of NumPy and pandas, pyarrow, polars
        if hasattr(values, name):
            values = getattr(values, name)()
    items = list(values)
    for place, item in enumerate(items):
        # None, NaN, or what pandas writes for them.
        if item is None or (not isinstance(item, str) and str(item) in ("nan", "NaN", "NaT", "<NA>")):
            raise ValueError(f"{kind} {place} is missing ({item}); {advice}, or remove the row")
    return items


def _check_texts(X: Any) -> list[str]:
    texts = _items(X, "text", "write an empty string")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {place} is {text!r:.40} ({type(text).__name__}), expected a string")
    return texts


def _check_labels(y: Any) -> NDArray[Any]:
    if y is None:
        raise ValueError("TextClassifier requires y to be passed, but the target y is None; give a label for each text")
    if len(getattr(y, "shape", (0,))) == 1:  # scikit-learn explains the others, and takes a single column
        _items(y, "label", "give one")
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    if len(labels):
        check_classification_targets(labels)
    return labels


def _check_weights(sample_weight: Any, count: int) -> NDArray[np.float64]:
    weights = np.asarray(1 if sample_weight is None else sample_weight, np.float64)
    if weights.ndim == 0:
        weights = np.full(count, float(weights))
    if weights.shape != (count,):
        raise ValueError(f"sample_weight.shape is {weights.shape}, expected ({count},), a weight for each text")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        problem = "sample_weight holds NaN, infinity, a negative number or only zeros"
        raise ValueError(f"{problem}; give 0 or more, some above")
    return weights
