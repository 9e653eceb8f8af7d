r"""Text to tokens: runs of word characters, and runs of anything else that is not white space.

The rule is that of NLTK's `WordPunctTokenizer`, one regular expression with Python's Unicode classes:
``\w+|[^\w\s]+``. Python's ``\w`` splits combining marks from their letters; so does this rule, on purpose,
since a model must meet at prediction the very tokens that it was trained on.
"""

import re
from collections.abc import Callable

WORD, WHITE_SPACE = r"\w", r"\s"

TOKEN_PATTERN = rf"{WORD}+|[^{WORD}{WHITE_SPACE}]+"
_PATTERN = re.compile(TOKEN_PATTERN)

tokenize: Callable[[str], list[str]] = _PATTERN.findall
"""Split a text. "Don't stop: 3.5%!" gives Don ' t stop : 3 . 5 %!"""


def is_token(word: str) -> bool:
    """Whether the rule can ever produce this word (a word with a space or `don't`, never)."""
    return _PATTERN.fullmatch(word) is not None
