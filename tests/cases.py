"""How many cases the property tests draw."""

import os

import hypothesis


def examples(count):
    """Draw `count` cases, or the share of them that $RUBRICA_EXAMPLES says: under the sanitizers a case is slow."""
    share = float(os.environ.get("RUBRICA_EXAMPLES", "1"))
    return hypothesis.settings(max_examples=max(1, round(share * count)))
