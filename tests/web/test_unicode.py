"""A character is to rubrica.js what it is to Python, if both know it: a letter, white space, and its small form."""

import json
import re
import unicodedata

from nodes import run_node
from rubrica.text.tokenizer import ALONE, WHITE_SPACE, WORD


def test_every_character_that_python_knows():
    found = json.loads(run_node("unicode.mjs"))
    for code in range(0x40000):
        character = chr(code)
        if unicodedata.category(character) == "Cn":
            continue
        kind = "word" if re.match(WORD, character) else "space" if re.match(WHITE_SPACE, character) else "other"
        alone = " alone" if re.match(f"[{ALONE}]", character) else ""
        assert found["kinds"][code] == kind + alone, hex(code)
        assert found["lower"][code] == character.lower(), hex(code)
