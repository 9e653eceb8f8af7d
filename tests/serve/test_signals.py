"""Signals under load lose no request that was accepted."""

import contextlib
import http.client
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from serving import ONE, SEVERAL, ask, events, load, predict, serving, wait_for


@pytest.mark.parametrize("workers", [1, 2])
def test_a_term_answers_what_was_accepted_and_ends_with_0(tmp_path, workers):
    with serving(ONE, "--workers", workers, folder=tmp_path) as server:
        with load(server) as found:
            while len(found) < 200:
                time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
        # A client that had not asked yet when its connection was closed finds that out when it asks.
        assert set(found) <= {200, 503, "ConnectionRefusedError of a connection"}, set(found)
        assert len(events(server, "ended")) == workers


def replace(folder, source):
    """Put another model where one is, as an upgrade does: beside it first, then by its name."""
    new = folder.with_name("new")
    shutil.copytree(source, new)
    shutil.move(folder, folder.with_name(f"old-{time.monotonic_ns()}"))
    new.rename(folder)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hang_up_reloads_without_losing_a_request(tmp_path, workers):
    folder = tmp_path / "model"
    shutil.copytree(ONE, folder)
    with serving(folder, "--workers", workers, folder=tmp_path) as server, load(server, 4) as found:
        before = predict(server, "the cup goal")
        for round_, source in enumerate([SEVERAL, ONE, SEVERAL], 1):
            replace(folder, source)
            server.process.send_signal(signal.SIGHUP)
            wait_for(server, "reloaded", round_ * workers)
        assert predict(server, "the cup goal") != before
        (folder / "vocab.txt").write_text("broken")
        server.process.send_signal(signal.SIGHUP)
        fault = wait_for(server, "reload_failed", workers)
        assert "vocab.txt" in fault["problem"]
        assert predict(server, "the cup goal") != before
        count = len(found)
        while len(found) < count + 50:
            time.sleep(0.01)
    assert set(found) == {200}


def test_metrics_of_workers_add_up_and_a_dead_one_is_replaced(tmp_path):
    with serving(ONE, "--workers", 2, folder=tmp_path) as server:
        for _ in range(20):
            predict(server, ["the cup goal"] * 3)
        line = f'rubrica_answers_total{{label="Sports",model="{ONE.name}"}} 60.0'
        assert line in ask(server, "GET", "/metrics")[2]
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        assert len(children) == 2
        os.kill(int(children[0]), signal.SIGKILL)
        wait_for(server, "worker_died")
        done = 0
        while done < 20:  # what the dead worker had in its hands is lost, and what waits at its door is not
            with contextlib.suppress(OSError, http.client.HTTPException):
                predict(server, "the cup goal")
                done += 1
        assert line.replace("60.0", "80.0") in ask(server, "GET", "/metrics")[2]


def test_workers_end_with_the_first_process_even_if_it_is_killed(tmp_path):
    with serving(ONE, "--workers", 2, folder=tmp_path) as server:
        server.process.kill()
        wait_for(server, "ended", 2, alone=True)
        refused = False
        while not refused:  # a worker that has ended may not have left yet
            try:
                predict(server, "a")
            except ConnectionRefusedError:
                refused = True
            except (ConnectionError, http.client.HTTPException):
                time.sleep(0.01)
