"""What a search keeps, so that the same command goes on after a kill.

    RUN.search/             beside the model folder RUN
        search.json         what is searched, by what; written first
        journal.log         Optuna's journal: a line for each thing that happened, synced
        answers/0003-1.npy  what the fourth trial answered to the second part: rows, and `Task.hits`
        trials.jsonl        the trials for people and programs, written before the final training
        trials.png          their plot

An answer is written whole before the journal says that it is there. A kill loses the training that runs; the trial goes
on with its next part, with the values that it had. What is tried next depends on the seed, the number of the trial and
the trials before alone, so a search that was stopped tries what it would have tried.
"""

import json
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rubrica.config.ranges import Range
from rubrica.errors import ArtifactError, RubricaError, require
from rubrica.files import locked, written_whole
from rubrica.scoring import paired
from rubrica.scoring.task import Rows
from rubrica.tuning.nearby import nearby
from rubrica.tuning.parts import Judged
from rubrica.tuning.space import Choose, Params, Proposal, Space, suggest

State = Literal["unfinished", "judged", "given up", "too slow", "too large", "failed"]
_FORMAT = 1
_SEARCH, _JOURNAL, _ANSWERS = "search.json", "journal.log", "answers"
_STARTUP = 4  # trials, before which Optuna draws at random; the first ones are given
_AT_LARGE = 3  # every third trial behind the first ones is Optuna's: it may draw anything
_SEEDS = 1_000_003  # trials of two searches with neighbouring seeds draw other numbers


@dataclass
class Tried:
    """A trial.

    Args:
        number: From 0 on; 0 has the defaults.
        proposal: What it trains with.
        handle: Optuna's trial.
        folds: What it answered, part by part.
        state: How it ended.
        note: Why it has no score.
        spent: Seconds of the search when it ended.
    """

    number: int
    proposal: Proposal
    handle: Any
    folds: list[Judged] = field(default_factory=list)
    state: State = "unfinished"
    note: str = ""
    spent: float = 0.0

    def answers(self, count: int | None = None) -> paired.Answers:
        """What it answered to its first `count` parts, at least one; None takes all."""
        return paired.average([(fold.rows, fold.hits) for fold in self.folds[:count]])

    @property
    def score(self) -> float:
        """Its score on all its parts."""
        return paired.score(self.answers().hits)

    def lead(self, other: "Tried") -> paired.Lead:
        """Its lead over another trial, on the parts that both were judged on."""
        count = min(len(self.folds), len(other.folds))
        return paired.lead(self.answers(count).hits, other.answers(count).hits)

    @property
    def loss(self) -> float:
        """The mean loss of all its texts."""
        return float(np.average([fold.loss for fold in self.folds], weights=[len(fold.hits) for fold in self.folds]))

    @property
    def seconds(self) -> float:
        """Mean seconds of a part."""
        return float(np.mean([fold.seconds for fold in self.folds])) if self.folds else 0.0

    @property
    def size(self) -> int:
        """Bytes of its largest model."""
        return max((fold.size for fold in self.folds), default=0)


