"""The few calls of fastText's inner object that code uses, mostly to go around its break under numpy 2.

Source: fastText 0.9.3, python/fasttext_module/fasttext/pybind/fasttext_pybind.cc.
"""

from types import SimpleNamespace
from typing import Any, Protocol


class Outer(Protocol):
    """What is asked of the model."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Of its training."""

    def predict(self, text: Any, k: int, threshold: float, on_unicode_error: str) -> tuple[Any, Any]:
        """Labels and probabilities."""

    def is_quantized(self) -> bool:
        """Whether the matrices are stored in codes."""


class Inner:
    r"""Calls of a model as the C++ binding has them; lines end in "\n".

    Args:
        model: The model.
    """

    def __init__(self, model: Outer) -> None:
        self._model = model

    def predict(
        self, text: str, k: int = 1, threshold: float = 0.0, on_unicode_error: str = "strict"
    ) -> list[tuple[float, str]]:
        """Pairs of probability and label, best first."""
        labels, scores = self._model.predict(text.partition("\n")[0], k, threshold, on_unicode_error)
        return list(zip(scores.tolist(), labels, strict=True))

    def multilinePredict(  # noqa: N802  # fastText's name
        self, lines: list[str], k: int = 1, threshold: float = 0.0, on_unicode_error: str = "strict"
    ) -> tuple[Any, Any]:
        """Lists of labels, and arrays of probabilities."""
        return self._model.predict([line.partition("\n")[0] for line in lines], k, threshold, on_unicode_error)

    def getArgs(self) -> SimpleNamespace:  # noqa: N802
        """The arguments of the training."""
        return SimpleNamespace(**self._model.arguments)

    def isQuant(self) -> bool:  # noqa: N802
        """Whether the matrices are stored in codes."""
        return self._model.is_quantized()
