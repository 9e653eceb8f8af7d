"""What each reader promises of any bytes: what it read is sound, or a `RubricaError` says in one sentence why not."""

import resource
import time
from contextlib import contextmanager

import numpy as np

from rubrica.artifact.fasttext_file import read_fasttext
from rubrica.artifact.fasttext_model import open_model
from rubrica.data.dataset import read_dataset
from rubrica.errors import RubricaError
from rubrica.kernels import native
from rubrica.kernels.fasttext import Engine
from rubrica.kernels.fasttext_twin import Twin
from rubrica.predict.classifier import Classifier
from rubrica.text.tokens import pack

MORE_BYTES = 50 << 20
MOST_SECONDS = 1.0  # of the processor
TEXTS = ["слово a b", "", "unseen \u0085 words"]


def check_model(path):
    """A model folder or file answers every text with labels and finite scores."""
    classifier = Classifier(open_model(path))
    labels, scores = classifier.predict(TEXTS), classifier.predict_proba(TEXTS)
    assert len(labels) == len(scores) == len(TEXTS)
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1.001)).all()  # fastText adds 1e-5 at each node of its tree
    for label in labels:
        assert all(isinstance(name, str) for name in ([label] if isinstance(label, str) else label))


def check_fasttext(path, lines, few=12):
    """A file of fastText's answers all lines, and the native core as its twin on the first `few`."""
    settings, tensors = read_fasttext(path)
    engine = Engine(settings.rules, tensors)
    engine.word_vectors(pack(lines))
    vectors = engine.sentence_vectors(pack(lines))
    if settings.supervised:
        best, scores = engine.best(pack(lines), 3), engine.scores(pack(lines))
        assert (best.labels < settings.num_labels).all()
        assert np.isfinite(best.scores).all()
        assert np.isfinite(scores).all()
        if native.library() is not None and max(settings.word_ngrams, settings.max_n) < 20:
            twin, some = Twin(settings.rules, tensors), pack(lines[:few])
            found = twin.vectors(some, words=False)
            atol = 1e-5 * max(1, np.abs(found[np.isfinite(found)]).max(initial=0))
            np.testing.assert_allclose(vectors[:few], found, rtol=1e-5, atol=atol)
            np.testing.assert_allclose(scores[:few], twin.scores(some), rtol=1e-4, atol=1e-5)


def check_vectors(vectors):
    """Each word is text and has its finite numbers; returns them."""
    assert vectors.matrix.shape == (len(vectors.words), vectors.dim)
    assert all(isinstance(word, str) for word in vectors.words)
    assert np.isfinite(vectors.matrix).all()
    return vectors.words, vectors.matrix.tobytes()


def check_rows(path, **layout):
    """Each text is text and has its label; returns them, and the classes."""
    dataset = read_dataset(path, **layout)
    (examples,) = dataset.splits.values()
    texts, labels = list(examples.texts), list(examples.labels)
    assert len(texts) == len(labels)
    assert all(isinstance(text, str) for text in texts)
    if examples.soft is not None:
        probabilities = examples.soft.of(dataset.task.labels)
        assert probabilities.shape == (len(texts), dataset.task.num_classes)
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
        assert not dataset.task.has_confusion or abs(probabilities.sum(axis=1) - 1).max(initial=0) < 1e-5
    return texts, labels, dataset.task.labels


def found_by(check, *arguments, **named):
    """What a check returns, True where it returns nothing; None where an error said in one sentence why not."""
    problem = ""
    try:
        found = check(*arguments, **named)
    except RubricaError as error:
        problem, found = str(error), None
    else:
        found = True if found is None else found
    assert "\n" not in problem
    return found


def all_found(check, path, variants, every=1):
    """Of the changed contents of a file every so many: how many hold something, and how many were tried."""
    found = tried = 0
    for number, (what, content) in enumerate(variants):
        if number % every:
            continue
        path.write_bytes(content)
        try:
            with cheaply():
                found += found_by(check, path) is not None
        except BaseException as error:
            error.add_note(f"{path.name}: {what}")
            raise
        tried += 1
    return found, tried


@contextmanager
def cheaply():
    """The block takes a second of the processor and 50 MB of memory at most."""
    before, started = _most_bytes(), time.process_time()
    yield
    seconds, more = time.process_time() - started, _most_bytes() - before
    assert seconds < MOST_SECONDS, f"{seconds:.1f} s"
    assert more < MORE_BYTES, f"{more >> 20} MB more"


def _most_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
