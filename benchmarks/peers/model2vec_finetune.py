"""Model2vec's classifier: a table of word pieces, distilled from a sentence encoder, fine-tuned under one hidden layer.

Its own defaults, stopped early on our validation part, on which it does not train afterwards; it draws by our seed.
The folder is read as it is, nothing is fetched. Its table has one byte a number and has lost its scale: texts are
normalised, so the scale changes no answer, but Adam's steps have a fixed length, and beside numbers up to 127 the table
would stand still (trec6: 69 %). So the scale is chosen on validation. Several classes a text: one threshold, likewise.

    python model2vec_finetune.py DATA SEED VECTORS
"""

import sys
import time

import numpy as np

import trial

SCALES = (0.1, 0.01, 0.001)


def main(given, folder):
    """As `trial.run`, for a peer that has its own way to use a validation part."""
    texts, truth, test_texts, test_truth, classes = trial.read_task(given.data)
    several = trial.is_multi_label(truth)
    kept, held = trial.held_out(truth, given.seed)
    known = set(np.flatnonzero(truth[kept].any(axis=0)).tolist())  # it refuses a validation label that train lacks
    thresholds = trial.THRESHOLDS if several else (None,)
    held_texts = [texts[i] for i in held]

    def labels(rows):
        found = [[classes[i] for i in np.flatnonzero(row) if i in known] for row in truth[rows]]
        return found if several else [one[0] for one in found]

    def fit(scale):
        from model2vec import StaticModel
        from model2vec.train import StaticModelForClassification

        table = StaticModel.from_pretrained(folder)
        table.embedding = table.embedding.astype(np.float32) * scale
        model = StaticModelForClassification.from_static_model(model=table)
        model.fit(
            [texts[i] for i in kept], labels(kept), X_val=held_texts, y_val=labels(held),
            random_seed=given.seed, device="cpu",
        )  # fmt: skip
        places = [classes.index(name) for name in model.classes_]

        def score(texts):
            scores = np.zeros((len(texts), len(classes)))
            scores[:, places] = model.predict_proba(texts)
            return scores

        return score

    tried = [(*trial.best_threshold(score(held_texts), truth[held], thresholds), score, scale)
             for scale in SCALES for score in [fit(scale)]]  # fmt: skip
    validation, threshold, score, scale = max(tried, key=lambda one: one[0])
    started = time.perf_counter()
    answers = trial.decide(score(test_texts), threshold)
    trial.report(
        trial.judge(answers, test_truth, multi_label=several),
        setting={"scale": scale} | ({"threshold": threshold} if several else {}),
        validation=validation,
        test_seconds=time.perf_counter() - started,
    )


if __name__ == "__main__":
    vectors = sys.argv.pop()
    main(trial.arguments(), vectors)
