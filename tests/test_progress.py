"""The bar: silent off a terminal, and on one it shows the figures."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest

from rubrica.progress import BytesBar, progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_off_a_terminal_nothing_is_written(capsys):
    with progress_bar("train", 3) as advance:
        for _ in range(3):
            advance("loss 1.0")
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_figures_and_eta_are_shown(monkeypatch):
    terminal = shown(monkeypatch)
    with progress_bar("gru", 3) as advance:
        for _ in range(3):
            advance("loss 0.1234 accuracy 0.9000")
    for expected in ("gru", "3/3", "loss 0.1234 accuracy 0.9000", "ETA"):
        assert expected in terminal.getvalue()


def shown(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    return terminal


def test_bytes_are_shown_with_what_is_read_and_an_eta(monkeypatch):
    terminal = shown(monkeypatch)
    with BytesBar(patience=0) as bar:
        bar.show("fetching a.csv", 3 << 20, 0)
        bar.show("reading a.csv", 1 << 20, 2 << 20)
        bar.note("12 texts")
        bar.show("reading a.csv", 2 << 20, 2 << 20)
    for expected in ("reading a.csv", "2/2 MB", "12 texts", "ETA"):
        assert expected in terminal.getvalue()


def test_what_is_read_in_a_moment_has_no_bar(monkeypatch):
    terminal = shown(monkeypatch)
    with BytesBar() as bar:
        bar.show("reading a.csv", 2, 2)
    assert terminal.getvalue() == ""


def test_quiet_is_quiet(monkeypatch):
    terminal = shown(monkeypatch)
    monkeypatch.setattr(logging.getLogger("rubrica"), "level", logging.ERROR)
    with BytesBar(patience=0) as bar, progress_bar("train", 1) as advance:
        bar.show("reading a.csv", 2, 2)
        advance("loss 1.0")
    assert terminal.getvalue() == ""


def test_a_failure_leaves_the_terminal_as_it_was(monkeypatch):
    terminal = shown(monkeypatch)

    def interrupted():
        with BytesBar(patience=0) as bar:
            bar.show("reading a.csv", 1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sys.stderr is terminal


@pytest.fixture
def pictures(monkeypatch):
    """What a notebook was shown, one picture after the other, where there is no notebook."""
    made = []

    class Handle:
        def update(self, html):
            made.append(html)

    def display(html, display_id):
        assert display_id
        made.append(html)
        return Handle()

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    monkeypatch.setattr("rubrica.progress._EVERY", 0)
    return made


def test_a_notebook_shows_the_bar_below_its_cell(pictures, capsys):
    with progress_bar("<gru>", 4) as advance:
        for place in range(4):
            advance(f"loss {place}")
    assert [f"loss {place}" in picture for place, picture in enumerate(pictures[:4])] == [True] * 4
    assert "&lt;gru&gt;" in pictures[0]
    assert ">25%<" in pictures[0]
    assert "s left" in pictures[0]
    assert ">100%<" in pictures[-1]
    assert "s left" not in pictures[-1]
    assert capsys.readouterr() == ("", "")


def test_a_notebook_shows_bytes_too(pictures):
    with BytesBar(patience=0) as bar:
        bar.show("reading a.csv", 1 << 20, 2 << 20)
        bar.note("12 texts")
        bar.show("reading b.csv", 0, 0)
    assert any("reading a.csv" in picture and "1/2 MB" in picture for picture in pictures)
    assert any("12 texts" in picture for picture in pictures)
    assert "reading b.csv" in pictures[-1]


def test_ipython_without_a_kernel_is_no_notebook(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    with progress_bar("train", 1) as advance:
        advance("")
    assert capsys.readouterr() == ("", "")
