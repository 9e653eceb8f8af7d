"""Which scripts and languages the texts are in, and which texts are in another one than most.

A language is told by its commonest words, as a reader tells one that he does not speak. The words are the articles,
prepositions, pronouns and forms of "to be" of each language; a text counts where at least three of its words are such.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rubrica.insight.data_checks.sample import Part, Sample
from rubrica.insight.findings import Finding

_FEW = 0.005  # of the texts: quotations and names
_MANY = 0.02
_TELLING = 3  # common words that a text needs; two may stand in a title of a film
_CLEAR = 2  # words more than of any other language; neighbours such as Russian and Bulgarian share half of them
_EXAMPLES = 3

LANGUAGES = {
    "English": "the of and to in is that for it with was on are as be at by this have from or had not but what they"
    " his her she he you we an which their been has will would who were all can there if",
    "German": "der die das und ist nicht ein eine einen einem den dem des mit für auf sich auch von zu im war wird sind"
    " haben werden wurde bei nach aus dass aber wie wir ihr sie ich oder über noch nur durch kann hat",
    "French": "le la les des un une et est dans pour que qui ne pas sur au aux ce cette il elle nous vous avec par sont"
    " mais ou où du se son sa ses leur plus être été ont fait comme tout",
    "Spanish": "el la los las de del y que en un una es por con para no se su sus al lo como más pero fue ha son está"
    " este esta entre cuando muy sin sobre también hasta hay donde desde todo",
    "Italian": "il lo la gli le di del della dei che è un una in per con non si da al alla nel nella sono anche come"
    " più ma ha suo sua questo questa ed dal dalla essere stato tra dopo",
    "Portuguese": "o os as de do da dos das que em um uma para com não é se por mais como mas foi ao ele ela seu sua ou"
    " quando muito nos já também pelo pela até isso são está entre sem",
    "Dutch": "de het een en van in is dat op te zijn met voor niet aan er ook als maar om bij door naar hij ze wordt"
    " werd heeft uit over nog deze dit wat of worden",
    "Polish": "nie się jest na że do to jak po co ale od za przez jego już tylko tak oraz być był była są dla czy może"
    " które który przy ze",
    "Turkish": "bir ve bu için ile de da çok daha olarak olan gibi kadar sonra ama ne mi var değil her en o ben sen"
    " şey ise ki",
    "Swedish": "och att det som en på är av för med till den har de inte om ett var jag men sig från vi så kan när"
    " hade efter eller",
    "Russian": "и в не на что с по как это из за от для к но он она они мы вы его её так же бы был была было были у о"
    " об при до или если уже со чем который после",
    "Ukrainian": "і в не на що з та як це для від до є за у але він вона вони ми його її так був була було були про"
    " при або якщо вже який після із",
    "Bulgarian": "и на да се не за от че с по в е са ще като това към при до след или бе са които който със ги го ли"
    " още вече",
}
"""Common words of each language; a word may be common in several."""


def check_scripts(sample: Sample) -> Iterator[Finding]:
    """Texts in another script or language than most."""
    scripts = np.array(list(map(script_of, sample.words)), str)
    languages, table = _languages_of_words(sample)
    main: dict[str, str] = {}
    for part in sample.parts.values():
        for what, found in (("script", _script(part, scripts)), ("language", _language(part, languages, table))):
            names, counts = np.unique(found[found != ""], return_counts=True)
            if not len(names):
                continue
            usual = main.setdefault(what, str(names[counts.argmax()]))
            others = {str(name): int(count) for name, count in zip(names, counts, strict=True) if name != usual}
            yield from _finding(part, what, usual, others, found)


def _finding(part: Part, what: str, usual: str, others: dict[str, int], found: NDArray[np.str_]) -> Iterator[Finding]:
    share = sum(others.values()) / max(1, len(part))
    if share < _FEW:
        return
    told = ", ".join(
        f"{name} {count / len(part):.1%}" for name, count in sorted(others.items(), key=lambda o: -o[1])[:4]
    )
    places = np.flatnonzero((found != "") & (found != usual))[:_EXAMPLES].tolist()
    yield Finding(
        kind=f"other-{what}",
        severity="warning" if share >= _MANY else "note",
        title=f"{share:.1%} of {part.name} are in another {what} than {usual}: {told}",
        why=f"A model learns each {what} from its own texts alone, and vectors mostly know one.",
        remedy=f"Take these texts out, or label enough of each {what} and give vectors that know them all.",
        figures={"split": part.name, "share": share, "usual": usual, "others": others},
        rows=tuple(part.show(place, str(found[place])) for place in places),
    )


@cache
def _script_of(letter: str) -> str:
    """The first word of a letter's Unicode name, which is its script."""
    name = unicodedata.name(letter, "").partition(" ")[0]
    return "CJK" if name in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL") else name  # they stand in one text


def script_of(word: str) -> str:
    """The script of a word's first letter; empty where it has none."""
    return next((_script_of(letter) for letter in word if letter.isalpha()), "")


def _script(part: Part, scripts: NDArray[np.str_]) -> NDArray[np.str_]:
    """The script of most words of each text, (N,); empty for a text without letters."""
    names, numbers = np.unique(np.append(scripts, ""), return_inverse=True)
    counts = np.zeros((len(part), len(names)), np.int32)
    np.add.at(counts, (part.owners, numbers[part.ids]), 1)
    counts[:, names == ""] = 0
    return np.where(counts.any(axis=1), names[counts.argmax(axis=1)], "")


def _languages_of_words(sample: Sample) -> tuple[list[str], NDArray[np.int8]]:
    """The languages, and whether each word as written is common in each, (V, languages)."""
    names = list(LANGUAGES)
    common = {name: set(words.split()) for name, words in LANGUAGES.items()}
    lowered, numbers = sample.lowered
    table = np.array([[word in common[name] for name in names] for word in lowered], np.int8).reshape(-1, len(names))
    return names, table[numbers]


def _language(part: Part, names: list[str], table: NDArray[np.int8]) -> NDArray[np.str_]:
    """The language of each text that has enough common words, and more of one than of any other, (N,); else empty."""
    counts = np.zeros((len(part), len(names)), np.int32)
    for column in range(len(names)):
        counts[:, column] = np.bincount(part.owners, table[part.ids, column], minlength=len(part))
    order = np.sort(counts, axis=1)
    clear = (order[:, -1] >= _TELLING) & (order[:, -1] - order[:, -2] >= _CLEAR)
    return np.where(clear, np.array(names)[counts.argmax(axis=1)], "")
