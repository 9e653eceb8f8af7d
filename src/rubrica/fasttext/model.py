r"""The model object: fastText's own calls, with its argument names, return types and kinds of errors.

Source: fastText 0.9.3, python/fasttext_module/fasttext/FastText.py and pybind/fasttext_pybind.cc. What differs:

- arrays are made as numpy 2 wants them;
- a model from a file has the attributes of its training too (`model.epoch`), or their defaults;
- `get_subwords` of a word without any gives an empty array of whole numbers;
- in a file, only "\n" ends a line; a word "</s>" ends what is read of its line, but begins no new one;
- the last line of a file may lack its "\n", and is read as if it was there.

Letters: N texts, V words, L labels, R rows, D numbers in a vector.
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from rubrica.artifact.fasttext_file import read_fasttext, write_fasttext
from rubrica.data.arrow_texts import text_column
from rubrica.fasttext.arguments import OF_MODEL, LossName, Values, from_settings, typed
from rubrica.fasttext.faults import ArgumentError, check_folder, given_path, value_errors
from rubrica.fasttext.inner import Inner
from rubrica.fasttext.lexicon import Lexicon, Numbers
from rubrica.fasttext.limits import check_limits
from rubrica.fasttext.lines import iter_packed, iter_stretches, labels_in, no_string, pack_one
from rubrica.fasttext.meter import Meter
from rubrica.kernels.fasttext_rules import fault_of
from rubrica.models.fasttext import CENTROIDS, FastText
from rubrica.models.storage import Tensors
from rubrica.text.tokens import Packed

_MOST_ANSWERS = 1 << 22  # labels that are answered at a time: 32 MB


class Model(Lexicon):
    """A model of fastText's.

    Args:
        model_path: A file of fastText's, `.bin` or `.ftz`.
        args: The arguments that it was trained with.

    Raises:
        ValueError: If the file cannot be read.
    """

    def __init__(self, model_path: str | os.PathLike[str] | None = None, args: Values | None = None) -> None:
        self._args = args or {}
        if model_path is not None:
            with value_errors():
                self._become(*read_fasttext(given_path(model_path)), args)

    @classmethod
    def of(cls, settings: FastText, tensors: Tensors, args: Values | None = None) -> "Model":
        """A model of its settings and tensors."""
        model = cls()
        model._become(settings, tensors, args)
        return model

    def _become(self, settings: FastText, tensors: Tensors, args: Values | None) -> None:
        self._args = args or from_settings(settings)
        self._open(settings, tensors)

    def __getattr__(self, name: str) -> Any:
        """The arguments of the training: lr, dim, ws, epoch, minCount and so on."""
        if name in OF_MODEL and self.__dict__.get("_args"):
            value = self._args[name]
            return LossName[value] if name == "loss" else value
        raise AttributeError(f"a fastText model has no attribute {name!r}")

    @property
    def arguments(self) -> Values:
        """The arguments of the training by their names."""
        return dict(self._args)

    @property
    def f(self) -> Inner:
        """The inner object, for code that calls `model.f.predict` where numpy 2 breaks the outer one."""
        return Inner(self)

    def predict(
        self, text: Any, k: int = 1, threshold: float = 0.0, on_unicode_error: str = "strict"
    ) -> tuple[Any, Any]:
        r"""The most probable labels of a text or of a list of texts, and their probabilities.

        Args:
            text: A line without its "\n", or a list of lines, or a column of pyarrow, polars or pandas.
            k: How many labels; -1 gives all.
            threshold: Labels with a lower probability are left out.
            on_unicode_error: What becomes of a label that is not UTF-8: an error handler's name.

        Returns:
            Of a text a tuple of labels and an array of probabilities; of a list two lists of them.

        Raises:
            TypeError: If a text is no string, or k or the threshold no number.
            ValueError: If the model is not supervised, a text holds a "\n", or k is neither -1 nor above 0.
        """
        if isinstance(text, bytes):
            raise no_string(text)
        if not isinstance(text, str):
            lines = text if isinstance(text, list) else text_column(text)
            stretches = [self._named(texts, k, threshold, on_unicode_error) for texts in iter_stretches(lines)]
            return [row for rows, _ in stretches for row in rows], [row for _, rows in stretches for row in rows]
        labels, scores, counts = self._best(pack_one(text), k, threshold)
        size = counts.item()
        return tuple(self._labels.of(labels[0, :size], on_unicode_error)), scores[0, :size].astype(np.float64)

    def _named(self, texts: Packed, k: int, threshold: float, on_unicode_error: str) -> tuple[list[Any], list[Any]]:
        """The best labels of some texts by name, and their probabilities."""
        labels, scores, counts = self._best(texts, k, threshold)
        named = self._labels.of(labels, on_unicode_error).tolist() if labels.size else [[] for _ in counts]
        if labels.shape[1] and (counts == labels.shape[1]).all():
            return named, list(scores)
        sizes = counts.tolist()
        shorter = [of_text[:size] for of_text, size in zip(named, sizes, strict=True)]
        return shorter, [row[:size] for row, size in zip(scores, sizes, strict=True)]

    def _best(self, texts: Packed, k: int, threshold: float) -> tuple[NDArray[np.int32], Numbers, NDArray[np.int32]]:
        if not self._settings.supervised:
            raise ValueError("Model needs to be supervised for prediction; this one holds word vectors")
        k, threshold = typed("k", k), typed("threshold", threshold)
        if k < 1 and k != -1:
            raise ArgumentError("k", f"needs to be 1 or higher, or -1 for all labels, and is {k}")
        found = self._engine.best(texts, k, threshold)
        return found.labels, found.scores, found.counts

    def iter_best(
        self, path: str, k: int, threshold: float
    ) -> Iterator[tuple[Packed, NDArray[np.int32], Numbers, NDArray[np.int32]]]:
        """The lines of a file ("-": standard input) some at a time, with the labels, scores and counts of the best.

        Raises:
            DataError: If the file cannot be read.
            ValueError: As `predict` does.
        """
        width = self._settings.num_labels if k == -1 else max(1, k)
        for texts in iter_packed(path, max(1, _MOST_ANSWERS // max(1, width))):
            yield texts, *self._best(texts, k, threshold)

    def test(self, path: str, k: int = 1, threshold: float = 0.0) -> tuple[int, float, float]:
        """How many lines of a file have labels, and the precision and recall of the k best labels.

        Raises:
            ValueError: If the file cannot be read, or the model is not supervised.
        """
        meter = self.measure(path, k, threshold)
        scores = meter.scores()
        return meter.num_texts, scores.precision, scores.recall

    def test_label(self, path: str, k: int = 1, threshold: float = 0.0) -> dict[str, dict[str, float]]:
        """Precision, recall and F1 of each label; what was never met is NaN. Raises as `test` does."""
        meter = self.measure(path, k, threshold)
        found = {}
        for i, label in enumerate(self._labels.every("strict")):
            scores = meter.scores(i)
            found[label] = {"precision": scores.precision, "recall": scores.recall, "f1score": scores.f1}
        return found

    def get_meter(self, path: str, k: int = -1) -> Meter:
        """What curves of precision and recall are drawn of. Raises as `test` does."""
        return self.measure(path, k, 0.0, keeps_scores=True)

    def measure(self, path: str, k: int, threshold: float, *, keeps_scores: bool = False) -> Meter:
        """Count the answers for the lines of a file. Raises as `test` does."""
        meter = Meter(self._settings.num_labels, self.get_label_id, keeps_scores=keeps_scores)
        label_ids = self.label_ids
        with value_errors():
            for texts, labels, scores, counts in self.iter_best(given_path(path), k, threshold):
                gold = labels_in(texts, label_ids)
                skip = np.zeros(len(counts), bool)
                for i in np.intersect1d(np.flatnonzero(counts == 0), gold[0]).tolist():
                    line = texts.data[texts.starts[i] : texts.ends[i]].tobytes()
                    skip[i] = not len(self._engine.line(line)[0])
                meter.add(gold, labels, scores, counts, skip=skip)
        return meter

    @property
    def label_ids(self) -> dict[bytes, int]:
        """The number of each label."""
        return {name: i for i, name in enumerate(self._labels.raw)}

    def get_input_vector(self, ind: int) -> Numbers:
        """A row (D,) of the input.

        Raises:
            IndexError: If there is none.
        """
        if not 0 <= ind < self._settings.num_rows:
            raise IndexError(f"row {ind} of the input, expected 0 to {self._settings.num_rows - 1}")
        if not self.is_quantized():
            return np.array(self._tensors["input.weight"][ind])
        return self._decode(ind)

    def _decode(self, row: int) -> Numbers:
        """A quantised row (D,) of the input; the centroids of a part lie together, see `models/fasttext.py`."""
        dim, dsub = self._settings.embedding_dim, self._settings.input_dsub
        centroids, parts = self._tensors["input.centroids"], []
        for first, code in zip(range(0, dim, dsub), self._tensors["input.codes"][row].tolist(), strict=True):
            width = min(dsub, dim - first)
            place = first * CENTROIDS + code * width
            parts.append(centroids[place : place + width])
        found = np.concatenate(parts)
        if "input.norm_codes" in self._tensors:
            found = found * self._tensors["input.norm_centroids"][self._tensors["input.norm_codes"][row]]
        return found

    def get_input_matrix(self) -> Numbers:
        """A copy of the input (R, D).

        Raises:
            ValueError: If the model is quantised.
        """
        return self._matrix("input")

    def get_output_matrix(self) -> Numbers:
        """A copy of the output: a row a label, or a word where the model is not supervised. Raises as above."""
        return self._matrix("output")

    def _matrix(self, side: str) -> Numbers:
        if self.is_quantized():
            raise ValueError("Can't get quantized Matrix")
        return np.array(self._tensors[f"{side}.weight"])

    def set_matrices(self, input_matrix: NDArray[Any], output_matrix: NDArray[Any]) -> None:
        """Take other matrices; their rows stay as many, their width may change.

        Raises:
            ValueError: If they do not fit the model.
        """
        if self.is_quantized():
            raise ValueError("Can't set the matrices of a quantized model")
        matrices = [np.array(matrix, np.float32, order="C") for matrix in (input_matrix, output_matrix)]
        if any(matrix.ndim != 2 for matrix in matrices) or matrices[0].shape[1] != matrices[1].shape[1]:
            shapes = " and ".join(str(matrix.shape) for matrix in matrices)
            raise ValueError(f"matrices of shape {shapes}, expected two with rows of the same length")
        rows, dim = matrices[0].shape
        settings = structs.replace(self._settings, embedding_dim=dim, num_rows=rows)
        tensors = dict(self._tensors) | {"input.weight": matrices[0], "output.weight": matrices[1]}
        if problem := fault_of(settings.rules, tensors):
            raise ValueError(problem)
        self._become(settings, tensors, self._args | {"dim": dim})

    def save_model(self, path: str | os.PathLike[str]) -> None:
        """Write a file that fastText reads.

        Raises:
            ValueError: If it cannot be written, there is no such folder, or the model was never trained.
        """
        if "_settings" not in self.__dict__:
            raise ValueError("Model never trained")
        path = check_folder(given_path(path))
        with value_errors():
            write_fasttext(structs.replace(self._settings, version=12), self._tensors, path)

    def quantize(
        self,
        input: str | os.PathLike[str] | None = None,
        qout: bool = False,
        cutoff: int = 0,
        retrain: bool = False,
        epoch: int | None = None,
        lr: float | None = None,
        thread: int | None = None,
        verbose: int | None = None,
        dsub: int = 2,
        qnorm: bool = False,
    ) -> None:
        """Make the model smaller: rows become codes, and with a cutoff only the longest rows stay.

        Args:
            input: The file to train on again.
            qout: Whether the output becomes codes too.
            cutoff: Rows that stay; 0 keeps all.
            retrain: Whether the rows that stay are trained again; needs `input`.
            epoch: Passes of the new training; as before if None.
            lr: Its step size; as before if None.
            thread: Its threads; as before if None.
            verbose: 2 shows its progress; as before if None.
            dsub: Numbers of a part that becomes one code.
            qnorm: Whether the lengths of rows are stored by themselves.

        Raises:
            ValueError: If the model is not supervised, or is quantised, or `retrain` has no `input`.
        """
        from rubrica.fasttext.fitting import Codes, compress

        given = {"epoch": epoch, "lr": lr, "thread": thread, "verbose": verbose}
        values = self._args | {name: value for name, value in given.items() if value}
        if not self._settings.supervised:
            raise ValueError("For now we only support quantization of supervised models")
        if self.is_quantized():
            raise ValueError("the model is quantized already")
        if retrain and not input:
            raise ValueError("Need input file path if retraining")
        values["input"] = os.fspath(input or "")
        learned = {name: values[name] for name in ("lr", "epoch", "thread")} if retrain else {}
        check_limits({"dsub": dsub, "cutoff": cutoff} | learned)
        codes = Codes(qout=qout, cutoff=cutoff, retrain=retrain, dsub=dsub, qnorm=qnorm)
        with value_errors():
            self._become(*compress(self._settings, dict(self._tensors), values, codes), self._args)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Open a file of fastText's.

    Raises:
        ValueError: If it cannot be read.
    """
    return Model(path)
