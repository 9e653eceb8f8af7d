import pytest

from serving import ONE, SEVERAL, serving


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    """Two models with the limits of the defaults."""
    with serving(f"one={ONE}", f"several={SEVERAL}", folder=tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(scope="package")
def strict(tmp_path_factory):
    """A model with small limits."""
    limits = ["--max-body", 2000, "--max-texts", 3, "--max-chars", 50, "--client-timeout", "0.5s", "--connections", 20]
    with serving(ONE, *limits, folder=tmp_path_factory.mktemp("strict")) as found:
        yield found
