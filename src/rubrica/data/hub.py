"""Data sets of the Hugging Face hub, through the `datasets` library.

One departure from it: where the hub does not answer, the library's own cache is read without six more attempts.
"""

import logging
import sys
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
"""Short names that everybody writes, and where the hub keeps these data sets today."""


def read_hub(name: str) -> dict[str, Any]:
    """The splits of a hub data set as pyarrow tables, downloaded or from the local Hugging Face cache.

    The name is `owner/name` or one of `ALIASES`, with `:config` behind it if the set has several configurations.

    Raises:
        DataError: If the hub does not answer and the set is not in the cache, or if the set cannot be read.
        MissingExtraError: If `datasets` is not installed.
    """
    datasets, hub = require("datasets", "hub"), require("huggingface_hub", "hub")
    repo, _, config = name.partition(":")
    repo = ALIASES.get(repo, repo)
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    offline = ""  # the reason
    if hub.constants.HF_HUB_OFFLINE:
        offline = "HF_HUB_OFFLINE is set"
    elif not is_reachable(hub.constants.ENDPOINT):
        offline = f"{hub.constants.ENDPOINT} does not answer"
    before = datasets.config.HF_HUB_OFFLINE
    # The library reads the variable of this name at import, so it is set here. With the argument
    # `DownloadConfig(local_files_only=True, max_retries=0)` in its place, datasets 5.2 still asks the hub for 23 s.
    datasets.config.HF_HUB_OFFLINE = before or bool(offline)
    try:
        splits = datasets.load_dataset(repo, config or None)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        if not offline:
            found = str(error).strip().partition("\n")[0] or type(error).__name__
            raise DataError(name, f"no such file here, and the hub says: {found}") from error
        found = f"no such file here, {offline}, and the set was not downloaded before"
        advice = f"where there is a network run: hf download --repo-type dataset {repo} --local-dir DIR; then pass DIR"
        raise DataError(name, f"{found}; {advice}") from None
    finally:
        datasets.config.HF_HUB_OFFLINE = before
    if offline:
        log.warning("%s: %s; read from the local cache", name, offline)
    # The class names come from the library, because the table's own metadata may have older ones.
    return {
        split: part.data.table.replace_schema_metadata(part.features.arrow_schema.metadata)
        for split, part in splits.items()
    }
