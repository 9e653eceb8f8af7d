"""What /metrics tells, by prometheus-client.

With several workers each one writes its numbers to files of a folder that all share (PROMETHEUS_MULTIPROC_DIR), and
whichever answers adds them up: a counter is the sum over all workers, those that have ended included.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import prometheus_client as prometheus
from prometheus_client import multiprocess

from rubrica.serve.models import Model

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_HALF = 5000  # labels after which an answer weighs half in the shares of the recent answers
_LEAST = 200  # labels before the shares of the recent answers say anything

CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST


class Metrics:
    """The counters of a process. They may be told from any thread."""

    def __init__(self) -> None:
        # The time of each counter's birth would double the page.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = prometheus.CollectorRegistry()
        self.requests = prometheus.Counter(
            "rubrica_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self.seconds = prometheus.Histogram(
            "rubrica_request_seconds", "From a request's head to its answer.", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.batches = prometheus.Histogram(
            "rubrica_batch_texts", "Texts that were answered together.", buckets=_TEXTS, registry=registry
        )
        self.queue = prometheus.Gauge(
            "rubrica_queue_texts", "Texts that wait or are being answered.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.answers = prometheus.Counter(
            "rubrica_answers", "How often each label was given.", ["model", "label"], registry=registry
        )
        self.unanswered = prometheus.Counter(
            "rubrica_unanswered", "Texts that got no label.", ["model"], registry=registry
        )
        self.drift = prometheus.Gauge(
            "rubrica_label_drift",
            "How far the labels of about 10,000 recent answers are from those of the training: half the sum of the"
            " differences of their shares, 0 to 1.",
            ["model"], registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.models = prometheus.Gauge(
            "rubrica_model", "The models, each 1.", ["model", "kind", "problem_type", "labels"],
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.reloads = prometheus.Counter(
            "rubrica_reloads", "Reloads of a model by SIGHUP.", ["model", "outcome"], registry=registry
        )
        self._models: dict[str, prometheus.Gauge] = {}
        self._recent: dict[str, tuple[Model, np.ndarray]] = {}
        self._told: dict[tuple[str, int], tuple[prometheus.Counter, prometheus.Histogram]] = {}

    def tell_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        key = (route, status)
        if (found := self._told.get(key)) is None:  # finding them by their labels takes longer than counting
            found = self._told[key] = self.requests.labels(route, str(status)), self.seconds.labels(route)
        found[0].inc()
        found[1].observe(seconds)

    def tell_model(self, model: Model) -> None:
        """Say that a model answers now; any that had its name before does not."""
        if before := self._models.get(model.name):
            before.set(0)
        self._models[model.name] = self.models.labels(model.name, *model.info().values())
        self._models[model.name].set(1)

    def tell_answers(self, model: Model, answers: Iterable[Sequence[str | None]]) -> None:
        """Count the labels that some texts got."""
        counts: Counter[str] = Counter()
        nothing = 0
        for labels in answers:
            names = [name for name in labels if name is not None]
            counts.update(names)
            nothing += not names
        for name, count in counts.items():
            self.answers.labels(model.name, name).inc(count)
        if nothing:
            self.unanswered.labels(model.name).inc(nothing)
        if model.shares is not None and counts:
            self._tell_drift(model, model.shares, counts)

    def _tell_drift(self, model: Model, shares: np.ndarray, counts: Counter[str]) -> None:
        known, recent = self._recent.get(model.name, (None, None))
        if known is not model or recent is None:  # a reloaded model starts anew
            recent = np.zeros(len(shares))
        recent *= 0.5 ** (counts.total() / _HALF)
        recent += [counts[label] for label in model.labels]
        self._recent[model.name] = model, recent
        total = recent.sum()
        if total >= _LEAST:
            self.drift.labels(model.name).set(abs(recent / total - shares).sum() / 2)

    def page(self) -> bytes:
        """The text of /metrics; takes milliseconds."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = prometheus.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return prometheus.generate_latest(registry)
