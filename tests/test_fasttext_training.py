"""`rubrica.fasttext` trains and quantises: Ctrl-C in the middle, an output in codes, engines that are kept."""

import _thread
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import rubrica
import rubrica.fasttext as ours
from ragged import needs_native
from rubrica.kernels import fasttext as engines

pytestmark = needs_native

LABELS = 300  # codes need 256 rows
LINES = [f"__label__l{i % LABELS} word{i % LABELS} other{i % 11}" for i in range(3 * LABELS)]
LONG = 10_000  # epochs: a minute or more, which no test waits for
SOON = 20  # seconds; an end within them is none of a whole training


@pytest.fixture
def file(tmp_path):
    (tmp_path / "train.txt").write_text("\n".join(LINES) + "\n")
    return tmp_path / "train.txt"


@pytest.fixture
def ctrl_c():
    """Presses Ctrl-C in half a second."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker of pytest-xdist ignores it
    yield threading.Timer(0.5, _thread.interrupt_main).start
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("train", [ours.train_supervised, ours.train_unsupervised])
def test_ctrl_c_ends_a_training_soon_and_leaves_nothing(file, train, ctrl_c):
    began = time.perf_counter()
    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        train(str(file), epoch=LONG, minCount=1, dim=50, bucket=1000, verbose=0)
    assert time.perf_counter() - began < SOON
    assert [path.name for path in file.parent.iterdir()] == ["train.txt"]
    model = ours.train_supervised(str(file), epoch=1, verbose=0)  # nothing is stuck
    assert len(model.labels) == LABELS


IMPATIENT = """
import _thread, signal, threading
import rubrica.fasttext
from rubrica.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of a job in the background ignores it
threading.Timer(0.5, _thread.interrupt_main).start()
main()
"""


def test_ctrl_c_ends_the_command_with_a_word(file):
    words = ["fasttext", "supervised", "-input", file, "-output", file.parent / "model", "-epoch", LONG, "-verbose", 0]
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, *map(str, words)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")
    assert [path.name for path in file.parent.iterdir()] == ["train.txt"]


def test_ctrl_c_in_a_new_training_keeps_the_model_as_it_was(file, ctrl_c):
    model = ours.train_supervised(str(file), epoch=5, lr=0.5, wordNgrams=2, bucket=2000, verbose=0)
    before, asked = model.get_input_matrix(), ["word1 other2", "word7"]
    answers = model.predict(asked)
    ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        model.quantize(str(file), retrain=True, cutoff=1000, epoch=LONG, verbose=0)
    assert not model.is_quantized()
    np.testing.assert_array_equal(model.get_input_matrix(), before)
    assert model.predict(asked)[0] == answers[0]


@pytest.mark.parametrize("loss", ["softmax", "ova", "hs"])
@pytest.mark.parametrize("dsub", [2, 3])
def test_an_output_in_codes_is_read_by_fasttext(file, tmp_path, loss, dsub):
    fasttext = pytest.importorskip("fasttext", reason="fastText is not installed")
    settings = {"epoch": 20, "lr": 0.5, "loss": loss, "dim": 11, "wordNgrams": 2, "bucket": 500, "verbose": 0}
    model = ours.train_supervised(str(file), **settings)
    model.quantize(qout=True, qnorm=dsub == 3, dsub=dsub)
    model.save_model(tmp_path / "small.ftz")
    theirs = fasttext.load_model(str(tmp_path / "small.ftz"))
    for text in ["word1 other2", "word299", "", "nothing known", *LINES[:40]]:
        labels, scores = model.predict(text, 5)
        expected = theirs.f.predict(text + "\n", 5, 0.0, "strict")
        np.testing.assert_allclose(scores, [score for score, _ in expected], atol=1e-6)
        assert labels == tuple(label for _, label in expected)
    assert model.test(str(file))[1] == pytest.approx(theirs.test(str(file))[1])


def test_the_engine_of_a_classifier_is_opened_once(file, tmp_path, monkeypatch):
    ours.train_supervised(str(file), epoch=1, verbose=0).save_model(tmp_path / "model.bin")
    opened, fault_of = [], engines.fault_of
    monkeypatch.setattr(engines, "fault_of", lambda *given: opened.append(1) or fault_of(*given))
    model = rubrica.load(tmp_path / "model.bin")
    for text in LINES[:5]:
        model.predict([text])
        model.sentence_vector(text)
    assert len(opened) == 1
    first, other = rubrica.load(tmp_path / "model.bin"), rubrica.load(tmp_path / "model.bin")
    del model
    np.testing.assert_array_equal(first.sentence_vector("word1"), other.sentence_vector("word1"))
    assert len(opened) == 3
