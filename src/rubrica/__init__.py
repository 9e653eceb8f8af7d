"""Small, fast text classifiers.

import rubrica

model = rubrica.load("news-model")            # needs no torch
model.predict(["Oil prices fall"])            # ["Business"]
model.predict_proba(["Oil prices fall"])      # (1, C) float32, columns as in model.labels

model = rubrica.train("news.csv")             # needs rubrica[train]; or a DataFrame, or texts and labels
model.save("news-model")
"""

from typing import TYPE_CHECKING, Any

from rubrica.errors import RubricaError

if TYPE_CHECKING:
    from rubrica.data.dataset import Dataset, read_dataset
    from rubrica.estimator import TextClassifier as TextClassifier
    from rubrica.insight.explanations.explain import Explanation, explain
    from rubrica.learning.train import train
    from rubrica.models.config import Config, load_recipe, make_config
    from rubrica.predict.classifier import Classifier, load
    from rubrica.tuning.tune import tune
    from rubrica.vectors.stored import load_vectors
    from rubrica.vectors.word_vectors import Vectors

__version__ = "0.1.0"
__all__ = [
    "Classifier", "Config", "Dataset", "Explanation", "RubricaError", "Vectors", "__version__",
    "explain", "load", "load_recipe", "load_vectors", "make_config", "read_dataset", "train", "tune",
]  # fmt: skip

# What is heavy (numpy, torch) is imported at its first use.
_LATE = {
    "load": "rubrica.predict.classifier",
    "Classifier": "rubrica.predict.classifier",
    "train": "rubrica.learning.train",
    "tune": "rubrica.tuning.tune",
    "Dataset": "rubrica.data.dataset",
    "read_dataset": "rubrica.data.dataset",
    "Vectors": "rubrica.vectors.word_vectors",
    "load_vectors": "rubrica.vectors.stored",
    "TextClassifier": "rubrica.estimator",
    "Config": "rubrica.models.config",
    "load_recipe": "rubrica.models.config",
    "make_config": "rubrica.models.config",
    "explain": "rubrica.insight.explanations.explain",
    "Explanation": "rubrica.insight.explanations.explain",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'rubrica' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "TextClassifier"]  # not in __all__: `import *` would need scikit-learn
