"""The shares and beliefs of rubrica.js are those of `rubrica.explain`; its places are in UTF-16 units."""

from itertools import accumulate

import numpy as np
import pytest

from made_fasttext import FASTTEXT, made_fasttext
from made_models import make_bag
from nodes import ask
from rubrica import explain
from rubrica.artifact.fasttext_model import to_artifact
from rubrica.predict.classifier import Classifier, load

MADE = {
    "bag with runs": lambda: Classifier(make_bag(2, 13, "model.max_n=4")),
    "bag with a tree": lambda: Classifier(make_bag(2, 13, "model.loss=hs")),
    "fastText": lambda: Classifier(to_artifact(*made_fasttext(**FASTTEXT["pruned.ftz"]), "pruned")),
    "fastText with a tree": lambda: Classifier(to_artifact(*made_fasttext(**FASTTEXT["tree.bin"]), "tree")),
}


@pytest.mark.parametrize(
    "name", [*MADE, "linear", "words", "bag", "gru and linear", "several, gru and linear", "small"]
)
def test_shares_and_beliefs(name, models, texts, tmp_path):
    (MADE[name]() if name in MADE else models[name]).save(tmp_path / "model")
    model, few = load(tmp_path / "model"), [*texts[:2], *texts[30:52], "w0 w1 __label__0 w2"]
    few = [text[:120] for text in few]
    question = {"folder": str(tmp_path / "model"), "few": few, "label": model.labels[1]}
    (found,) = ask([question])
    assert "error" not in found, found
    for text, shares, beliefs in zip(few, found["shares"], found["beliefs"], strict=True):
        expected = explain(model, text, labels=[model.labels[1]], beliefs=True)
        places = list(accumulate((1 + (character > "\uffff") for character in text), initial=0))
        spans = [(places[token.start], places[token.end]) for token in expected.tokens]
        assert [(start, end) for start, end, _ in shares] == spans
        np.testing.assert_allclose([share for *_, share in shares], expected.reasons[0].shares, atol=1e-4)
        np.testing.assert_allclose(np.array(beliefs), expected.beliefs, rtol=0, atol=1e-5)
