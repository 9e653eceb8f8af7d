"""Which library is loaded, and what is said where none is."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rubrica.errors import ConfigError, RubricaError
from rubrica.kernels import native
from rubrica.kernels.product_quantizer import quantize_rows

CACHED = (native.library, native._load_best)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty place for libraries; whatever was found before is forgotten, and so is what is found in it."""
    for function in CACHED:
        function.cache_clear()
    monkeypatch.setattr(native, "FOLDER", tmp_path)
    monkeypatch.delenv("RUBRICA_KERNELS", raising=False)
    yield tmp_path
    for function in CACHED:
        function.cache_clear()


def libraries(folder, monkeypatch, *levels, cpu_level, version=native.VERSION):
    """Stand-ins for libraries, on a processor of some level."""
    for level in levels:
        (folder / f"librubrica-{level}.so").touch()
    loaded = {
        "rubrica_version": lambda: version, "rubrica_cpu_level": lambda: cpu_level, "rubrica_is_sanitized": lambda: 0
    }  # fmt: skip
    monkeypatch.setattr(ctypes, "CDLL", lambda path: SimpleNamespace(_name=path, **loaded))


@pytest.mark.parametrize(
    ("cpu_level", "built", "live"),
    [
        (2, "234", "2"),
        (3, "234", "3"),
        (4, "234", "4"),
        (4, "23", "3"),  # an old compiler that does not know AVX-512
        (3, "24", "2"),
        (3, "4", None),
    ],
)
def test_the_best_that_the_processor_can_run_is_live(folder, monkeypatch, cpu_level, built, live):
    libraries(folder, monkeypatch, *(f"x86-64-v{level}" for level in built), cpu_level=cpu_level)
    monkeypatch.setenv("RUBRICA_THREADS", "3")
    if live:
        assert native.describe() == f"native (x86-64-v{live}), 3 threads"
    else:
        assert native.library() is None
        assert "the processor is of level x86-64-v3, below x86-64-v4" in native.describe()


def test_other_processors_have_one_library(folder, monkeypatch):
    libraries(folder, monkeypatch, "baseline", cpu_level=0)
    assert native.describe().startswith("native (baseline)")


def test_without_a_library_numpy_computes_and_says_nothing(folder, monkeypatch, caplog):
    assert native.library() is None
    assert native.describe() == f"numpy ({native.NOT_BUILT})"
    assert not caplog.records
    native.library.cache_clear()
    monkeypatch.setenv("RUBRICA_KERNELS", "native")
    with pytest.raises(ConfigError, match="RUBRICA_KERNELS is native, but this installation has no native core"):
        native.library()


def test_why_there_is_none_is_said_as_it_is(folder, monkeypatch):
    assert native.why_none() == native.NOT_BUILT
    monkeypatch.setenv("RUBRICA_KERNELS", "numpy")
    with pytest.raises(RubricaError, match="quantised by the native core; RUBRICA_KERNELS=numpy turns the native core"):
        quantize_rows(np.zeros((256, 2), np.float32), 2)
    monkeypatch.delenv("RUBRICA_KERNELS")
    for function in CACHED:
        function.cache_clear()
    libraries(folder, monkeypatch, "x86-64-v2", cpu_level=2, version=native.VERSION - 1)
    assert native.why_none().endswith(f"expected {native.VERSION}; install rubrica anew")


@pytest.mark.parametrize("version", [native.VERSION - 1, native.VERSION + 1])
def test_a_stale_library_is_refused_with_a_sentence(folder, monkeypatch, caplog, version):
    libraries(folder, monkeypatch, "x86-64-v2", cpu_level=2, version=version)
    assert native.library() is None
    sentence = f"librubrica-x86-64-v2.so is of version {version}, expected {native.VERSION}; install rubrica anew"
    assert sentence in native.describe()
    assert [record.getMessage() for record in caplog.records] == [f"numpy computes, many times slower: {sentence}"]


def test_what_is_no_library_is_refused_with_a_sentence(folder, caplog):
    (folder / "librubrica-x86-64-v2.so").touch()
    assert native.library() is None
    assert "the library does not load" in caplog.text
    assert native.describe().endswith("; install rubrica anew)")


def test_numpy_can_be_chosen_and_nonsense_cannot(folder, monkeypatch):
    libraries(folder, monkeypatch, "baseline", cpu_level=0)
    monkeypatch.setenv("RUBRICA_KERNELS", "numpy")
    assert native.library() is None
    assert native.describe() == "numpy (RUBRICA_KERNELS=numpy)"
    native.library.cache_clear()
    monkeypatch.setenv("RUBRICA_KERNELS", "cuda")
    with pytest.raises(ConfigError, match="RUBRICA_KERNELS is 'cuda'; give one of native, numpy, or leave it unset"):
        native.library()


def test_the_number_of_threads_is_that_of_the_variables_or_the_cores(monkeypatch):
    for name in ("RUBRICA_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert 1 <= native.num_threads() <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert native.num_threads() == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "4, 2")  # OpenMP's list: threads, and threads of a thread
    assert native.num_threads() == 4
    monkeypatch.setenv("RUBRICA_THREADS", "7")
    assert native.num_threads() == 7
    for bad in ("0", "-1", "many"):
        monkeypatch.setenv("RUBRICA_THREADS", bad)
        with pytest.raises(ConfigError, match="RUBRICA_THREADS is"):
            native.num_threads()


def test_the_variable_decides_for_a_whole_process():
    command = [sys.executable, "-c", "from rubrica.kernels import native; print(native.describe())"]
    environment = os.environ | {"RUBRICA_KERNELS": "numpy"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "numpy (RUBRICA_KERNELS=numpy)\n"


def test_the_version_is_that_of_the_source():
    source = Path(__file__).parents[2] / "native" / "cpu.cpp"
    assert f"int rubrica_version() {{ return {native.VERSION}; }}" in source.read_text()
