"""The programs of docs/artifact.md, which read an ONNX file."""

import re
from pathlib import Path
from types import SimpleNamespace


def programs():
    """The short one, which has Rubrica make the inputs, and the long one, which does without Rubrica."""
    text = (Path(__file__).parents[1] / "docs" / "artifact.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def as_documented():
    """The functions of the long program: numpy, re and onnxruntime, nothing of ours."""
    _, program = programs()
    assert "rubrica" not in program
    names = {}
    exec(program, names)
    return SimpleNamespace(**names)
