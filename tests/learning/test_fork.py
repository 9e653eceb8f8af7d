"""A training in a forked process."""

import os
import subprocess
import sys

import pytest

FORK = """
import multiprocessing
import rubrica

texts, labels = ["goal and match", "soup in a pan", "late goal", "salt the soup"] * 50, ["sport", "food"] * 100
config = rubrica.make_config(model={"name": "gru", "hidden_size": 8, "embedding_dim": 8}, training={"epochs": 2})

def run(queue):
    tensors = rubrica.train(texts, labels, config=config).artifact.tensors
    queue.put({name: tensor.tobytes() for name, tensor in tensors.items()})

here, there = (multiprocessing.get_context("fork").Queue() for _ in range(2))
run(here)
process = multiprocessing.get_context("fork").Process(target=run, args=(there,), daemon=True)
process.start()
assert there.get(timeout=100) == here.get(timeout=100)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_forked_process_trains_what_its_parent_trained():
    """torch's threads do not survive a fork; the child waited for them forever."""
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=200)
