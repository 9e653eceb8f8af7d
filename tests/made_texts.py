"""Texts that meet the corners of Unicode, the same ones each time."""

import random
import unicodedata

ODD = [
    "", " ", "\0", "\0\0 a\0b", "ΑΣ ΌΣΟΣ Σ ΣΑ ΑΣ. ΑΣ́Α", "İstanbul IĞDIR ıi İ̇", "e\u0301 é Å Å ǆ ǅ",
    "\u0301a\u0301\u0327b", "日本語のテキスト。東京", "ภาษาไทย ไม่มีช่องว่าง", "١٢٣ ٤٥ ²³ ½ Ⅷ ⓪ ㊿", "👩‍👩‍👧 😀😀 🏳️‍🌈",
    "a\u200db\u200cc\ufeffd\u00ad", "\x1c\x1d\x1e\x1f\x85\u2028\u2029x", "\ud800 a \udfff\udfff b", "각 각 ᄀ가",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐐀𐐁 𐐨", "don't stop: 3.5%!",
    "__label__a b </s> c", "_ __ a_b", "ß ẞ ﬁ ŉ ΐ ﬃ", "x" * 300, "ab " * 200, "!" * 99,
]  # fmt: skip
_ALPHABETS = [
    range(0x20, 0x7F), range(0x20, 0x7F), range(0x80, 0x250), range(0x300, 0x370), range(0x370, 0x530),
    range(0x590, 0x780), range(0xE00, 0xF00), range(0x1100, 0x1200), range(0x1E00, 0x2070), range(0x20D0, 0x2190),
    range(0x3000, 0x3130), range(0x4E00, 0x4F00), range(0xAC00, 0xAC80), range(0xD800, 0xE000), range(0xFB00, 0xFB50),
    range(0xFE00, 0xFE30), range(0x10400, 0x10450), range(0x1D400, 0x1D500), range(0x1F300, 0x1F700), range(0x20),
]  # fmt: skip


def made_texts(count):
    """`count` texts; none has a character that this Python's Unicode does not know, which another's may."""
    draw, texts = random.Random(0), list(ODD)
    while len(texts) < count:
        alphabets = draw.choices(_ALPHABETS, k=draw.randint(1, 4))
        characters = [chr(draw.choice(draw.choice(alphabets))) for _ in range(draw.randint(1, 80))]
        text = "".join(" " if draw.random() < 0.1 else character for character in characters)
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")  # halves that make a pair
        texts.append("".join(character if _is_known(character) else "x" for character in whole))
    return texts


def _is_known(character):
    return unicodedata.category(character) != "Cn"
