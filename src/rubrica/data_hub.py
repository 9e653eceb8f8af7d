"""Data sets of the Hugging Face hub, through the `datasets` library."""

from typing import Any

from rubrica.errors import require

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
    """The splits of a hub data set as pyarrow tables."""
    datasets = require("datasets", "hub")
    repo, _, config = name.partition(":")
    found = datasets.load_dataset(ALIASES.get(repo, repo), config or None)
    return {split: part.data.table for split, part in found.items()}
