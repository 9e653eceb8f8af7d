"""What the doctor says of the seminar's five recipes, and what the three gravest faults of each cost.

Each recipe is trained as the seminar trained it, with its seed. The doctor gets the model, the data and the vectors,
and nothing that says which faults there are. Its trials put each fault alone back into a training in which all of them
are mended: three seeds, 4,000 texts of train, judged on 2,000 others of train.

    python benchmarks/seminar_faults.py ../shared/data/ag_news ../shared/vectors/glove.twitter.27B.25d.12k.txt

Names of experiments behind these two run those alone and keep the rows of the others. The result is written after each.
"""

import sys

from results import load_result, save_result
from rubrica.data.dataset import read_dataset
from rubrica.insight.findings import at_least
from rubrica.insight.model_doctor import examine_model
from rubrica.learning.train import train_dataset
from rubrica.models.config import load_recipe
from rubrica.predict.classifier import Classifier
from rubrica.seminar.experiments import EXPERIMENTS
from rubrica.vectors.stored import load_vectors


def main():
    data, vectors = read_dataset(sys.argv[1]), load_vectors(sys.argv[2])
    names = sys.argv[3:] or sorted(EXPERIMENTS, key="cnn".__eq__)  # the cnn is the slow one
    kept = [row for row in load_result("seminar_faults").get("rows", []) if row["experiment"] not in names]
    for name in names:
        model = Classifier(train_dataset(data, vectors, load_recipe(f"seminar-{name}"))[1])
        for found in at_least(examine_model(model, data, vectors=vectors, trials=True), "warning"):
            cost = found.cost._asdict() if found.cost else None
            kept.append({"experiment": name, "kind": found.kind, "severity": found.severity, "title": found.title,
                         "cost": cost})  # fmt: skip
            print(kept[-1], flush=True)
        kept.sort(key=lambda row: list(EXPERIMENTS).index(row["experiment"]))
        save_result("seminar_faults", {"rows": kept})


if __name__ == "__main__":
    main()
