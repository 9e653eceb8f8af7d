"""`rubrica train --ray`: a training on another machine of a Ray cluster.

The command reads the data, sends it to a worker, and writes the model that comes back. A worker that dies is replaced,
and its training starts anew. The worker takes as many threads as the command would, since the number is part of the
result. Several workers train one network together, as under torchrun (`learning/together.py`), and share the threads.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

from rubrica import __version__
from rubrica.artifact.fasttext_model import open_model
from rubrica.artifact.folder import Artifact, save_artifact
from rubrica.data.dataset import Dataset
from rubrica.environment import processes
from rubrica.errors import ConfigError, require
from rubrica.kernels import native
from rubrica.learning.identity import run_record
from rubrica.learning.output import check_output
from rubrica.models.config import Config
from rubrica.scale.cluster import check_version, cluster, explained
from rubrica.vectors.word_vectors import Vectors

_RETRIES = 3  # workers that may die; a training that needs too much memory kills each of them
log = logging.getLogger("rubrica")
Call = dict[str, Any]
"""What `rubrica.train` is called with."""
Result = tuple[Artifact, list[logging.LogRecord]]
"""The model, and what the training logged."""


def train_on_ray(
    data: Dataset,
    *,
    out: Path | str,
    config: Config,
    vectors: str | Path | Vectors | None = None,
    start: str | None = None,
    time_budget: float | None = None,
    workers: int = 1,
) -> Artifact:
    """Train on a worker of Ray, and save the model; the weights are those of `rubrica.train` on a machine of this kind.

    Args:
        data: What was read.
        out: The new model folder, on this machine.
        config: The settings.
        vectors: As in `rubrica.train`.
        start: A model to go on from, as there.
        time_budget: Seconds that the training may take on the worker.
        workers: How many train one model together.

    Raises:
        RubricaError: As in `rubrica.train`; if the cluster cannot be used; or if several workers are asked for and this
            family is trained by one.
    """
    folder = check_output(out, resume=False, keeps=False)
    before = None if start is None else open_model(start)
    run = run_record(data, config, vectors, before=before)
    if workers > 1 and not config.training.needs_torch:
        raise ConfigError(f"a {config.model.name} is trained by one worker; give --ray 1")
    if workers > 1 and time_budget:
        raise ConfigError("a time budget is for one worker; leave it out, or give --ray 1")
    call: Call = {"data": data, "config": config, "time_budget": time_budget}
    call["start"] = before
    if vectors is not None:
        from rubrica.vectors.stored import load_vectors  # late: many trainings are given no vectors

        call["vectors"] = vectors if isinstance(vectors, Vectors) else load_vectors(vectors)
    threads = native.num_threads()
    with cluster(max(threads, workers)) as ray, explained(ray):
        artifact, records = _by_team(ray, call, threads, workers) if workers > 1 else _by_one(ray, call, threads)
    for record in records:
        if log.isEnabledFor(record.levelno):
            log.handle(record)
    artifact.metrics["run"] = run | {"processes": workers}
    save_artifact(artifact, folder)
    return artifact


def _by_one(ray: Any, call: Call, threads: int) -> Result:
    """Start the training on one worker, which takes as many processors as there are threads, or a whole machine."""
    room = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    task = ray.remote(_train_here).options(num_cpus=max(1, min(threads, room)), max_retries=_RETRIES)
    return ray.get(task.remote(call, threads, __version__))


def _by_team(ray: Any, call: Call, threads: int, workers: int) -> Result:
    """Start the training on several workers, which Ray joins to a team of `torch.distributed`."""
    run = require("ray.train", "ray")
    torch = require("ray.train.torch", "ray")
    queue = require("ray.util.queue", "ray").Queue()  # the first worker puts the model here
    own = max(1, threads // workers)
    given = {"call": ray.put(call), "threads": own, "version": __version__, "queue": queue}
    with TemporaryDirectory() as folder:  # Ray keeps notes of the run
        torch.TorchTrainer(
            _train_in_team,
            train_loop_config=given,
            scaling_config=run.ScalingConfig(num_workers=workers, resources_per_worker={"CPU": own}),
            run_config=run.RunConfig(storage_path=folder, failure_config=run.FailureConfig(max_failures=_RETRIES)),
        ).fit()
    artifact, records = queue.get(block=False)
    return artifact, records


def _train_in_team(given: dict[str, Any]) -> None:
    import ray

    from rubrica.networks.team import join_team

    join_team()
    artifact, records = _train_here(ray.get(given["call"]), given["threads"], given["version"])
    if not processes()[0]:
        given["queue"].put((artifact, records))


def _train_here(call: Call, threads: int, version: str) -> Result:
    """Train in this process."""
    check_version(version)
    os.environ["RUBRICA_THREADS"] = str(threads)
    from rubrica.learning.train import train

    with _kept_log() as records:
        return train(**call).artifact, records


@contextmanager
def _kept_log() -> Iterator[list[logging.LogRecord]]:
    """Keep what the block logs for a person, so that another process can show it."""
    kept: SimpleQueue[logging.LogRecord] = SimpleQueue()
    handler, records = QueueHandler(kept), list[logging.LogRecord]()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield records
    finally:
        log.removeHandler(handler)
        while not kept.empty():
            records.append(kept.get())
