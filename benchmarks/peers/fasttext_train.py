"""FastText as its authors ran AG News (classification-results.sh), from its text file to its saved model.

python fasttext_train.py TRAIN.txt MODEL.bin SEED [EPOCHS LR]
"""

import re
import sys


def line(text):
    """A text as fastText wants it: lower-cased, punctuation split off, on one line."""
    return re.sub(r"([^\w\s])", r" \1 ", text.lower()).replace("\n", " ")


def write_texts(examples, path):
    """A split as a text file."""
    pairs = zip(examples.labels, examples.texts, strict=True)
    path.write_text("".join(f"__label__{label.replace(' ', '_')} {line(text)}\n" for label, text in pairs))


def predict(model, lines):
    """Labels by the batch call of fastText's own Python module; its public one fails with numpy 2."""
    labels, _ = model.f.multilinePredict(lines, 1, 0.0, "strict")
    return [label[0].removeprefix("__label__") for label in labels]


if __name__ == "__main__":
    import fasttext

    source, target, seed, epochs, lr = [*sys.argv[1:], 5, 0.25][:5]
    model = fasttext.train_supervised(
        source, dim=10, lr=float(lr), wordNgrams=2, epoch=int(epochs), thread=2, seed=int(seed), verbose=0
    )
    model.save_model(target)
