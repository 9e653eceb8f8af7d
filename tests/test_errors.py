"""Errors are sentences with a place and a way out."""

import subprocess
import sys

import pytest

from rubrica.errors import ConfigError, DataError, FileError, MissingExtraError, RubricaError, nearest, require


def test_a_file_error_opens_with_path_and_line():
    assert str(DataError("a.csv", "3 columns, expected 2", line=812)) == "a.csv line 812: 3 columns, expected 2"
    assert str(DataError("a.csv", "empty")) == "a.csv: empty"


def test_errors_are_caught_by_their_kind():
    assert issubclass(DataError, FileError)
    assert issubclass(FileError, RubricaError)
    assert issubclass(ConfigError, ValueError)
    assert issubclass(MissingExtraError, ImportError)


def test_a_missing_library_names_the_command_that_installs_it():
    assert require("json", "data").dumps({}) == "{}"
    with pytest.raises(MissingExtraError, match=r"nowhere is not installed; run: pip install 'rubrica\[train\]'"):
        require("nowhere.inner", "train")


def test_a_library_that_is_there_but_broken_is_not_explained_away(tmp_path, monkeypatch):
    (tmp_path / "halfway.py").write_text("import not_there_at_all")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all") as caught:
        require("halfway", "train")
    assert not isinstance(caught.value, MissingExtraError)


def test_a_slip_names_the_nearest_word_else_all():
    assert nearest("grru", ["gru", "lstm"]) == "did you mean 'gru'?"
    assert nearest("zzz", ["gru", "lstm"]) == "known: gru, lstm"


def test_without_scikit_learn_there_is_one_sentence_and_the_rest_works():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from rubrica import *\n"
        "import rubrica\n"
        "try:\n    rubrica.TextClassifier\nexcept rubrica.RubricaError as error:\n    print(error)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert answer == "sklearn is not installed; run: pip install 'rubrica[sklearn]'\n"


def test_a_message_is_one_line_whatever_a_file_is_called():
    error = DataError("a\nb\x1b[2J.csv", "no label 'é\u3000日\u2028'", line=3)
    assert str(error) == "a\\nb\\x1b[2J.csv line 3: no label 'é\u3000日\\u2028'"
    assert error.path == "a\nb\x1b[2J.csv"
