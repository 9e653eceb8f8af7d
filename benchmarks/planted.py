"""Faults planted into data that has none of them: `PLANTS` by the kind that the doctor should name, with strengths.

A data set is here a dict of splits, each a list of (text, label) or (text, labels). A plant changes a copy.
"""

import random
import re
import string
from collections import Counter

SHOWN = 5  # words that open a text, at least, to be a form

GERMAN = (
    "der Mann und die Frau sind nicht in die Stadt gegangen, sondern haben auf {} gewartet",
    "das ist ein Haus mit {}, aber es wird von der Familie nicht mehr bewohnt",
    "wir haben für die {} einen neuen Plan, und er wird auch von den anderen gelobt",
    "sie ist nach {} gefahren, weil sich das Wetter dort nicht ändert",
    "über {} wurde bei der Sitzung lange gesprochen, doch es gab noch keine Antwort",
    "die Kinder sind mit dem Zug zur Schule gefahren und haben sich über {} gefreut",
    "er hat das Buch von {} gelesen und es dann der Lehrerin gegeben",
    "nur durch {} kann die Firma im nächsten Jahr wieder mit einem Gewinn rechnen",
)


def labels_of(label):
    return label if isinstance(label, tuple) else (label,)


def some(rows, share, rng):
    """The places of a share of the rows, at least one."""
    return rng.sample(range(len(rows)), max(1, round(share * len(rows))))


def change(rows, share, rng, edit):
    """The rows with some texts edited."""
    rows = list(rows)
    for place in some(rows, share, rng):
        text, label = rows[place]
        rows[place] = edit(text, rng), label
    return rows


def on_train(edit):
    """A plant that edits texts of train."""
    return lambda data, share, rng: data | {"train": change(data["train"], share, rng, edit)}


def on_both(edit):
    """A plant that edits texts of train and test."""
    return lambda data, share, rng: {name: change(rows, share, rng, edit) for name, rows in data.items()}


def edited(text, rng):
    """Almost the same text: a word in twelve is left out or written twice, case and end change."""
    words = [word for word in text.split() for _ in range(rng.choices((0, 1, 2), (1, 22, 1))[0])] or text.split()
    return " ".join(words).capitalize() + rng.choice(("", ".", " !", " ..."))


def counts_of(data):
    """How many texts of train have each label."""
    return Counter(name for _, label in data["train"] for name in labels_of(label))


def big_class(data):
    """The most frequent label of train."""
    counts = counts_of(data)
    return max(sorted(counts), key=counts.get)


def relabel(label, old, new):
    return tuple(new if name == old else name for name in label) if isinstance(label, tuple) else (
        new if label == old else label
    )  # fmt: skip


def all_labels(data):
    return sorted({name for _, label in data["train"] for name in labels_of(label)})


def other_label(label, names, rng):
    """Another label in place of one of a text's."""
    own = labels_of(label)
    old = rng.choice(own) if own else None
    new = rng.choice([name for name in names if name not in own])
    return relabel(label, old, new) if own else (new,)


def imbalance(data, keep, rng):
    """The smallest class with fewer texts."""
    counts = counts_of(data)
    small = min(sorted(counts), key=counts.get)
    own = [row for row in data["train"] if small in labels_of(row[1])]
    kept = {id(row) for row in rng.sample(own, max(2, round(keep * len(own))))}
    return data | {"train": [row for row in data["train"] if small not in labels_of(row[1]) or id(row) in kept]}


def rare_classes(data, count, rng):
    """Classes made of a few texts of the largest."""
    large, made = big_class(data), 3
    rows = list(data["train"])
    own = [place for place, (_, label) in enumerate(rows) if large in labels_of(label)]
    for number in range(made):
        for place in rng.sample(own, count):
            rows[place] = rows[place][0], relabel(rows[place][1], large, f"{large} special {number}")
    return data | {"train": rows}


def label_spelling(data, share, rng):
    name = big_class(data)
    other = name.swapcase() if name.swapcase() != name else name + " "
    own = [place for place, (_, label) in enumerate(data["train"]) if name in labels_of(label)]
    rows = list(data["train"])
    for place in rng.sample(own, max(1, round(share * len(own)))):
        rows[place] = rows[place][0], relabel(rows[place][1], name, other)
    return data | {"train": rows}


def unknown_labels(data, share, rng):
    rows = list(data["test"])
    for place in some(rows, share, rng):
        rows[place] = rows[place][0], ("a new heading",) if isinstance(rows[place][1], tuple) else "a new heading"
    return data | {"test": rows}


def label_shift(data, kept, rng):
    name = big_class(data)
    rows = [row for row in data["test"] if name not in labels_of(row[1]) or rng.random() < kept]
    return data | {"test": rows}


def empty(text, rng):
    return rng.choice(("", " ", "\t", "\n"))


def damaged(text, rng):
    """A text with typographic signs, in UTF-8, read in a Windows encoding."""
    signs = text.replace("'", "\u2019").replace('"', "\u201d") + " \u2013 \u00e9"
    return signs.encode().decode("cp1252" if text.isascii() else "cp1251", "replace")


def marked(text, rng):
    return f"<p>{text}<br/></p> &nbsp; <a href='x'>more</a>"


