"""Run the notebooks from top to bottom and keep their outputs: `python docs/run_notebooks.py [NOTEBOOK...]`.

Progress bars are not kept: they say how fast this machine was. A Russian twin has the same code, so it gets the same
outputs.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent / "notebooks"


def run(path):
    """The notebook with the outputs of a run in an empty folder.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    notebook = nbformat.read(path, 4)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # for `!rubrica`
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_bar(output)]
    return notebook


def _is_bar(output):
    return output.get("data", {}).get("text/plain") == "<IPython.core.display.HTML object>"


def share(notebook, path):
    """Give the outputs to a twin, which has the same cells with other words."""
    twin = nbformat.read(path, 4)
    for cell, ran in zip(twin.cells, notebook.cells, strict=True):
        if cell.cell_type == "code":
            assert cell.source == ran.source, f"{path}: other code than its twin: {cell.source}"
            cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
    nbformat.write(twin, path)


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:] or sorted(set(FOLDER.glob("*.ipynb")) - set(FOLDER.glob("*.ru.ipynb")))):
        notebook = run(path)
        nbformat.write(notebook, path)
        if (twin := path.with_suffix(".ru.ipynb")).exists():
            share(notebook, twin)
        print(f"ran {path}", file=sys.stderr)
