"""Answers with their probabilities are the answers, and the probabilities."""

from pathlib import Path

import numpy as np
import pytest

from made_fasttext import made_fasttext
from rubrica import load
from rubrica.artifact.fasttext_file import write_fasttext

DATA = Path(__file__).parents[1] / "data"
TEXTS = ["the cup goal", "w0 w1 oil", "", "unknown", "w2 " * 40]


@pytest.fixture(params=["artifact-v2", "artifact-v4", "softmax", "hs", "ova"])
def model(request, tmp_path):
    if request.param.startswith("artifact"):
        return load(DATA / request.param)
    write_fasttext(*made_fasttext(labels=4, loss=request.param), tmp_path / "model.bin")
    return load(tmp_path / "model.bin")


def check(model, rows, answers):
    probabilities = model.predict_proba(TEXTS)
    for row, answer, shares in zip(rows, answers, probabilities, strict=True):
        assert [label for label, _ in row] == (answer if isinstance(answer, list) else [answer])
        for label, score in row:
            wanted = shares.max() if label is None else shares[model.labels.index(label)]
            np.testing.assert_allclose(score, wanted, rtol=1e-6)


@pytest.mark.parametrize("k", [None, 1, 2, 99])
def test_the_labels_are_those_of_predict(model, k):
    check(model, model.scored(TEXTS, k=k), model.predict(TEXTS, k=k))


@pytest.mark.parametrize("below", [0.0, 0.4, 0.6, 1.0])
def test_a_text_without_an_answer_has_the_highest_probability(model, below):
    try:
        answers = model.predict(TEXTS, abstain_below=below)
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)[:20]):
            model.scored(TEXTS, abstain_below=below)
    else:
        check(model, model.scored(TEXTS, abstain_below=below), answers)


def test_k_and_abstaining_exclude_each_other(model):
    with pytest.raises(ValueError, match="k is 0"):
        model.scored(TEXTS, k=0)
    with pytest.raises(ValueError):
        model.scored(TEXTS, k=1, abstain_below=0.5)
    assert model.scored([]) == []
