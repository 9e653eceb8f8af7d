"""The road of training data, from `rubrica train` to the saved folder: what it becomes, and in which rooms."""

import sys
from itertools import pairwise

import pytest

from made_files import write_splits
from rubrica.cli import main as cli
from test_architecture import ROOMS

# What the data becomes on its way, in the room that makes it. Each counts when it appears first: one more epoch
# makes the road no longer.
FORMS = {
    "Dataset": "data",
    "Vectors": "vectors",
    "Corpus": "corpus",
    "Job": "learning",
    "History": "learning",
    "OneLabelReport": "scoring",
    "Artifact": "artifact",
}


@pytest.mark.parametrize("model", ["bag", "linear", "gru"])
def test_the_road_climbs_back_at_most_five_times(tiny_news, tmp_path, monkeypatch, model):
    made = []

    def watch(frame, event, _):
        if event == "call" and frame.f_code.co_name in ("__init__", "__new__", "save_artifact"):
            name = frame.f_code.co_name
            kind = "folder" if name == "save_artifact" else type_of(frame)
            if (kind in FORMS or kind == "folder") and kind not in made:
                made.append(kind)

    def type_of(frame):
        if "_cls" in frame.f_locals:  # of a named tuple
            return frame.f_locals["_cls"].__name__
        return type(frame.f_locals.get("self")).__name__

    data = write_splits(tmp_path / "data", tiny_news)
    arguments = ["train", str(data), "--model", model, "--epochs", "1", "--out", str(tmp_path / "model")]
    monkeypatch.setattr(sys, "argv", ["rubrica", *arguments, "--set", "data.validation_fraction=0.03"])
    sys.setprofile(watch)
    try:
        cli.main()
    finally:
        sys.setprofile(None)
    rooms = ["cli", *(FORMS.get(kind, "artifact") for kind in made)]
    assert {"Dataset", "Corpus", "Job", "History", "OneLabelReport", "Artifact", "folder"} == set(made)
    road = [room for room, following in pairwise([*rooms, ""]) if room != following]
    climbs = [(room, following) for room, following in pairwise(road) if ROOMS.index(following) < ROOMS.index(room)]
    assert len(climbs) <= 5, road
