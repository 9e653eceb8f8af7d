"""scikit-learn's contract where a text may have several labels."""

import numpy as np
import pandas
import pyarrow
import pytest
import scipy.sparse
from sklearn.model_selection import KFold, cross_val_score

from rubrica import TextClassifier

COLOURS = {"red": ["rose", "ruby"], "green": ["leaf", "moss"], "blue": ["sky", "sea"]}
SETS = [{"red"}, {"green", "blue"}, {"blue"}, {"red", "green"}, set(), {"red", "green", "blue"}] * 12
TEXTS = [" ".join(COLOURS[colour][turn % 2] for colour in sorted(found)) or "grey" for turn, found in enumerate(SETS)]
MATRIX = np.array([[name in found for name in sorted(COLOURS)] for found in SETS], int)


@pytest.mark.parametrize("model", ["linear", "bag"])
def test_several_labels_come_back_in_the_form_in_which_they_came(model):
    forms = {
        "lists": [sorted(found) for found in SETS],
        "sets": SETS,
        "matrix": MATRIX,
        "booleans": MATRIX.astype(bool),
        "rows": MATRIX.tolist(),
        "sparse": scipy.sparse.csr_matrix(MATRIX),
        "frame": pandas.DataFrame(MATRIX, columns=sorted(COLOURS)),
        "pyarrow": pyarrow.table(dict(zip(sorted(COLOURS), MATRIX.T, strict=True))),
    }
    fitted = {name: TextClassifier(model).fit(TEXTS, y) for name, y in forms.items()}
    for name in ("frame", "pyarrow", "lists"):
        assert fitted[name].classes_.tolist() == sorted(COLOURS)
    assert fitted["matrix"].classes_.tolist() == [0, 1, 2]
    p = fitted["matrix"].predict_proba(TEXTS)
    for name, estimator in fitted.items():
        np.testing.assert_array_equal(estimator.predict_proba(TEXTS), p)
        found = estimator.predict(TEXTS)
        if name in ("lists", "sets"):
            found = [[name in row for name in sorted(COLOURS)] for row in found]
        np.testing.assert_array_equal(found, MATRIX)
        assert estimator.score(TEXTS, forms[name]) == 1.0
    assert fitted["lists"].score(TEXTS, MATRIX) == 1.0
    assert fitted["pyarrow"].score(TEXTS, forms["pyarrow"].select(["red", "blue", "green"])) == 1.0
    assert cross_val_score(TextClassifier(model), TEXTS, MATRIX, cv=3).mean() > 0.8
    assert cross_val_score(TextClassifier(model), TEXTS, forms["lists"], cv=KFold(3)).mean() > 0.8


def test_weights_and_several_labels():
    dropped = np.array([float("green" not in found) for found in SETS])
    model = TextClassifier("linear", class_weight="balanced").fit(TEXTS, [sorted(found) for found in SETS], dropped)
    assert model.classes_.tolist() == ["blue", "red"]
    with pytest.raises(ValueError, match="only 'balanced' is known"):
        TextClassifier("linear", class_weight={"red": 2}).fit(TEXTS, MATRIX)
