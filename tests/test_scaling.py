"""docs/scaling.md: the function for Spark answers batches of Arrow; the flags are those of the command."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

import rubrica
from made_models import random_artifact
from rubrica.artifact.folder import save_artifact
from rubrica.cli.main import rubrica as command

PAGES = [Path(__file__).parents[1] / "docs" / name for name in ("scaling.md", "scaling.ru.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_function_for_spark(page, tmp_path, monkeypatch):
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    names = {}
    exec(block, names)
    save_artifact(random_artifact("bag", lists=False), tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    batches = [pa.record_batch({"id": [1, 2], "text": ["a", "слово"]}), pa.record_batch({"id": [3], "text": [""]})]
    found = pa.Table.from_batches(names["answer"](batches))
    assert found.column_names == ["id", "text", "answer"]
    assert found.column("answer").to_pylist() == rubrica.load("model").predict(["a", "слово", ""])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_have_these_flags(page):
    known = {flag for name in ("train", "predict") for option in command.commands[name].params for flag in option.opts}
    torchrun = {"--standalone", "--nproc-per-node", "--nnodes", "--rdzv-backend", "--rdzv-endpoint"}
    lines = re.findall(
        r"^(?:\$ |    ).*rubrica (?:train|predict).*$", page.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert len(lines) > 4
    for line in lines:
        assert set(re.findall(r"(?<= )--[a-z-]+", line)) <= known | torchrun, line
