"""benchmarks/gpu.py must be ready whenever a GPU is at hand: here all of it runs on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from made_files import write_splits
from rubrica.kernels import native

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


def run(*arguments):
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, env=hidden)


def knows_bfloat16(layer):
    """Whether torch computes a layer in bfloat16 on this processor; oneDNN's lstm asks for more than others do."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        try:
            layer(50, 64)(torch.zeros(3, 2, 50))
        except RuntimeError:
            return False
    return True


@pytest.mark.skipif(native.library() is None, reason="no native core, so both sides would be torch")
def test_the_gpu_benchmark_runs_on_the_cpu_and_writes_nothing(tmp_path, tiny_news):
    data = write_splits(tmp_path, tiny_news)
    results = SCRIPT.parent / "results"
    before = sorted((path, path.stat().st_mtime_ns) for path in results.iterdir())
    done = run(data, "--check-on-cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("off by") == 11 + 4 + 4
    unknown = [name for name in ("gru", "lstm", "rnn") if not knows_bfloat16(getattr(torch.nn, name.upper()))]
    assert done.stdout.count("s an epoch") == 4 * 3 - len(unknown)
    assert done.stdout.count("; equal") == 4
    assert done.stdout.count("error") == len(unknown)
    for name in unknown:
        assert f"{{'network': '{name}', 'way': 'bf16', 'error': " in done.stdout
    assert sorted((path, path.stat().st_mtime_ns) for path in results.iterdir()) == before


def test_without_a_gpu_it_says_so():
    done = run("mini-news")
    assert done.returncode == 1
    assert done.stderr.startswith("torch sees no GPU;")
    assert done.stderr.count("\n") == 1
