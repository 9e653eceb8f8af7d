"""A worker that waits to be killed, and who kills it: the same place of the work, however fast the machine is."""

import os
import signal
import sys
import threading
import time

from ray import cloudpickle


def wait_to_be_killed(mark):
    """Say in the file `mark` which process this is; the first one to do so waits for its end."""
    first = not mark.exists()
    with mark.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if first:
        time.sleep(600)


def kill_who_waits(mark, module):
    """In a thread, kill the process that will wait; its objects are of classes of a test's module."""
    for name in (module, __name__):  # workers cannot import tests
        cloudpickle.register_pickle_by_value(sys.modules[name])

    def kill():
        while not mark.exists() or not mark.read_text().endswith("\n"):
            time.sleep(0.05)
        os.kill(int(mark.read_text().split()[0]), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