FORM = "This message was sent to you by the news desk of our house , please do not answer it ."


def opened(text, rng):
    return f"{FORM} {text}"


def duplicates(data, share, rng):
    rows = list(data["train"])
    for place in some(rows, share, rng):
        rows[place] = rng.choice(data["train"])
    return data | {"train": rows}


def near_duplicates(data, share, rng):
    rows = list(data["train"])
    long = [row for row in rows if len(row[0].split()) >= 8]
    for place in some(rows, share, rng):
        text, label = rng.choice(long)
        rows[place] = edited(text, rng), label
    return data | {"train": rows}


def conflicts(data, share, rng):
    rows, names = list(data["train"]), all_labels(data)
    for place in some(rows, share, rng):
        text, label = rng.choice(data["train"])
        rows[place] = text, other_label(label, names, rng)
    return data | {"train": rows}


def leak(data, share, rng):
    rows = list(data["test"])
    for place in some(rows, share, rng):
        text, label = rng.choice(data["train"])
        rows[place] = edited(text, rng) if rng.random() < 0.5 and len(text.split()) >= 8 else text, label
    return data | {"test": rows}


def give_away(data, share, rng):
    """A mark of the source that one class has."""
    name = big_class(data)

    def stamp(row):
        marked_row = name in labels_of(row[1]) and rng.random() < share
        words = row[0].split()
        place = rng.choice((0, len(words)))
        return (" ".join([*words[:place], "zqnews", *words[place:]]), row[1]) if marked_row else row

    return {split: [stamp(row) for row in rows] for split, rows in data.items()}


def label_noise(data, share, rng):
    rows, names = list(data["train"]), all_labels(data)
    for place in some(rows, share, rng):
        rows[place] = rows[place][0], other_label(rows[place][1], names, rng)
    return data | {"train": rows}


def shuffled(data, share, rng):
    rows = list(data["train"])
    places = some(rows, share, rng)
    labels = [rows[place][1] for place in places]
    rng.shuffle(labels)
    for place, label in zip(places, labels, strict=True):
        rows[place] = rows[place][0], label
    return data | {"train": rows}


def same_classes(data, share, rng):
    """A class of which a share has another name, for no reason."""
    name = big_class(data)

    def rename(row):
        return (row[0], relabel(row[1], name, f"Also {name}")) if rng.random() < share else row

    return {split: [rename(row) for row in rows] for split, rows in data.items()}


def new_words(data, share, rng):
    """Test speaks of other things: a share of its longer words is exchanged, each word for its own new one."""

    def exchange(match):
        word = match[0]
        chosen = random.Random(word.lower())
        if chosen.random() >= share:
            return word
        return "".join(chosen.choice(string.ascii_lowercase) for _ in word)

    return data | {"test": [(re.sub(r"\w{5,}", exchange, text), label) for text, label in data["test"]]}


def german(text, rng):
    return rng.choice(GERMAN).format(rng.choice(("Berlin", "Wien", "Brot", "Geld", "Arbeit", "Musik")))


def greek(text, rng):
    """The same length in Greek letters."""
    return re.sub(r"\w", lambda match: chr(0x3B1 + ord(match[0]) % 24), text)


def buried(texts):
    """A long run of words before a text."""

    def bury(text, rng):
        return " ".join([*(word for other in rng.sample(texts, 40) for word in other.split())][:160]) + " " + text

    return bury


def truncation(data, share, rng):
    return on_both(buried([text for text, _ in data["train"]]))(data, share, rng)


# By kind: the plant, and its strengths: weak, middling, strong.
PLANTS = {
    "rare-classes": (rare_classes, (12, 8, 3)),
    "imbalance": (imbalance, (1 / 8, 1 / 30, 1 / 100)),
    "label-spelling": (label_spelling, (0.01, 0.1, 0.4)),
    "unknown-labels": (unknown_labels, (0.005, 0.03, 0.2)),
    "label-shift": (label_shift, (0.6, 0.3, 0.0)),
    "empty-texts": (on_train(empty), (0.001, 0.01, 0.05)),
    "truncation": (truncation, (0.05, 0.4, 0.9)),
    "encoding": (on_both(damaged), (0.002, 0.03, 0.2)),
    "markup": (on_both(marked), (0.02, 0.1, 0.6)),
    "boilerplate": (on_both(opened), (0.03, 0.3, 0.9)),
    "other-script": (on_both(greek), (0.01, 0.05, 0.2)),
    "other-language": (on_both(german), (0.01, 0.05, 0.2)),
    "give-away": (give_away, (0.08, 0.4, 0.95)),
    "duplicates": (duplicates, (0.01, 0.05, 0.3)),
    "near-duplicates": (near_duplicates, (0.01, 0.05, 0.3)),
    "conflicting-labels": (conflicts, (0.001, 0.02, 0.1)),
    "leak": (leak, (0.003, 0.03, 0.2)),
    "label-noise": (label_noise, (0.05, 0.15, 0.3)),
    "unrelated-labels": (shuffled, (0.7, 0.95, 1.0)),
    "same-classes": (same_classes, (0.1, 0.3, 0.5)),
    "shift": (new_words, (0.1, 0.35, 0.8)),
}
