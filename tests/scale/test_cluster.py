"""A cluster that is not there has a sentence, at once."""

import socket

import pytest

from rubrica.errors import RubricaError
from rubrica.scale.cluster import cluster

pytest.importorskip("ray", reason="make ray installs Ray and runs these tests")
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings


def test_an_address_where_nobody_listens(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody else takes it, and nobody listens
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(RubricaError, match=r"^Ray at 127.*refused; check RAY_ADDRESS"), cluster(1):
            pass
