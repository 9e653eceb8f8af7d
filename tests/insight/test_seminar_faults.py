"""The seminar's five recipes: the doctor names the faults of each without being told."""

from dataclasses import replace

import numpy as np
import pytest

from made_models import learn
from rubrica.data.dataset import Examples, read_dataset
from rubrica.insight.findings import at_least
from rubrica.insight.model_doctor import examine_model
from rubrica.insight.pages.language import read_language
from rubrica.insight.pages.translation import translate
from rubrica.insight.trials import REPAIRS, fitting
from rubrica.models.config import load_recipe
from rubrica.text.tokenizer import tokenize
from rubrica.vectors.word_vectors import Vectors

OF_ALL = {"padding-read", "padding-is-word", "capitals-unknown", "absent-words-move"}
ONE_EPOCH = {"too-short", "underfitting", "learns-nothing"}
"""What one epoch of a few texts comes to; a state that is stuck does not learn in the next one either."""
RECURRENT = {"start-values", "saturated-units"}


@pytest.fixture(scope="module")
def news():
    """400 stories to train on, 200 others, and vectors in lower case, as GloVe's are, whose first word is frequent."""
    data = read_dataset("mini-news")
    splits = {
        name: Examples(data.splits[name].texts[:count], data.splits[name].labels[:count])
        for name, count in (("train", 400), ("test", 200))
    }
    words = {word for text in splits["train"].texts for word in tokenize(text, lowercase=True)}
    words = ["the", *sorted(words - {"the"})]
    matrix = np.random.default_rng(0).normal(size=(len(words), 25)).astype(np.float32)
    return replace(data, splits=splits), Vectors(words, matrix, "glove")


@pytest.mark.parametrize("name", ["cnn", "rnn", "gru", "gru-vectors", "gru-frozen"])
def test_each_recipe_s_faults_are_named(news, name):
    data, vectors = news
    recipe = load_recipe(f"seminar-{name}")
    model = learn(data, recipe, vectors)
    findings = examine_model(model, data, vectors=vectors)
    assert {translate(finding, read_language("ru"))[1] for finding in findings} == {"ru"}
    found = {finding.kind for finding in at_least(findings, "warning")}
    expected = OF_ALL if name == "cnn" else OF_ALL | RECURRENT
    if name == "rnn":  # its state is stuck at 1: nothing that is read counts, so no word moves
        expected = (expected | {"constant-answer", "vanishing-gradient"}) - {"absent-words-move"}
    if name == "gru-frozen":  # the first 1,001 updates are more than there are here
        expected = expected | {"embedding-still"}
    assert expected <= found
    assert found & ONE_EPOCH
    # Each of the settings that the ladder mends is among the remedies.
    mended = {key for kind in found for table in fitting(REPAIRS.get(kind, {}), recipe).values() for key in table}
    assert {"mask_padding", "lowercase"} <= mended
    assert ("init" in mended) == (name != "cnn")
