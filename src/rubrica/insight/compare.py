"""Two models side by side: what differs in how they were made, and whether their scores differ beyond chance.

Both answer the same texts. McNemar's exact test (Q. McNemar, 1947, https://doi.org/10.1007/BF02295996) looks at the
texts that only one of them answers rightly: of equally good models, each is as likely to be that one. The interval of
the difference is a paired bootstrap's: texts are drawn with replacement, the same for both models.

Letters: N texts.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.artifact.folder import Artifact
from rubrica.config.schema import flat
from rubrica.data.dataset import Dataset, Examples, read_dataset
from rubrica.data.stored_texts import hash_of_texts
from rubrica.errors import DataError, RubricaError, quote_names, require
from rubrica.predict.classifier import Classifier
from rubrica.scoring.metrics import f1_score
from rubrica.scoring.tasks import check_labels

log = logging.getLogger(__name__)

_LEVEL = 0.05
_VERDICTS = (
    "no difference beyond chance",
    "at the edge of chance: more texts would tell",
    "a difference beyond chance",
)
_RESAMPLES = 2000


def compare(first: Classifier, second: Classifier, examples: Examples) -> dict[str, Any]:
    """The scores of both models on the same texts, and how sure it is that they differ; ready for JSON.

    The score is accuracy; where a text may have several labels, micro-F1, of which accuracy is a case.

    Raises:
        RubricaError: If scipy is not installed, or one model gives one label and the other several.
    """
    stats = require("scipy.stats", "report")
    for model in (first, second):
        check_labels(model.task, "a comparison")
    if type(first.task) is not type(second.task):
        raise RubricaError("one model gives one label and the other several; compare models of the same task")
    there = {name for label in examples.labels for name in _names(label)}
    for which, model in (("first", first), ("second", second)):
        if there.isdisjoint(model.labels):
            shown = quote_names(sorted(there)[:3])
            log.warning("the %s model knows none of the labels of these texts: %s", which, shown)
    counts = np.stack([_count(model, examples) for model in (first, second)])
    right = (counts[:, 0] == counts[:, 1]) & (counts[:, 0] == counts[:, 2])
    alone = [int((here & ~there).sum()) for here, there in (right, right[::-1])]
    p = float(stats.binomtest(alone[0], sum(alone)).pvalue) if sum(alone) else 1.0
    low, high = _interval(counts)
    scores = [float(f1_score(*part.sum(axis=1))) for part in counts]
    gained = alone[1] - alone[0]
    signs = [p < _LEVEL, gained * low > 0 and gained * high > 0]
    return {
        "texts": len(examples.texts),
        "measure": first.task.measure,
        "scores": scores,
        "difference": scores[1] - scores[0],
        "interval": [low, high],
        "right_alone": alone,
        "p": p,
        "verdict": _VERDICTS[sum(signs)],
    }


def _count(model: Classifier, examples: Examples) -> NDArray[np.int64]:
    """How many labels of each text the model gives rightly, gives, and should give, (3, N)."""
    pairs = zip(map(_names, model.predict(examples.texts)), map(_names, examples.labels), strict=True)
    counts = [(len(answer & label), len(answer), len(label)) for answer, label in pairs]
    return np.array(counts, np.int64).reshape(-1, 3).T


def _names(label: Any) -> set[str]:
    return {label} if isinstance(label, str) else set(label)


def _interval(counts: NDArray[np.int64]) -> tuple[float, float]:
    """From where to where the difference of the scores is in 95 % of the resamples, from counts (2, 3, N).

    Texts with the same six counts are alike, so a resample draws how many there are of each kind.
    """
    if counts.shape[2] < 2:  # one text tells nothing
        return -1.0, 1.0
    kinds, sizes = np.unique(counts.reshape(6, -1), axis=1, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(sizes.sum(), sizes / sizes.sum(), _RESAMPLES)
    sums = (drawn @ kinds.T).T
    low, high = np.quantile(f1_score(*sums[3:]) - f1_score(*sums[:3]), [_LEVEL / 2, 1 - _LEVEL / 2])
    return float(low), float(high)


def differences(first: Artifact, second: Artifact) -> dict[str, tuple[Any, Any]]:
    """By name what is not the same of two models: settings, classes, sizes, data, versions."""
    tables = [_made_of(artifact) for artifact in (first, second)]
    names = dict.fromkeys(name for table in tables for name in table)
    pairs = {name: (tables[0].get(name), tables[1].get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _made_of(artifact: Artifact) -> dict[str, Any]:
    facts = artifact.facts()
    facts = {name: facts[name] for name in ("labels", "words", "features", "vectors", "parameters", "storage")}
    run = artifact.metrics.get("run")
    kept = {name: value for name, value in run.items() if name != "asked"} if isinstance(run, dict) else {}
    return flat(artifact.config.to_dict()) | facts | flat({"run": kept})


def texts_of_run(first: Artifact, split: str | None, **layout: Any) -> tuple[str, Examples]:
    """The texts that a model was scored on, read once more, and the name of the split.

    Raises:
        RubricaError: If the model does not say where they are, or they are no longer the same.
    """
    run = first.metrics.get("run")
    kept = run.get("data") if isinstance(run, dict) else None
    name = kept.get("name") if isinstance(kept, dict) else None
    there = isinstance(name, str) and (name == "mini-news" or Path(name).is_file() or Path(name).is_dir())
    if not isinstance(kept, dict) or not there:
        raise RubricaError("the first model does not name data that is here; give DATA that neither was trained on")
    data, wanted = read_dataset(name, **layout), split or "test"
    if wanted not in data.splits:
        problem = f"the first model was trained on {name}, which has no split {wanted}"
        raise RubricaError(f"{problem}; give DATA, texts that neither model was trained on")
    found, examples = held_out(data, wanted)
    entry = kept.get(found)
    if not isinstance(entry, dict) or entry.get("sha256") != hash_of_texts(examples.texts):
        problem = f"its {found} split is not as the training read it; repeat the flags of the training"
        raise DataError(str(name), f"{problem}, or give DATA that neither model was trained on")
    return found, examples


def check_unseen(models: Sequence[Artifact], examples: Examples) -> None:
    """Make sure that no model was trained on the texts.

    Raises:
        RubricaError: If one was.
    """
    wanted = hash_of_texts(examples.texts)
    if any(was_trained_on(model, wanted) for model in models):
        raise RubricaError("a model was trained on these very texts, which say nothing about it; give other texts")


def was_trained_on(artifact: Artifact, digest: str) -> bool:
    """Whether the model says that it was trained on the texts with this hash, see `hash_of_texts`."""
    return bool(flat(artifact.metrics).get("run.data.train.sha256") == digest)


def held_out(data: Dataset, split: str | None) -> tuple[str, Examples]:
    """A split to compare on: the one that is named, else test, else validation; of a single one, that.

    Raises:
        DataError: If there is none.
    """
    names: Sequence[str] = [split] if split else ["test", "validation"]
    found = next((name for name in names if name in data.splits), None)
    if found is None and not split and len(data.splits) == 1:
        (found,) = data.splits
    if found is None:
        raise DataError(data.name, f"has {', '.join(data.splits)}; give data with a split {' or '.join(names)}")
    return found, data.splits[found]
