"""Lines of a file without a suffix, and of standard input."""

import io
import sys

import pytest

from made_files import write
from rubrica.data.large_files import iter_lines
from rubrica.errors import DataError

LINES = "\ufeffone\r\n\n two \u2028 \x0c \r mid\nlast"


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("standard", [False, True])
def test_lines_in_are_answers_out(tmp_path, monkeypatch, end, standard):
    path = write(tmp_path / "a.txt", LINES + end)
    stdin = io.TextIOWrapper(io.BytesIO(path.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert list(iter_lines("-" if standard else path)) == ["one", "", " two \u2028 \x0c \r mid", "last"]
    assert not stdin.closed


def test_lines_that_cannot_be_read(tmp_path):
    path = write(tmp_path / "a.txt", b"fine\n\ncaf\xe9\n")
    lines = iter_lines(path)
    assert [next(lines), next(lines)] == ["fine", ""]
    with pytest.raises(DataError, match=r"a\.txt line 3: not UTF-8"):
        next(lines)
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        next(iter_lines(tmp_path / "b.txt"))
