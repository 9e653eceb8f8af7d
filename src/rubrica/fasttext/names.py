"""The words and labels of a model as strings, decoded when they are asked for.

Letters: N names.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.fasttext.lines import slices


class Names:
    """N names that lie one after the other.

    Args:
        data: Their bytes.
        ends: Where each ends (N,).
        counts: How often each occurred in train (N,).
    """

    def __init__(self, data: NDArray[np.uint8], ends: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        self.data, self.ends, self.counts = data, ends, counts
        self._decoded: dict[str, tuple[NDArray[Any], bool]] = {}
        self._raw: list[bytes] | None = None

    @property
    def raw(self) -> list[bytes]:
        """The bytes of each."""
        if self._raw is None:
            self._raw = slices(self.data, self.ends)
        return self._raw

    def of(self, numbers: Any, errors: str) -> NDArray[Any]:
        """The strings with these numbers, an array of any shape.

        Raises:
            UnicodeDecodeError: If one of them is not UTF-8, and `errors` is "strict".
        """
        decoded, broken = self._decode(errors)
        found = decoded[numbers]
        if broken:
            for name in found.flat:
                if isinstance(name, UnicodeDecodeError):
                    raise name
        return found

    def every(self, errors: str) -> list[str]:
        """All of them; raises as `of` does."""
        return self.of(slice(None), errors).tolist()

    def _decode(self, errors: str) -> tuple[NDArray[Any], bool]:
        """Each as a string, or as the error that it raises; and whether there is an error."""
        if errors not in self._decoded:
            decoded, broken = np.empty(len(self.raw), object), False
            for i, name in enumerate(self.raw):
                try:
                    decoded[i] = name.decode("utf-8", errors)
                except UnicodeDecodeError as error:
                    decoded[i], broken = error, True
            self._decoded[errors] = decoded, broken
        return self._decoded[errors]
