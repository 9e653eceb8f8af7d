"""The notebooks of the documentation run from top to bottom, and are kept with outputs that say the same."""

import re
import runpy
from pathlib import Path

import nbformat
import pytest

DOCS = Path(__file__).parents[1] / "docs"
ENGLISH = ("seminar", "your_csv")


def read(name):
    return nbformat.read(DOCS / "notebooks" / f"{name}.ipynb", 4)


def codes(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell):
    """What a cell printed, without its figures: they differ in their last digits from processor to processor."""
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout")
    return re.sub(r"[\d.]+", "0", text)


# Two processors may train two models; what a notebook says does not depend on which it was.
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own libraries
@pytest.mark.parametrize("name", ENGLISH)
def test_a_notebook_runs_and_says_what_it_is_kept_with(name):
    ran, kept = runpy.run_path(str(DOCS / "run_notebooks.py"))["run"](DOCS / "notebooks" / f"{name}.ipynb"), read(name)
    for cell, before in zip(codes(ran), codes(kept), strict=True):
        assert printed(cell).splitlines()[:1] == printed(before).splitlines()[:1], cell.source
        kinds = [[sorted(output.get("data", {})) for output in each.outputs][:1] for each in (cell, before)]
        assert kinds[0] == kinds[1], cell.source


@pytest.mark.parametrize("name", [*ENGLISH, "seminar.ru"])
def test_outputs_are_kept_and_hold_no_fault(name):
    notebook = read(name)
    assert any("text/html" in output.get("data", {}) for cell in codes(notebook) for output in cell.outputs)
    for cell in codes(notebook):
        assert cell.execution_count, cell.source
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output


def test_the_russian_twin_has_the_same_cells():
    english, russian = read("seminar"), read("seminar.ru")
    assert [cell.cell_type for cell in english.cells] == [cell.cell_type for cell in russian.cells]
    assert [cell.source for cell in codes(english)] == [cell.source for cell in codes(russian)]
