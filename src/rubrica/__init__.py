"""Small, fast text classifiers.

import rubrica

model = rubrica.load("news-model")            # needs no torch
model.predict(["Oil prices fall"])            # ["Business"]
model.predict_proba(["Oil prices fall"])      # (1, C) float32, columns as in model.labels

model = rubrica.train("news.csv", out="news-model")   # needs rubrica[train]
"""

from typing import TYPE_CHECKING, Any

from rubrica.errors import RubricaError

if TYPE_CHECKING:
    from rubrica.estimator import TextClassifier as TextClassifier
    from rubrica.learning.train import train
    from rubrica.models.config import Config, load_recipe, make_config
    from rubrica.predict.classifier import Classifier, load

__version__ = "0.1.0"
__all__ = ["load", "train", "Classifier", "Config", "make_config", "load_recipe", "RubricaError", "__version__"]

# What is heavy (numpy, torch) is imported at its first use.
_LATE = {
    "load": "rubrica.predict.classifier",
    "Classifier": "rubrica.predict.classifier",
    "train": "rubrica.learning.train",
    "TextClassifier": "rubrica.estimator",
    "Config": "rubrica.models.config",
    "load_recipe": "rubrica.models.config",
    "make_config": "rubrica.models.config",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'rubrica' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "TextClassifier"]  # not in __all__: `import *` would need scikit-learn
