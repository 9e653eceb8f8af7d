"""Data sets of the Hugging Face hub, through the `datasets` library.

One departure from it: without a network the library tries six times, for 23 seconds, before it looks into its own
cache. Here we knock at the hub once; where nobody answers, the cache is asked without delay.
"""

import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from rubrica.errors import DataError, require

log = logging.getLogger(__name__)

ALIASES = {
    "ag_news": "fancyzhx/ag_news",
    "amazon_polarity": "fancyzhx/amazon_polarity",
    "dbpedia_14": "fancyzhx/dbpedia_14",
    "emotion": "dair-ai/emotion",
    "imdb": "stanfordnlp/imdb",
    "rotten_tomatoes": "cornell-movie-review-data/rotten_tomatoes",
    "sst2": "stanfordnlp/sst2",
    "yelp_polarity": "fancyzhx/yelp_polarity",
}
"""Short names that everybody writes, and where these data sets lie today."""

_KNOCK_SECONDS = 3.0  # a slow mobile network answers within one


def read_hub(name: str) -> dict[str, Any]:
    """The splits of a hub data set as pyarrow tables, downloaded or from the local Hugging Face cache.

    Args:
        name: `owner/name` or one of `ALIASES`, either with `:config` behind it where the set has several.

    Raises:
        DataError: If the hub cannot be reached and the set is not in the cache, or the set cannot be read.
        MissingExtraError: If `datasets` is not installed.
    """
    datasets, hub = require("datasets", "hub"), require("huggingface_hub", "hub")
    repo, _, config = name.partition(":")
    repo = ALIASES.get(repo, repo)
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    online = not hub.constants.HF_HUB_OFFLINE and _answers(hub.constants.ENDPOINT)
    try:
        with _offline(datasets.config, hub.constants, not online):
            splits = datasets.load_dataset(repo, config or None)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        if online:
            raise DataError(name, f"no such file here, and from the hub: {_first_line(error)}") from error
        found = f"no such file here, {hub.constants.ENDPOINT} does not answer, and the set was not downloaded before"
        advice = f"where there is a network run: hf download --repo-type dataset {repo} --local-dir DIR; then pass DIR"
        raise DataError(name, f"{found}; {advice}") from None
    if not online:
        log.warning("%s: the hub does not answer; read from the local cache", name)
    # The class names as the library has them: those in the table's own metadata may be older.
    return {
        split: part.data.table.replace_schema_metadata(part.features.arrow_schema.metadata)
        for split, part in splits.items()
    }


def _answers(endpoint: str) -> bool:
    """Whether the hub, or the proxy on the way to it, takes a connection."""
    # Ten milliseconds that a local file need not wait for.
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    url = urlsplit(endpoint)
    if (proxy := getproxies().get(url.scheme)) and not proxy_bypass(url.hostname or ""):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    address = (url.hostname or "", url.port or {"http": 80}.get(url.scheme, 443))
    answers: SimpleQueue[bool] = SimpleQueue()

    def knock() -> None:
        try:
            socket.create_connection(address, timeout=_KNOCK_SECONDS).close()
        except OSError:
            answers.put(False)
        else:
            answers.put(True)

    # In a thread, since looking up a name has no time limit of its own.
    Thread(target=knock, daemon=True).start()
    try:
        return answers.get(timeout=_KNOCK_SECONDS)
    except Empty:
        return False


@contextmanager
def _offline(datasets_config: Any, hub_constants: Any, offline: bool) -> Iterator[None]:
    """Let both libraries use their caches only; the variable HF_HUB_OFFLINE does so too, but is read at import."""
    before = datasets_config.HF_HUB_OFFLINE, hub_constants.HF_HUB_OFFLINE
    try:
        if offline:
            datasets_config.HF_HUB_OFFLINE = hub_constants.HF_HUB_OFFLINE = True
        yield
    finally:
        datasets_config.HF_HUB_OFFLINE, hub_constants.HF_HUB_OFFLINE = before


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