class Store:
    """The folder of a search; made by `open_store`.

    Args:
        folder: Where it is.
        space: What is tried.
        seed: Of the proposals.
    """

    def __init__(self, folder: Path, space: Space, seed: int) -> None:
        self.folder, self.space, self.seed = folder, space, seed
        self._optuna = optuna = require("optuna", "tune")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _mend(folder / _JOURNAL)
        journal = require("optuna.storages.journal", "tune")
        # The folder is locked by this process, so the file needs no lock of its own, which a kill would leave behind.
        backend = journal.JournalFileBackend(str(folder / _JOURNAL), lock_obj=threading.Lock())
        storage = optuna.storages.JournalStorage(backend)
        self.study = optuna.create_study(
            study_name="rubrica", storage=storage, direction="maximize", load_if_exists=True, sampler=self._sampler(0)
        )
        for params in space.first()[len(self.study.get_trials(deepcopy=False)) :]:  # a kill may have come in between
            self.study.enqueue_trial(params)

    def _sampler(self, number: int) -> Any:
        """The sampler of a trial. Its draws depend on the seed and the trials before, not on when a process began."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Optuna 4: `multivariate` and `group` may change
            return self._optuna.samplers.TPESampler(
                n_startup_trials=_STARTUP, multivariate=True, group=True, constant_liar=False,
                seed=(self.seed * _SEEDS + number) % 2**32,
            )  # fmt: skip

    @property
    def folds(self) -> int | None:
        """How many parts judge a trial; None before the first one is judged."""
        return self.study.user_attrs.get("folds")

    @folds.setter
    def folds(self, count: int) -> None:
        self.study.set_user_attr("folds", count)

    @property
    def spent(self) -> float:
        """Seconds that earlier processes spent, up to the last thing that they kept."""
        trials = self.study.get_trials(deepcopy=False)
        return max([self.study.user_attrs.get("spent", 0.0), *(trial.user_attrs.get("spent", 0.0) for trial in trials)])

    def tried(self) -> list[Tried]:
        """The trials that ended."""
        states = self._optuna.trial.TrialState
        ended = self.study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.FAIL))
        return [self._read(trial.number, trial, partial(_valued, trial.params)) for trial in ended]

    def ask(self, best: Tried | None) -> Tried:
        """The next trial: the one that a kill or Ctrl-C left, else a new one, two of three near the best so far."""
        states = self._optuna.trial.TrialState
        if left := self.study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            number = left[0].number
            self.study.sampler = self._sampler(number)
            handle = self._optuna.trial.Trial(self.study, left[0]._trial_id)
        else:
            waiting = self.study.get_trials(deepcopy=False, states=(states.WAITING,))
            number = waiting[0].number if waiting else len(self.study.get_trials(deepcopy=False))
            if not waiting and best is not None and number % _AT_LARGE:
                generator = np.random.default_rng([self.seed, number])
                every = [trial.params for trial in self.study.get_trials(deepcopy=False)]
                self.study.enqueue_trial(nearby(self.space, every[best.number], every, generator))
            self.study.sampler = self._sampler(number)
            handle = self.study.ask()
        tried = self._read(number, handle, suggest(handle))
        tried.state = "unfinished"  # a kill may have come just before its end was told
        return tried

    def _read(self, number: int, trial: Any, choose: Choose) -> Tried:
        """The trial as this search knows it."""
        proposal, kept = self.space.propose(choose), trial.user_attrs
        tried = Tried(number, proposal, trial, [], kept.get("state", "unfinished"), kept.get("note", ""))
        tried.spent = kept.get("spent", 0.0)
        more = self.study.user_attrs.get(_more_of(number), ())
        for fold, values in enumerate([*kept.get("folds", ()), *more]):
            rows, hits = self._answers(number, fold)
            tried.folds.append(Judged(rows=rows, hits=hits, **values))
        return tried

    def add(self, tried: Tried, judged: Judged, spent: float) -> None:
        """Keep what a trial answered to its next part."""
        path = self._place(tried.number, len(tried.folds))
        with written_whole(path, ArtifactError) as part, part.open("wb") as file:
            np.save(file, np.column_stack([judged.rows, judged.hits]).astype(np.int64), allow_pickle=False)
        tried.folds.append(judged)
        if tried.state == "unfinished":
            tried.spent = spent
            tried.handle.set_user_attr("spent", spent)
            tried.handle.set_user_attr("folds", [_without_hits(fold) for fold in tried.folds])
        else:  # Optuna takes no more of a trial that has ended
            self.study.set_user_attr("spent", spent)
            more = [_without_hits(fold) for fold in tried.folds[self.folds :]]
            self.study.set_user_attr(_more_of(tried.number), more)

    def end(self, tried: Tried, state: State, spent: float, note: str = "") -> None:
        """Say how a trial ended."""
        tried.state, tried.note, tried.spent = state, note, spent
        for name in ("state", "note", "spent"):
            tried.handle.set_user_attr(name, getattr(tried, name))
        states = self._optuna.trial.TrialState
        if state == "judged":
            self.study.tell(tried.handle, tried.score)
        elif state == "failed":
            self.study.tell(tried.handle, state=states.FAIL)
        else:  # Optuna takes one without a score as worse than all others
            if tried.folds:
                tried.handle.report(tried.score, step=len(tried.folds))
            self.study.tell(tried.handle, state=states.PRUNED)

    def _place(self, number: int, fold: int) -> Path:
        return self.folder / _ANSWERS / f"{number:04d}-{fold}.npy"

    def _answers(self, number: int, fold: int) -> tuple[Rows, paired.Hits]:
        """What a trial answered to a part: which texts, and how.

        Raises:
            ArtifactError: If the file is broken.
        """
        path = self._place(number, fold)
        try:
            found = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ArtifactError(path, f"cannot be read ({error}); remove {self.folder} to begin anew") from None
        if found.dtype != np.int64 or found.ndim != 2 or found.shape[1] != 3 or not len(found) or found.min() < 0:
            raise ArtifactError(path, f"holds no answers; remove {self.folder} to begin anew")
        return found[:, 0], found[:, 1:]


def _more_of(number: int) -> str:
    return f"more parts of {number}"


def _valued(params: Params, name: str, kind: Range, usual: Any) -> Any:
    """A `Choose` of a trial that ended."""
    return params[name]


def _without_hits(judged: Judged) -> dict[str, Any]:
    return {name: value for name, value in judged._asdict().items() if name not in ("rows", "hits")}


def folder_of(out: Path) -> Path:
    """Where the search for a model folder is."""
    return out.with_name(f"{out.name}.search")


@contextmanager
def open_store(folder: Path, space: Space, seed: int, what: dict[str, Any]) -> Iterator[Store]:
    """The folder of a search, new or to go on with; no other process may use it meanwhile.

    Args:
        folder: It need not exist.
        space: What is tried.
        seed: Of the proposals.
        what: By name what the trials depend on, ready for JSON.

    Raises:
        ArtifactError: If the folder holds another search or something else, or another process works in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = not (folder / _SEARCH).exists() and any(not path.name.startswith(".") for path in folder.iterdir())
    except OSError as error:
        raise ArtifactError(folder, f"cannot be made ({error.strerror or error}); give another --out") from None
    if foreign:
        raise ArtifactError(folder, "is for a search alone and holds other files; give another --out")
    with locked(folder) as alone:
        if alone is False:
            raise ArtifactError(folder, "another process searches here; wait for it, or give another --out")
        _check_same(folder, json.loads(json.dumps({"format": _FORMAT} | what)))
        try:
            store = Store(folder, space, seed)
            store.tried()  # all of it can be read
        except RubricaError:
            raise
        except Exception as error:  # Optuna reads lines that it has not written until something fails
            raise ArtifactError(folder / _JOURNAL, f"broken ({error}); remove {folder} to begin anew") from None
        yield store


def _check_same(folder: Path, what: dict[str, Any]) -> None:
    """Write what is searched; or compare it with what was searched here before."""
    path = folder / _SEARCH
    if not path.exists():
        with written_whole(path, ArtifactError) as part:
            part.write_text(json.dumps(what, ensure_ascii=False, indent=1), encoding="utf-8")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name in what | before if before.get(name) != what.get(name)]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(path, f"cannot be read ({error}); remove {folder} to begin anew") from None
    if differing:
        problem = f"the search that was begun here had other {' and '.join(differing[:2])}"
        raise ArtifactError(folder, f"{problem}; repeat its command, give another --out, or remove the folder")


def _mend(journal: Path) -> None:
    """Cut off the line that a kill left unfinished: Optuna would write its next line behind it."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with journal.open("r+b") as file:
            file.truncate(whole)
