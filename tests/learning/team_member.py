"""Trains some models, alone or as one of the processes of a team, and writes what they learned.

    python team_member.py DATA OUT CASES.json

A case is a name and settings. DATA/several is for the case of this name, DATA/vectors.txt for the one that thaws; all
others read DATA/news. Each process writes OUT/NAME-NUMBER.npz with the tensors and the loss of every update.
"""

import json
import logging
import sys
from pathlib import Path

import numpy as np

from rubrica.environment import join_processes, processes, torchrun_processes
from rubrica.learning import loop
from rubrica.learning import train as train_room
from rubrica.models.config import make_config
from settings import changed


def main():
    data, out, cases = map(Path, sys.argv[1:])
    logging.basicConfig(level=logging.INFO)
    join_processes(*torchrun_processes())
    loop.WINDOW = 1  # every update is recorded
    train_room.baseline_scores = lambda *_: {}  # a bag to compare with takes most of the time
    for name, settings in json.loads(cases.read_text()).items():
        artifact = train_room.train(
            data / ("several" if name == "several" else "news"),
            vectors=data / "vectors.txt" if name == "thawed" else None,
            out=out / name,
            config=changed(make_config(), settings),
            checkpoint_every=0,
        ).artifact
        np.savez(out / f"{name}-{processes()[0]}.npz", **artifact.tensors)
        (out / f"{name}-{processes()[0]}.json").write_text(json.dumps([artifact.history, artifact.metrics]))


if __name__ == "__main__":
    main()
