r"""The model object: fastText's own calls, with its argument names, return types and kinds of errors.

Source: fastText 0.9.3, python/fasttext_module/fasttext/FastText.py and pybind/fasttext_pybind.cc. What differs:

- arrays are made as numpy 2 wants them;
- a model from a file has the attributes of its training too (`model.epoch`); what the file does not hold has its default;
- `get_subwords` of a word without any gives an empty array of whole numbers;
- in a file, only "\n" ends a line; a word "</s>" ends what is read of its line, but begins no new one;
- the last line of a file may lack its "\n", and is read as if it was there.

Letters: N texts, V words, L labels, R rows, D numbers in a vector.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from rubrica.artifact.fasttext_file import fault_of, read_fasttext, write_fasttext
from rubrica.errors import FileError, RubricaError
from rubrica.fasttext.arguments import OF_MODEL, LossName, ModelName, Values, from_settings
from rubrica.fasttext.inner import Inner
from rubrica.fasttext.lines import encode, iter_packed, labels_in, pack, pack_one
from rubrica.fasttext.meter import Meter
from rubrica.fasttext.names import Names
from rubrica.fasttext.neighbours import nearest_words, normalise
from rubrica.kernels.fasttext import Engine
from rubrica.models.fasttext import FastText
from rubrica.models.storage import Tensors
from rubrica.text.tokens import Packed

Numbers = NDArray[np.float32]
_MOST_ANSWERS = 1 << 22  # labels that are answered at a time: 32 MB
_END = b"</s>"


class ModelFileError(FileError, ValueError):
    """A file that cannot be read, trained on or written; fastText raises a ValueError."""


@contextmanager
def value_errors() -> Iterator[None]:
    """Turn errors of files into errors that are a ValueError as well."""
    try:
        yield
    except FileError as error:
        raise ModelFileError(error.path, error.problem, line=error.line) from None


class Model:
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
                self._become(*read_fasttext(model_path), args)

    @classmethod
    def of(cls, settings: FastText, tensors: Tensors, args: Values | None = None) -> "Model":
        """A model of its settings and tensors."""
        model = cls()
        model._become(settings, tensors, args)
        return model

    def _become(self, settings: FastText, tensors: Tensors, args: Values | None) -> None:
        self._settings, self._tensors = settings, tensors
        self._args = args or from_settings(settings)
        self._engine = Engine(settings.rules, tensors)
        self._directions: Numbers | None = None
        names, ends, counts = (tensors[f"dictionary.{part}"] for part in ("bytes", "ends", "counts"))
        V = settings.num_words
        cut = int(ends[V - 1]) if V else 0
        self._words = Names(names[:cut], ends[:V], counts[:V])
        self._labels = Names(names[cut:], ends[V:] - cut, counts[V:])

    def __getattr__(self, name: str) -> Any:
        """The arguments of the training: lr, dim, ws, epoch, minCount and so on."""
        if name in OF_MODEL and self.__dict__.get("_args"):
            value = self._args[name]
            return LossName[value] if name == "loss" else value
        raise AttributeError(f"a fastText model has no attribute {name!r}")

    @property
    def f(self) -> Inner:
        """The inner object, for code that calls `model.f.predict` where numpy 2 breaks the outer one."""
        return Inner(self)

    def is_quantized(self) -> bool:
        """Whether the matrices are stored in codes."""
        return self._settings.input_dsub > 0

    def get_dimension(self) -> int:
        """D."""
        return self._settings.embedding_dim

    # Answers -----------------------------------------------------------------------------------------------------

    def predict(
        self, text: str | list[str], k: int = 1, threshold: float = 0.0, on_unicode_error: str = "strict"
    ) -> tuple[Any, Any]:
        r"""The most probable labels of a text or of a list of texts, and their probabilities.

        Args:
            text: A line without its "\n", or a list of lines.
            k: How many labels; -1 gives all.
            threshold: Labels with a lower probability are left out.
            on_unicode_error: What becomes of a label that is not UTF-8: an error handler's name.

        Returns:
            Of a text a tuple of labels and an array of probabilities; of a list two lists of them.

        Raises:
            ValueError: If the model is not supervised, a text holds a "\n", or k is neither -1 nor above 0.
        """
        if isinstance(text, list):
            labels, scores, counts = self._best(pack(text), k, threshold)
            named = self._labels.of(labels, on_unicode_error).tolist() if labels.size else [[] for _ in text]
            if labels.shape[1] and (counts == labels.shape[1]).all():
                return named, list(scores)
            sizes = counts.tolist()
            shorter = [of_text[:size] for of_text, size in zip(named, sizes, strict=True)]
            return shorter, [row[:size] for row, size in zip(scores, sizes, strict=True)]
        pairs = self._predict_one(text, k, threshold)
        return tuple(self._labels.of(pairs[0], on_unicode_error).tolist()), pairs[1].astype(np.float64)

    def _predict_one(self, text: str, k: int, threshold: float) -> tuple[NDArray[np.int32], Numbers]:
        labels, scores, counts = self._best(pack_one(text), k, threshold)
        size = counts.item()
        return labels[0, :size], scores[0, :size]

    def _best(
        self, texts: Packed, k: int, threshold: float
    ) -> tuple[NDArray[np.int32], Numbers, NDArray[np.int32]]:
        if not self._settings.supervised:
            raise ValueError("Model needs to be supervised for prediction; this one holds word vectors")
        if k < 1 and k != -1:
            raise ValueError(f"k needs to be 1 or higher, or -1 for all labels, and is {k}")
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

    # Scores ------------------------------------------------------------------------------------------------------

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
            for texts, labels, scores, counts in self.iter_best(os.fspath(path), k, threshold):
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

    # Words and labels --------------------------------------------------------------------------------------------

    @property
    def words(self) -> list[str]:
        """All words, the most frequent first."""
        return self.get_words()

    @property
    def labels(self) -> list[str]:
        """All labels, the most frequent first."""
        return self.get_labels()

    def get_words(self, include_freq: bool = False, on_unicode_error: str = "strict") -> Any:
        """All words, and with `include_freq` how often each occurred in train."""
        words = self._words.every(on_unicode_error)
        return (words, self._words.counts.copy()) if include_freq else words

    def get_labels(self, include_freq: bool = False, on_unicode_error: str = "strict") -> Any:
        """All labels, and with `include_freq` how often each occurred; of a model of word vectors, its words."""
        if not self._settings.supervised:
            return self.get_words(include_freq, on_unicode_error)
        labels = self._labels.every(on_unicode_error)
        return (labels, self._labels.counts.copy()) if include_freq else labels

    def get_word_id(self, word: str) -> int:
        """The number of a word; labels follow the words; -1 if there is none."""
        return self._engine.word_id(encode(word))

    def get_label_id(self, label: str) -> int:
        """The number of a label, -1 if there is none."""
        number = self.get_word_id(label)
        return number if number == -1 else number - self._settings.num_words

    def get_subword_id(self, subword: str) -> int:
        """The row that a run of characters is hashed to.

        Raises:
            ValueError: If the model reads no characters.
        """
        if not self._settings.num_buckets:
            raise ValueError("the model has no rows for runs of characters (its bucket is 0)")
        return self._engine.subword_id(encode(subword))

    def get_subwords(self, word: str, on_unicode_error: str = "strict") -> tuple[list[str], NDArray[np.int64]]:
        """The word, if it is known, and its runs of characters, with their rows."""
        runs, rows = self._engine.subwords(encode(word))
        return [run.decode("utf-8", on_unicode_error) for run in runs], np.array(rows, np.int64)

    def get_line(self, text: str | list[str], on_unicode_error: str = "strict") -> tuple[Any, Any]:
        r"""The words and labels of a line, or of each line of a list.

        Raises:
            ValueError: If a line holds a "\n".
        """
        if isinstance(text, list):
            pairs = [self.get_line(line, on_unicode_error) for line in text]
            return [words for words, _ in pairs], [labels for _, labels in pairs]
        if "\n" in text:
            raise ValueError("get_line processes one line at a time (remove '\\n')")
        words, labels, num_words = [], [], self._settings.num_words
        prefix = self._settings.rules.label_prefix
        for token in [*encode(text).replace(b"\0", b" ").split(), _END]:
            number = self._engine.word_id(token)
            if number >= num_words:
                labels.append(token.decode("utf-8", on_unicode_error))
            elif number >= 0 or not token.startswith(prefix):  # an unknown label is dropped
                words.append(token.decode("utf-8", on_unicode_error))
            if token == _END:
                break
        return words, labels

    def __contains__(self, word: str) -> bool:
        return 0 <= self.get_word_id(word) < self._settings.num_words

    # Vectors -----------------------------------------------------------------------------------------------------

    def get_word_vector(self, word: str) -> Numbers:
        """The vector (D,) of a word: the mean of its row and of its runs' rows; an unknown word has runs alone."""
        raw = encode(word)
        texts = Packed(np.frombuffer(raw, np.uint8), np.zeros(1, np.int64), np.array([len(raw)]))
        return self._engine.word_vectors(texts)[0]

    def __getitem__(self, word: str) -> Numbers:
        return self.get_word_vector(word)

    def get_sentence_vector(self, text: str) -> Numbers:
        r"""The vector (D,) of a line.

        Raises:
            ValueError: If it holds a "\n".
        """
        return self._engine.sentence_vectors(pack_one(text))[0]

    def get_nearest_neighbors(
        self, word: str, k: int = 10, on_unicode_error: str = "strict"
    ) -> list[tuple[float, str]]:
        """The k words nearest to a word: cosine and word, best first."""
        return self._nearest(self.get_word_vector(word), k, [word], on_unicode_error)

    def get_analogies(
        self,
        wordA: str,  # noqa: N803  # fastText's names
        wordB: str,  # noqa: N803
        wordC: str,  # noqa: N803
        k: int = 10,
        on_unicode_error: str = "strict",
    ) -> list[tuple[float, str]]:
        """The k words nearest to A - B + C: cosine and word, best first."""
        query = np.zeros(self.get_dimension(), np.float32)
        for sign, word in ((1, wordA), (-1, wordB), (1, wordC)):
            vector = self.get_word_vector(word)
            query += np.float32(sign / (float(np.linalg.norm(vector)) + 1e-8)) * vector
        return self._nearest(query, k, [wordA, wordB, wordC], on_unicode_error)

    def _nearest(self, query: Numbers, k: int, without: list[str], errors: str) -> list[tuple[float, str]]:
        if self._directions is None:
            starts = np.concatenate([[0], self._words.ends[:-1]]).astype(np.int64)[: len(self._words.ends)]
            packed = Packed(np.ascontiguousarray(self._words.data), starts, np.ascontiguousarray(self._words.ends))
            self._directions = normalise(self._engine.word_vectors(packed))
        cosines, numbers = nearest_words(self._directions, query, k, [self.get_word_id(word) for word in without])
        return list(zip(cosines.tolist(), self._words.of(numbers, errors).tolist(), strict=True))

    # Matrices ----------------------------------------------------------------------------------------------------

    def get_input_vector(self, ind: int) -> Numbers:
        """A row (D,) of the input.

        Raises:
            IndexError: If there is none.
        """
        if not 0 <= ind < self._settings.num_rows:
            raise IndexError(f"row {ind} of the input, expected 0 to {self._settings.num_rows - 1}")
        return self._engine.row(ind)

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
        tensors = self._tensors | {"input.weight": matrices[0], "output.weight": matrices[1]}
        if problem := fault_of(settings, tensors, len(matrices[1])):
            raise ValueError(problem)
        self._become(settings, tensors, self._args | {"dim": dim})

    # Files and sizes ---------------------------------------------------------------------------------------------

    def save_model(self, path: str | os.PathLike[str]) -> None:
        """Write a file that fastText reads.

        Raises:
            ValueError: If it cannot be written, or the model was never trained.
        """
        if "_settings" not in self.__dict__:
            raise ValueError("Model never trained")
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
        from rubrica.fasttext.training import quantize

        given = {"epoch": epoch, "lr": lr, "thread": thread, "verbose": verbose}
        values = self._args | {name: value for name, value in given.items() if value}
        if retrain and not input:
            raise ValueError("Need input file path if retraining")
        values["input"] = os.fspath(input or "")
        with value_errors():
            settings, tensors = quantize(
                self._settings, self._tensors, values, qout=qout, cutoff=cutoff, retrain=retrain, dsub=dsub, qnorm=qnorm
            )
        self._become(settings, tensors, self._args)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Open a file of fastText's.

    Raises:
        ValueError: If it cannot be read.
    """
    return Model(path)
