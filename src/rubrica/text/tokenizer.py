r"""Text to tokens: runs of word characters, and runs of anything else that is not white space.

The rule is that of NLTK's `WordPunctTokenizer`, one regular expression with Python's Unicode classes:
``\w+|[^\w\s]+``. Python's ``\w`` splits combining marks from their letters; so does this rule, on purpose,
since a model must meet at prediction the very tokens that it was trained on.

Some scripts put no space between words, and a whole sentence is one run. With `split_unspaced`, each letter and each
mark of these scripts is a token of its own.
"""

import re
from functools import cache

WORD, WHITE_SPACE = r"\w", r"\s"

# Letters and marks, without digits and punctuation, by code point. The list is fixed: a model reads the same tokens
# under every version of Unicode.
ALONE = (
    "\u0e01-\u0e3a\u0e40-\u0e4e"  # Thai
    "\u0e81-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf"  # Lao
    "\u1000-\u103f\u1050-\u108f\u109a-\u109d\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17d3\u17d7\u17dc\u17dd"  # Khmer
    "\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f\U0001aff0-\U0001b16f"  # kana
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)


@cache
def token_pattern(split_unspaced: bool) -> str:
    """The rule as a regular expression."""
    alone, first = (ALONE, f"[{ALONE}]|") if split_unspaced else ("", "")
    word = rf"[^\W{alone}]" if split_unspaced else WORD
    return rf"{first}{word}+|[^{WORD}{WHITE_SPACE}{alone}]+"


@cache
def _compiled(split_unspaced: bool) -> re.Pattern[str]:  # at its first use: the native core does without
    return re.compile(token_pattern(split_unspaced))


def tokenize(text: str, *, lowercase: bool = False, split_unspaced: bool = False) -> list[str]:
    """Split a text, lower-cased first if asked. "Don't stop: 3.5%!" gives Don ' t stop : 3 . 5 %!"""
    return _compiled(split_unspaced).findall(text.lower() if lowercase else text)


def token_spans(text: str, *, split_unspaced: bool = False) -> list[tuple[int, int]]:
    """Where each token of a text starts and ends."""
    return [match.span() for match in _compiled(split_unspaced).finditer(text)]


def is_unspaced(text: str) -> bool:
    """Whether a text has a character of a script without spaces."""
    return re.search(f"[{ALONE}]", text) is not None


def is_token(word: str, *, split_unspaced: bool = False) -> bool:
    """Whether the rule can ever produce this word (a word with a space or `don't`, never)."""
    return _compiled(split_unspaced).fullmatch(word) is not None
