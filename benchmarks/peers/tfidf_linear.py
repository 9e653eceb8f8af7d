"""Scikit-learn: TF-IDF of words and pairs of words, then a linear SVM or a logistic regression; C is tuned.

Several classes a text: one classifier a class; the SVM answers where its decision is above 0, the regression above
one threshold for all classes. Nothing is drawn at random but the validation part and the order of the SVM's steps.

    python tfidf_linear.py svm|logistic DATA SEED
"""

import sys

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

import trial

GRIDS = {"svm": (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), "logistic": (1.0, 4.0, 16.0, 64.0, 256.0)}
THRESHOLDS = {"svm": (0.0,), "logistic": trial.THRESHOLDS}


def starter(kind):
    """See `trial.run`."""

    def classifier(setting, seed, several):
        if kind == "svm":
            one = LinearSVC(random_state=seed, **setting)
        elif several:  # each class by itself: made for two classes, and ten times as fast
            one = LogisticRegression(solver="liblinear", random_state=seed, **setting)
        else:
            one = LogisticRegression(max_iter=1000, **setting)
        # One after the other: two threads crashed on reuters21578, two processes get copies that liblinear refuses.
        return OneVsRestClassifier(one) if several else one

    def start(texts, truth, seed):
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        features, several = vectorizer.fit_transform(texts), trial.is_multi_label(truth)

        def fit(setting):
            model = classifier(setting, seed, several)
            with threadpool_limits(1):  # a second thread makes L-BFGS three times slower
                model.fit(features, truth.astype(int) if several else truth.argmax(axis=1))
            decide = model.decision_function if kind == "svm" else model.predict_proba

            def score(texts):
                found = decide(vectorizer.transform(texts))
                found = np.stack([-found, found], axis=1) if found.ndim == 1 else found
                scores = np.full((len(texts), truth.shape[1]), -np.inf)
                scores[:, model.classes_] = found
                return scores

            return score

        return fit

    return start


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    trial.run(starter(kind), [{"C": C} for C in GRIDS[kind]], THRESHOLDS[kind])
