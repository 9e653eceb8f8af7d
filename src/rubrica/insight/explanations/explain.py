"""Why a model answers what it answers: what each token of a text adds to the score of a label.

The score is the logit of the label: the number whose softmax, or where a text may have several labels whose sigmoid, is
the probability. Of a fastText model it is the product of the text's vector with the label's row, or for hierarchical
softmax the logarithm of the probability. A score is the sum

    base + the shares of the tokens + rest.

Exact shares leave no rest but rounding. Integrated gradients leave at most 1 % of what the tokens make of the base.
Leaving one token out after the other leaves a rest that no single token has: what several tokens say together.

Letters: T tokens, C classes, K labels that are explained.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from rubrica.errors import RubricaError, nearest
from rubrica.insight.explanations.beliefs import beliefs as find_beliefs
from rubrica.insight.explanations.deletion import leave_one_out
from rubrica.insight.explanations.exact import Sum, exact_sum
from rubrica.insight.explanations.gradients import integrated_gradients
from rubrica.insight.explanations.nearest import Near, nearest_texts, training_texts
from rubrica.insight.explanations.places import Token
from rubrica.insight.explanations.reading import Part, Reader
from rubrica.models.search import as_finite
from rubrica.notebook import RIGHT, WRONG, bar, card, escaped, table
from rubrica.predict.classifier import Classifier
from rubrica.scoring.task import Floats
from rubrica.text.strings import as_texts

Method = Literal["exact", "leave-one-out", "gradients"]
METHODS: tuple[Method, ...] = get_args(Method)
_MOST_BELIEVED = 8  # classes whose probabilities are told after each token; more fit no table


class Reason(NamedTuple):
    """What makes the score of one label.

    Args:
        label: Its name.
        score: Its logit, see above.
        probability: How probable the model takes it to be.
        base: The score before a token is read.
        shares: What each token adds, (T,).
        rest: What the tokens do not explain one by one.
    """

    label: str
    score: float
    probability: float
    base: float
    shares: Floats
    rest: float


@dataclass(frozen=True)
class Explanation:
    """Why a model answers a text as it does.

    Args:
        text: As it was given.
        tokens: The T tokens of the text with their places in it.
        reasons: Of each label that is explained.
        methods: How each member of the model is explained.
        reads: How many of the tokens each member reads, from the first one on.
        labels: The C classes.
        beliefs: Their probabilities after the first t tokens, (T + 1, C), if they were asked for.
        nearest: The nearest training texts, if they were asked for.
    """

    text: str
    tokens: tuple[Token, ...]
    reasons: tuple[Reason, ...]
    methods: dict[str, str]
    reads: dict[str, int]
    labels: tuple[str, ...]
    beliefs: Floats | None = None
    nearest: tuple[Near, ...] = ()

    @property
    def limit(self) -> int:
        """How many of the tokens are read at all."""
        return max(self.reads.values())

    def _repr_html_(self) -> str:
        """What a notebook shows: the text with its tokens on colours, and what was believed after each of them."""
        cards = [self._marked(reason) for reason in self.reasons]
        if self.beliefs is not None:
            names = [self.labels[i] for i in self.believed]
            words = ["(nothing read)", *(self.text[token.start : token.end] for token in self.tokens[: self.limit])]
            rows = [
                (escaped(word), *(bar(share, f"{share:.0%}") for share in shares))
                for word, shares in zip(words, self.beliefs[:, self.believed].tolist(), strict=False)
            ]
            cards.append(card("What the model believes after each word", "", table(("", *names), rows)))
        return "".join(cards)

    def _marked(self, reason: Reason) -> str:
        """A label, and the tokens that speak for it on one colour and against it on the other."""
        largest = float(np.abs(reason.shares).max(initial=0)) or 1.0
        text, end = "", 0
        for token, share in zip(self.tokens, reason.shares.tolist(), strict=True):
            color = f"rgba({RIGHT if share > 0 else WRONG},{0.6 * abs(share) / largest:.2f})"
            word = escaped(self.text[token.start : token.end])
            text += escaped(self.text[end : token.start])
            text += f'<span style="background:{color}" title="{share:+.2f}">{word}</span>'
            end = token.end
        text += escaped(self.text[end:])
        about = f"{reason.probability:.1%}, score {reason.score:+.2f}; blue speaks for it, orange against it"
        return card(reason.label, about, f'<div style="line-height:1.8">{text}</div>')

    @property
    def believed(self) -> list[int]:
        """The classes that are worth telling: those explained, then those most probable at any step."""
        assert self.beliefs is not None
        own = [self.labels.index(reason.label) for reason in self.reasons]
        others = np.argsort(-self.beliefs.max(axis=0), kind="stable").tolist()
        return list(dict.fromkeys([*own, *others]))[:_MOST_BELIEVED]

    def to_json(self) -> dict[str, Any]:
        """The explanation for JSON."""
        found: dict[str, Any] = {
            "text": self.text,
            "tokens": [token._asdict() | {"read": i < self.limit} for i, token in enumerate(self.tokens)],
            "labels": [reason._asdict() | {"shares": reason.shares.tolist()} for reason in self.reasons],
            "methods": self.methods,
            "reads": self.reads,
        }
        if self.beliefs is not None:
            labels = [self.labels[i] for i in self.believed]
            found["beliefs"] = {"labels": labels, "probabilities": self.beliefs[:, self.believed].tolist()}
        if self.nearest:
            found["nearest"] = [near._asdict() for near in self.nearest]
        return found


def explain(
    model: Classifier,
    text: str,
    *,
    labels: Sequence[str] = (),
    method: Method | None = None,
    beliefs: bool = False,
    data: Any = None,
    k: int = 5,
) -> Explanation:
    """Why a model answers a text as it does: what each token adds to the score of its label.

    Args:
        model: From `rubrica.load` or `rubrica.train`.
        text: The text.
        labels: Which labels to explain; else the answer, and where there is none, the most probable label.
        method: How. Without one a linear model and a bag are explained exactly, a network by leaving one token out
            after the other. "exact" takes models without a network alone, "gradients" takes integrated gradients for
            networks and needs `rubrica[train]`, "leave-one-out" treats all models alike.
        beliefs: Also tell how probable each class is after each token.
        data: Also tell the nearest texts of these training texts: whatever `read_dataset` takes.
        k: How many of these.

    Raises:
        ValueError: If a label or the method is unknown, or k below 1.
        TypeError: If the text is none.
        RubricaError: If the method does not fit the model, or the data cannot be read.
    """
    if not isinstance(model, Classifier):
        raise TypeError(
            f"model is {model!r:.40} ({type(model).__name__}), expected one of rubrica.load or rubrica.train"
        )
    (text,) = as_texts([text], raw=True)
    found = explain_text(Reader(model.artifact), text, labels=labels, method=method, beliefs=beliefs)
    if data is None:
        return found
    near = nearest_texts(model.artifact, [text], *training_texts(model.artifact, data), k=k)
    return replace(found, nearest=tuple(near[0]))


def explain_text(
    reader: Reader, text: str, *, labels: Sequence[str] = (), method: Method | None = None, beliefs: bool = False
) -> Explanation:
    """As `explain`, for a model that reads one text after the other."""
    task, reading = reader.artifact.task, reader.read(text)
    check_labels(labels, task.labels)
    if method not in (None, *METHODS):
        raise ValueError(f"the method is {method!r:.40}; {nearest(str(method), METHODS)}")
    logits = reading.logits()
    (answer,) = task.decide(logits)
    answers = labels or ([answer] if isinstance(answer, str) else answer) or [task.labels[int(logits[0].argmax())]]
    classes = [task.labels.index(label) for label in answers]
    with np.errstate(over="ignore", invalid="ignore"):  # `_reasons` says what it means for the model
        sums = [_explain_part(part, classes, method) for part in reading.parts]
    probabilities = task.probabilities(logits)[0]
    names = [part.settings.name for part in reading.parts]
    return Explanation(
        text=text,
        tokens=reading.tokens,
        reasons=tuple(_reasons(answers, [found for _, found in sums], probabilities[classes].tolist())),
        methods={name: used for name, (used, _) in zip(names, sums, strict=True)},
        reads={part.settings.name: part.count for part in reading.parts},
        labels=tuple(task.labels),
        beliefs=find_beliefs(reading, task) if beliefs else None,
    )


def check_labels(labels: Iterable[str], known: Sequence[str]) -> None:
    """Make sure that a model knows some labels.

    Raises:
        ValueError: If it does not.
    """
    for label in labels:
        if label not in known:
            raise ValueError(f"the model does not know the label {label!r:.60}; {nearest(str(label), known)}")


def _explain_part(part: Part, classes: Sequence[int], method: Method | None) -> tuple[Method, Sum]:
    """What one member of a model adds, and by which method that was found."""
    if method == "leave-one-out":
        return method, leave_one_out(part, classes)
    if (found := exact_sum(part.settings, part, classes)) is not None:
        return "exact", found
    if method == "gradients":
        return method, integrated_gradients(part, classes)
    if method == "exact":
        problem = f"a {part.settings.name} model of this kind has no exact shares"
        raise RubricaError(f"{problem}; take the method leave-one-out or gradients")
    return "leave-one-out", leave_one_out(part, classes)


def _reasons(labels: Sequence[str], sums: Sequence[Sum], probabilities: Sequence[float]) -> Iterable[Reason]:
    """The sums of all members together, for each label."""
    score, base, shares = (as_finite(np.sum([found[i] for found in sums], axis=0)) for i in range(3))
    rest = score - base - shares.sum(axis=0)
    for i, (label, probability) in enumerate(zip(labels, probabilities, strict=True)):
        yield Reason(label, float(score[i]), probability, float(base[i]), shares[:, i], float(rest[i]))
