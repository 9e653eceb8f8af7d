"""What `rubrica info --env` says of the machine."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version

import numpy as np

from rubrica import __version__, environment
from rubrica.kernels import native


def test_it_says_what_a_report_of_a_fault_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("RUBRICA_CACHE", str(tmp_path))
    monkeypatch.setenv("RUBRICA_THREADS", "3")
    facts = environment.describe()
    found = facts["versions"]
    assert (found["python"], found["numpy"]) == (platform.python_version(), np.__version__)
    assert (found["rubrica"], found["torch"]) == (__version__, version("torch"))
    assert facts["processor"].startswith(f"{os.cpu_count()} cores, ")
    assert facts["kernels"] == native.describe()
    assert (facts["threads"], facts["cache"]) == (3, str(tmp_path))


def test_what_is_not_installed_is_none():
    assert environment.versions(("no-such-library",)) == {"python": platform.python_version(), "no-such-library": None}


def info(*arguments, **environment):
    command = [sys.executable, "-m", "rubrica", "info", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_the_command_prints_it_for_people_and_machines():
    done = info("--env", "--json", RUBRICA_KERNELS="numpy")
    assert json.loads(done.stdout)["kernels"] == "numpy (RUBRICA_KERNELS=numpy)"
    lines = info("--env", RUBRICA_KERNELS="numpy", COLUMNS="300").stdout.splitlines()
    assert "kernels: numpy (RUBRICA_KERNELS=numpy)" in lines
    assert f"python {platform.python_version()}, rubrica {__version__}" in lines[0]


def test_it_takes_a_model_or_the_environment():
    for arguments in ([], ["model", "--env"]):
        done = info(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "give MODEL or --env, one of the two" in done.stderr


def test_it_imports_no_library_to_learn_its_version():
    code = "from rubrica.environment import describe; describe(); import sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "torch", "pyarrow", "gensim", "datasets", "safetensors"} & set(modules)
