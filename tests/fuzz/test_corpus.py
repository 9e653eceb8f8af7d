"""Every input that the fuzzer begins with, and every one that once broke a reader, read in the usual tests."""

import pytest

from fuzz.readers import READERS, check, corpus

MOST_BYTES = 4000  # an input is for reading, too


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder for each reader, where its whole files are made once."""
    return {name: tmp_path_factory.mktemp(name) for name in READERS}


@pytest.mark.parametrize("name", READERS)
def test_every_input_is_read_or_refused(folders, name):
    paths = corpus(name)
    assert paths
    for path in paths:  # imports what is imported late
        READERS[name](path.read_bytes(), folders[name])
    for path in paths:
        content = path.read_bytes()
        assert len(content) <= MOST_BYTES, path
        try:
            check(name, content, folders[name])
        except BaseException as error:
            error.add_note(str(path))
            raise
