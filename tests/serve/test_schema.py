"""schemathesis asks what /openapi.json allows and what it does not, and looks at each answer."""

import subprocess
import sys

import pytest

from serving import ONE, SEVERAL, events, serving

# Whether a tensor's shape fits the number of its texts is beyond a schema, so some that fit the schema are refused.
PARTS = {
    "infer": ["--include-operation-id", "infer_v2", "--exclude-checks", "positive_data_acceptance"],
    "others": ["--exclude-operation-id", "infer_v2", "--checks", "all"],
}


QUICK, WHOLE = ["--max-examples", "5", "--phases", "coverage,fuzzing"], ["--max-examples", "1000"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    limits = ["--max-texts", 4, "--max-chars", 100]  # so that whatever is beyond them fits into a body
    with serving(f"one={ONE}", f"several={SEVERAL}", *limits, folder=tmp_path_factory.mktemp("schema")) as found:
        yield found


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("flags", [QUICK, pytest.param(WHOLE, marks=pytest.mark.slow)], ids=["quick", "whole"])
def test_the_document_is_kept(server, tmp_path, part, flags):
    address = f"http://127.0.0.1:{server.port}/openapi.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", address, *PARTS[part], *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not [line for line in events(server, "request") if line["status"] >= 500]
