"""What the doctor says of the seminar's five recipes, and what the three gravest faults of each cost.

Each recipe is trained as the seminar trained it, with its seed. The doctor gets the model, the data and the vectors,
and nothing that says which faults there are. Its trials put each fault alone back into a training in which all of them
are mended: three seeds, 4,000 texts of train, judged on 2,000 others of train.

    python benchmarks/seminar_faults.py ../shared/data/ag_news ../shared/vectors/glove.twitter.27B.25d.12k.txt
"""

import sys

from results import write_result
from rubrica.data.dataset import read_dataset
from rubrica.insight.findings import at_least
from rubrica.insight.model_doctor import examine_model
from rubrica.learning.train import train_dataset
from rubrica.models.config import load_recipe
from rubrica.predict.classifier import Classifier
from rubrica.seminar.experiments import EXPERIMENTS
from rubrica.vectors.stored import load_vectors


def main():
    data, vectors, rows = read_dataset(sys.argv[1]), load_vectors(sys.argv[2]), []
    for name in sorted(EXPERIMENTS, key="cnn".__eq__):  # the cnn is the slow one
        model = Classifier(train_dataset(data, vectors, load_recipe(f"seminar-{name}"))[1])
        for found in at_least(examine_model(model, data, vectors=vectors, trials=True), "warning"):
            cost = found.cost._asdict() if found.cost else None
            rows.append({"experiment": name, "kind": found.kind, "severity": found.severity, "title": found.title,
                         "cost": cost})  # fmt: skip
            print(rows[-1], flush=True)
    rows.sort(key=lambda row: list(EXPERIMENTS).index(row["experiment"]))
    write_result("seminar_faults", {"rows": rows})


if __name__ == "__main__":
    main()
