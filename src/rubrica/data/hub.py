"""Data sets of the Hugging Face hub, through the `datasets` library.

One departure from it: where the hub does not answer, the library's own cache is read without six more attempts.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rubrica.data.reachable import is_reachable
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
    online = not hub.constants.HF_HUB_OFFLINE and is_reachable(hub.constants.ENDPOINT)
    try:
        with _offline(datasets.config, not online):
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


@contextmanager
def _offline(config: Any, offline: bool) -> Iterator[None]:
    """Let `datasets` read its cache only, as its variable HF_HUB_OFFLINE does, which is read at import alone.

    `DownloadConfig(local_files_only=True, max_retries=0)` does not: with it, datasets 5.2 still asks the hub for 23 s.
    """
    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
