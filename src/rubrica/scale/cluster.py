"""Ray: the cluster to work on, and what went wrong there in one sentence.

`RAY_ADDRESS` names a running cluster, as everywhere in Ray; `auto` is the cluster of this machine. Without it a small
one starts on this machine and ends with the work. https://docs.ray.io/en/latest/ray-core/configure.html
"""

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rubrica import __version__
from rubrica.errors import RubricaError, require

_SECONDS = 10.0  # for a cluster to take a connection
_QUIET = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # what Ray's own processes write to our stderr
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray warns of a future default of this switch
    "RAY_USAGE_STATS_ENABLED": "0",  # a cluster that we start tells nobody that it started
}


@contextmanager
def cluster(workers: int | None) -> Iterator[Any]:
    """Yield the module `ray` with a cluster that is ready; one that is in use already stays as it is.

    Args:
        workers: How many processors a cluster that starts on this machine has; None takes all of them.

    Raises:
        MissingExtraError: If Ray is not installed.
        RubricaError: If the cluster at `RAY_ADDRESS` cannot be reached.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)  # before Ray is imported
    ray = require("ray", "ray")
    require("ray.data", "ray")
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # warns that it shows no bar; we show one
    if ray.is_initialized():
        yield ray
        return
    address, quiet = os.environ.get("RAY_ADDRESS"), {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        _check_listens(address or "")
        with _muted():
            if address and address != "local":
                ray.init(address=address, **quiet)
            else:
                ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        advice = "check RAY_ADDRESS and RAY_AUTH_MODE, or unset RAY_ADDRESS to work on this machine alone"
        raise RubricaError(f"Ray at {address or 'local'}: {_first_line(error)}; {advice}") from None
    try:
        with warnings.catch_warnings():  # of Ray Data: that few texts do not keep all workers busy
            warnings.filterwarnings("ignore", category=UserWarning, module="ray")
            yield ray
    finally:
        ray.shutdown()


def _check_listens(address: str) -> None:
    """Ask whether anybody listens at HOST:PORT, since Ray itself would ask for many minutes.

    Raises:
        OSError: If nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_SECONDS).close()


@contextmanager
def _muted() -> Iterator[None]:
    """Hide what Ray's C++ writes to stderr when it starts: that a variable says how much it writes."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def explained(ray: Any) -> Iterator[None]:
    """Raise what a worker raised as if it were raised here, and what Ray says of a cluster in a sentence.

    Raises:
        RubricaError: In place of Ray's errors, but for an error of the program.
    """
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RubricaError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise RubricaError(f"Ray: {type(error).__name__}, {_first_line(error)}") from None


def check_version(theirs: str) -> None:
    """Make sure that a worker has the Rubrica of the command, which its answers depend on.

    Raises:
        RubricaError: If it has another.
    """
    if theirs != __version__:
        problem = f"the worker has Rubrica {__version__}, the command has {theirs}"
        raise RubricaError(f"{problem}; install the same version on all machines")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
