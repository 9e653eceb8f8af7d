"""A fastText model: the mean of the rows of a text's words, of runs of their characters and of runs of words.

Source: P. Bojanowski et al., TACL 2017, https://arxiv.org/abs/1607.04606, and A. Joulin et al., EACL 2017,
https://arxiv.org/abs/1607.01759; how a text is read, `native/fasttext.h`. The answers are those of fastText 0.9.3.
A model comes from fastText's own file (`artifact/fasttext_file.py`) or from `rubrica.fasttext`.

    dictionary.bytes    uint8 (S,)      the V words, then the L labels, one after the other
    dictionary.ends     int64 (V + L,)  where each ends
    dictionary.counts   int64 (V + L,)  how often each occurred in train
    prune.buckets       int32 (P,)      the buckets that a pruned model kept, sorted
    prune.rows          int32 (P,)      the row of each, counted from V
    input.weight        float32 (R, D)  the rows: V of words, then of buckets
    output.weight       float32 (O, D)  a row a label; of an unsupervised model, a row a word

A quantised matrix has, in place of its weight, `codes` uint8 (R, M) and `centroids` float32 (256 * D,), and with
norms `norm_codes` uint8 (R,) and `norm_centroids` float32 (256,). A row is cut into M parts of `dsub` numbers, the last
of what is left; the centroids of a part lie together, 256 of them one after the other.

Letters: N texts, V words, L labels, R rows, O rows of the output, D numbers in a row, M parts of a row, P buckets,
S bytes.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from weakref import WeakValueDictionary

import numpy as np
from msgspec import Meta

from rubrica.config.groups import DataSettings, SgdTraining, Training
from rubrica.models.family import Facts, Family, Floats, Inputs, Scorer, Shapes, Size, Sizes
from rubrica.models.storage import Tensors
from rubrica.text.tokens import pack

if TYPE_CHECKING:
    from rubrica.kernels.fasttext import Engine
    from rubrica.kernels.fasttext_rules import Rules

Word = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""A setting of training that the file carries and no answer depends on."""
Length = Annotated[int, Meta(ge=0, le=1000)]
"""Of a run. fastText sets no limit, but one token of 1 MB has 10^9 runs of up to 1,000 characters, a second of work."""
Many = Annotated[int, Meta(ge=0, le=2**31 - 1)]

_OPEN: "WeakValueDictionary[int, Engine]" = WeakValueDictionary()
"""Engines that somebody uses, by their tensors: to open one of millions of words takes a second."""
_LEAST_SCORE = np.float32(1e-30)  # of a text without rows, so that no logit is infinite
CENTROIDS = 256  # of a part: a code is a byte


