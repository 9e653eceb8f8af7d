"""The doctor of data: what will go wrong in a training, and why, before it is begun."""

import logging
from collections.abc import Callable, Iterator

from rubrica.config.groups import DataSettings
from rubrica.data.dataset import Dataset, check_classes
from rubrica.insight.data_checks.answers import judge
from rubrica.insight.data_checks.difficulty import check_noise, check_same, check_signal, forgive
from rubrica.insight.data_checks.duplicates import Twins, check_duplicates, check_leaks
from rubrica.insight.data_checks.giveaways import check_giveaways
from rubrica.insight.data_checks.labels import check_balance, check_spellings, check_splits
from rubrica.insight.data_checks.more_labels import check_more
from rubrica.insight.data_checks.sample import MOST, Sample
from rubrica.insight.data_checks.scripts import check_scripts
from rubrica.insight.data_checks.shift import check_shift
from rubrica.insight.data_checks.texts import check_empty, check_encoding, check_forms, check_lengths, check_markup
from rubrica.insight.data_checks.trials import with_costs
from rubrica.insight.data_checks.unknown_words import check_unknown
from rubrica.insight.findings import Finding, ordered
from rubrica.progress import progress_bar
from rubrica.scoring.tasks import check_labels
from rubrica.vectors.case import settle_reading
from rubrica.vectors.word_vectors import Vectors

log = logging.getLogger(__name__)

_JUDGED = 100  # texts; a model that has learned fewer is wrong too often to doubt a label

Check = Callable[[Sample, Twins], Iterator[Finding]]


def _about_twins(sample: Sample, twins: Twins) -> Iterator[Finding]:
    yield from check_duplicates(twins)
    yield from check_leaks(twins)


def _about_answers(sample: Sample, twins: Twins) -> Iterator[Finding]:
    if len(sample.train) < _JUDGED:
        log.info("%d texts are too few to judge their labels by a model; label some hundred", len(sample.train))
        return
    judged = judge(sample)
    found = list(check_signal(sample, judged))
    if not found:  # else the rest follows from it
        found += check_same(sample, judged)
        for same in (other for other in found if other.kind == "same-classes"):
            judged = forgive(sample, judged, same)
        found += check_noise(sample, judged)
    yield from found


def _of(check: Callable[[Sample], Iterator[Finding]]) -> Check:
    return lambda sample, twins: check(sample)


CHECKS: tuple[tuple[str, Check], ...] = (
    ("classes", _of(check_balance)),
    ("names of labels", _of(check_spellings)),
    ("splits", _of(check_splits)),
    ("empty texts", _of(check_empty)),
    ("lengths", _of(check_lengths)),
    ("encoding", _of(check_encoding)),
    ("markup", _of(check_markup)),
    ("forms", _of(check_forms)),
    ("scripts and languages", _of(check_scripts)),
    ("unknown words", _of(check_unknown)),
    ("words that give the class away", _of(check_giveaways)),
    ("train and test", _of(check_shift)),
    ("duplicates", _about_twins),
    ("answers of a linear model", _about_answers),
    ("learning curve", _of(check_more)),
)


def examine_data(
    dataset: Dataset,
    vectors: Vectors | None = None,
    settings: DataSettings | None = None,
    *,
    trials: bool = False,
    most: int = MOST,
) -> list[Finding]:
    """What is wrong with a data set, the gravest first.

    Args:
        dataset: What was read.
        vectors: The vectors that the words will start at.
        settings: How texts will be read; None takes the defaults.
        trials: Whether to measure what the faults cost, where a linear model can tell.
        most: Texts of a split that are looked at.

    Raises:
        DataError: If there are no two classes.
        RubricaError: If a text has a score in place of a label.
    """
    check_labels(dataset.task, "the doctor")
    check_classes(dataset)
    texts = next(iter(dataset.splits.values())).texts
    sample = Sample(dataset, vectors, settle_reading(settings or DataSettings(), vectors, texts), most)
    found, twins = list[Finding](), Twins(sample)
    with progress_bar("doctor", len(CHECKS)) as advance:
        for title, check in CHECKS:
            advance(title)
            found += check(sample, twins)
    return ordered(with_costs(sample, twins, found) if trials else found)
