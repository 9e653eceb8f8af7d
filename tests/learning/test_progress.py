"""The bar: silent off a terminal, and on one it shows the figures."""

import io
import sys

from rubrica.learning.progress import progress_bar


def test_off_a_terminal_nothing_is_written(capsys):
    with progress_bar("train", 3) as advance:
        for _ in range(3):
            advance("loss 1.0")
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_figures_and_eta_are_shown(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bar("gru", 3) as advance:
        for _ in range(3):
            advance("loss 0.1234 accuracy 0.9000")
    for expected in ("gru", "3/3", "loss 0.1234 accuracy 0.9000", "ETA"):
        assert expected in terminal.getvalue()