class FastText(Family, frozen=True, kw_only=True):
    """The settings of a fastText model; in brackets the name in fastText's file."""

    training: ClassVar[type[Training]] = SgdTraining
    reads_words: ClassVar[bool] = False
    reads_raw: ClassVar[bool] = True
    logits_are_scores: ClassVar[bool] = True
    data_defaults: ClassVar[dict[str, Any]] = {"lowercase": False, "split_unspaced": False}
    last_layer: ClassVar[tuple[str, ...]] = ()
    can_continue: ClassVar[bool] = True
    is_baseline: ClassVar[bool] = True

    name: Literal["fasttext"] = "fasttext"
    kind: Literal["supervised", "skipgram", "cbow"] = "supervised"
    """What it was trained for (model)."""
    loss: Literal["softmax", "hs", "ns", "ova"] = "softmax"
    """How scores are made of the output matrix (loss)."""
    embedding_dim: Size = 100
    """D, numbers in a row (dim)."""
    min_n: Length = 0
    """The shortest run of characters that has a row (minn)."""
    max_n: Length = 0
    """The longest (maxn); 0 reads no characters."""
    word_ngrams: Length = 1
    """The longest run of words that has a row (wordNgrams)."""
    num_buckets: Many = 0
    """Rows that runs are hashed into (bucket)."""
    label_prefix: str = "__label__"
    """What begins a label in a text. The file does not hold it."""
    pruned: bool = False
    """Whether only some buckets are left (pruneidx_size of 0 or more)."""
    input_dsub: Many = 0
    """Numbers of a part of a quantised row of the input; 0 where the rows are float32."""
    output_dsub: Many = 0
    """The same of the output."""
    input_norms: bool = False
    """Whether the lengths of the input's rows are quantised by themselves (qnorm)."""
    output_norms: bool = False
    """The same of the output."""
    num_words: Many = 0
    """V (nwords)."""
    num_labels: Many = 0
    """L (nlabels). An unsupervised model has labels too if its texts held some; it does nothing with them."""
    num_rows: Many = 0
    """R."""
    num_pruned: Many = 0
    """P."""
    num_bytes: Annotated[int, Meta(ge=0, le=2**62)] = 0
    """S."""

    window: Word = 5
    """Carried: words on each side (ws)."""
    negatives: Word = 5
    """Carried: words or labels drawn against each right one (neg)."""
    min_count: Word = 1
    """Carried: a rarer word has no row (minCount)."""
    sampling: Annotated[float, Meta(ge=-1e300, le=1e300)] = 1e-4
    """Carried: a more frequent word is sometimes passed over (t)."""
    file_epochs: Word = 5
    """Carried: passes over train (epoch)."""
    lr_update_rate: Word = 100
    """Carried: tokens between two step sizes (lrUpdateRate)."""
    num_tokens: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] = 0
    """Carried: words of train (ntokens)."""
    version: Literal[11, 12] = 12
    """Of the file's format. A supervised model of version 11 reads no characters, whatever its file says."""

    @property
    def supervised(self) -> bool:
        """Whether it has labels to answer with."""
        return self.kind == "supervised"

    @property
    def takes_labels(self) -> bool:
        """See `Family.takes_labels`: another tree of labels would have other nodes."""
        return self.loss != "hs"

    @property
    def num_outputs(self) -> int:
        """O, rows of the output."""
        return self.num_labels if self.supervised else self.num_words

    @property
    def input_parts(self) -> int:
        """M of the input; 0 where its rows are float32."""
        return parts_of(self.embedding_dim, self.input_dsub)

    @property
    def output_parts(self) -> int:
        """M of the output; 0 where its rows are float32."""
        return parts_of(self.embedding_dim, self.output_dsub)

    @property
    def rules(self) -> "Rules":
        """What the kernels need to know."""
        from rubrica.kernels.fasttext_rules import Rules  # late, as the engine: most models are none of fastText's

        return Rules(
            min_n=self.min_n,
            max_n=self.max_n,
            word_ngrams=self.word_ngrams,
            num_buckets=self.num_buckets,
            loss=self.loss,
            label_prefix=self.label_prefix.encode("utf-8", "surrogateescape"),
            supervised=self.supervised,
            pruned=self.pruned,
            num_words=self.num_words,
            embedding_dim=self.embedding_dim,
            input_dsub=self.input_dsub,
            output_dsub=self.output_dsub,
        )

    def shapes(self, sizes: Sizes) -> Shapes:
        entries, numbers = self.num_words + self.num_labels, self.embedding_dim
        found: Shapes = {
            "dictionary.bytes": (self.num_bytes,),
            "dictionary.ends": (entries,),
            "dictionary.counts": (entries,),
            "prune.buckets": (self.num_pruned,),
            "prune.rows": (self.num_pruned,),
        }
        for side, rows, parts, norms in (
            ("input", self.num_rows, self.input_parts, self.input_norms),
            ("output", self.num_outputs, self.output_parts, self.output_norms),
        ):
            if not parts:
                found[f"{side}.weight"] = rows, numbers
                continue
            found |= {f"{side}.codes": (rows, parts), f"{side}.centroids": (CENTROIDS * numbers,)}
            if norms:
                found |= {f"{side}.norm_codes": (rows,), f"{side}.norm_centroids": (CENTROIDS,)}
        return found

    def open(self, tensors: Tensors, data: DataSettings) -> Scorer:
        """See `Family.open`. A logit is the logarithm of fastText's score; of ova, what a sigmoid makes the score of.

        Raises:
            RubricaError: If the tensors do not fit the settings.
        """
        engine = self._engine(tensors)

        def logits(inputs: Inputs) -> Floats:
            scores = np.maximum(engine.scores(pack(inputs.texts)), _LEAST_SCORE)
            if self.loss != "ova":
                return np.log(scores)
            scores = np.minimum(scores, 1 - np.float32(2**-24))  # fastText's may be 1.00001
            return np.log(scores) - np.log1p(-scores)

        return logits

    def features(self, tensors: Tensors, inputs: Inputs) -> Floats:
        """FastText's sentence vectors, (N, D)."""
        return self._engine(tensors).sentence_vectors(pack(inputs.texts))

    def _engine(self, tensors: Tensors) -> "Engine":
        """The engine of these tensors: the one that is open already, if there is one."""
        from rubrica.kernels.fasttext import Engine

        rules, engine = self.rules, _OPEN.get(id(tensors))
        if engine is None or engine.tensors is not tensors or engine.rules != rules:
            engine = _OPEN[id(tensors)] = Engine(rules, tensors)
        return engine

    def describe(self, facts: Facts) -> str:
        characters = f", runs of {self.min_n} to {self.max_n} characters" if self.max_n else ""
        runs = f", runs of 2 to {self.word_ngrams} words" if self.word_ngrams > 1 else ""
        stored = f", quantised in parts of {self.input_dsub}" if self.input_dsub else ""
        return (
            f"fastText's model: {self.num_words} words{characters}{runs}; {self.num_rows} rows of {self.embedding_dim}"
            f" numbers{stored}; loss {self.loss}."
        )


def parts_of(numbers: int, dsub: int) -> int:
    """How many parts a quantised row has; 0 where `dsub` is 0."""
    return -(-numbers // dsub) if dsub else 0
