"""Models of fastText itself, trained on made lines, and lines that no tokeniser likes."""

import random

WORDS = {
    "sport": "match goal team coach league player мяч команда гол победа",
    "money": "market bank price stock euro dollar рынок банк цена рубль",
    "sky": "star planet moon orbit comet sky звезда луна небо комета",
    "food": "bread soup cheese apple salt tea хлеб суп сыр чай",
    "law": "court judge law police jury crime суд закон судья улика",
}
ODD = [
    "", " ", "   \t ", "a", "\x00", "a\x00b", "</s>", "goal </s> bank", "__label__sport goal", "__label__none goal",
    "__label__",
    "\v\f\r", "🙂 goal🙂", "e\u0301te\u0301 bank", "日本語のテキスト", "ＦＵＬＬ", "\u00a0goal\u2003bank", "goal" * 300,
    "goal " * 2000,
    "\ufeffgoal", "ß ẞ İ ı", "<goal> <", ">", "unseen words only here",
]  # fmt: skip


def make_lines(count, seed, *, several=False):
    """Lines with labels, mostly of words of their class."""
    draw = random.Random(seed)
    names = list(WORDS)
    common = [word for words in WORDS.values() for word in words.split()]
    lines = []
    for _ in range(count):
        labels = draw.sample(names, draw.randint(1, 2) if several else 1)
        words = [draw.choice(WORDS[draw.choice(labels)].split()) for _ in range(draw.randint(2, 9))]
        words += [draw.choice(common) + draw.choice(["", "s", "ы", "ing"]) for _ in range(draw.randint(0, 3))]
        words.append(f"v{draw.randrange(400)}")  # a quantised matrix needs 256 rows
        draw.shuffle(words)
        lines.append(" ".join([f"__label__{label}" for label in labels] + words))
    return lines


def train(fasttext, folder, *, quantise=None, several=False, kind="supervised", lines=None, **settings):
    """A model of fastText's own, and the path of its file."""
    text = folder / "train.txt"
    lines = lines or make_lines(400, 1, several=several)
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    # fastText 0.9.3 starts a tenth of its matrix per thread, and leaves the rest as the memory was.
    settings = {"dim": 10, "epoch": 3, "minCount": 1, "bucket": 1000, "thread": 12, "verbose": 0} | settings
    if kind == "supervised":
        model = fasttext.train_supervised(str(text), **{"lr": 0.3, "minn": 0, "maxn": 0} | settings)
    else:
        model = fasttext.train_unsupervised(str(text), model=kind, **settings)
    if quantise is not None:
        extra = {"input": str(text), "epoch": 1, "lr": 0.1, "thread": 12, "verbose": 0}
        model.quantize(**(extra | quantise if quantise.get("retrain") else quantise))
    path = folder / "model.bin"
    model.save_model(str(path))
    return fasttext.load_model(str(path)), path
