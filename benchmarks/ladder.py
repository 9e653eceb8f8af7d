"""The ladder of `rubrica seminar --ladder` over five seeds, for the table and the plot of docs/ladder.md.

Expected before the first run, of the whole way: rnn from 25 to 92 %, gru from 70 to 92.5 %; of single repairs: the
rnn's start wakes it only with masks, the last state being what is looked at, to 85 %; looking at all states brings
most of the rest; both directions nothing that shows; n-grams half a point.

    python benchmarks/ladder.py ../shared/data/ag_news ../shared/vectors/glove.twitter.27B.25d.12k.txt
    python benchmarks/ladder.py runs/ladder       # takes over what `rubrica seminar --ladder` wrote there
"""

import json
import sys
import tempfile
from pathlib import Path

from results import write_result
from rubrica.data.dataset import read_dataset
from rubrica.seminar.ladder import plot_ladder, run_ladder
from rubrica.vectors.stored import load_vectors

PLOT = Path(__file__).parents[1] / "docs" / "ladder.png"


def main():
    if len(sys.argv) == 2:
        report = json.loads((Path(sys.argv[1]) / "ladder.json").read_text())
    else:
        with tempfile.TemporaryDirectory() as folder:
            report = run_ladder(read_dataset(sys.argv[1]), load_vectors(sys.argv[2]), Path(folder) / "out")
    plot_ladder(report, PLOT)
    write_result("ladder", report)


if __name__ == "__main__":
    main()
