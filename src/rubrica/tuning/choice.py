"""Which trial is the best, and whether it leads the defaults by more than luck."""

from collections.abc import Sequence
from typing import NamedTuple

from rubrica.scoring import paired
from rubrica.tuning.store import Tried


class Choice(NamedTuple):
    """What is trained in the end, and why.

    Args:
        winner: The trial.
        default: The defaults; None where they have no score.
        best: The trial with the highest score, which may lead by luck alone.
        lead: Of the best trial over the defaults.
        chance: How likely luck alone makes one of the trials lead as far.
    """

    winner: Tried
    default: Tried | None
    best: Tried
    lead: paired.Lead
    chance: float


def ranked(tried: Sequence[Tried]) -> list[Tried]:
    """The judged trials by their lead over the defaults on their own texts, of equal ones the lower loss first.

    Where the defaults have no score the scores rank.
    """
    judged = [each for each in tried if each.state == "judged"]
    default = next((each for each in judged if each.number == 0), None)

    def rank(each: Tried) -> tuple[float, float]:
        return -(each.score if default is None else each.lead(default).points), each.loss

    return sorted(judged, key=rank)


def chances_of(tried: Sequence[Tried], seed: int) -> dict[int, float]:
    """How likely luck makes the luckiest trial lead the defaults as far as each trial does, by number.

    A trial that was given up, and so cannot win, had its chance of luck too and is counted.
    """
    default = next(each for each in tried if each.number == 0)
    others = [each for each in tried if each.folds and each is not default]
    pairs = [(each.answers(len(default.folds)), default.answers(len(each.folds))) for each in others]
    chances = paired.chances(pairs, seed)
    return {each.number: chance for each, chance in zip(others, chances, strict=True)} | {0: 1.0}


def choose(tried: Sequence[Tried], seed: int) -> Choice | None:
    """The trial to train with: the best one that leads the defaults by more than luck, else the defaults.

    Where the defaults have no score, since they are too large or too slow, the best trial wins. None where no trial has
    a score.

    Args:
        tried: All trials.
        seed: Of the draws of luck.
    """
    best_first = ranked(tried)
    default = next((each for each in best_first if each.number == 0), None)
    if default is None:
        return Choice(best_first[0], None, best_first[0], paired.Lead(0.0, 0.0), 1.0) if best_first else None
    chances = chances_of(tried, seed)
    winner = next((each for each in best_first if chances[each.number] < paired.LEVEL), default)
    shown = best_first[0] if winner is default else winner
    return Choice(winner, default, shown, shown.lead(default), chances[shown.number])
