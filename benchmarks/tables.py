"""Write the tables of the README and the docs from `results/*.json`.

python benchmarks/tables.py           # rewrites the pages below
"""

import json
import re
from pathlib import Path
from statistics import median, stdev

from rubrica.insight.findings import KINDS

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md", "README.ru.md", "docs/accuracy.md", "docs/artifact.md", "docs/ladder.md", "docs/ladder.ru.md",
    "docs/guide.md", "docs/guide.ru.md", "docs/seminar.md", "docs/seminar.ru.md",
    "docs/scaling.md", "docs/scaling.ru.md", "docs/explain.md", "docs/explain.ru.md",
)  # fmt: skip


def load(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def percent(mean, std):
    return f"{mean:.1%}".replace("%", " %") + (f" ± {100 * std:.1f}" if std is not None else "")


DATA = {
    "ag_news": "AG News",
    "ag_news_1000": "1,000 of AG News",
    "trec6": "trec6",
    "sms_spam": "sms_spam",
    "lenta_headlines_ru": "lenta",
    "reuters21578": "reuters21578",
}


def accuracy():
    """A side a row, a data set a column: accuracy (micro-F1 of several labels a text) and macro-F1; seconds."""
    result = load("accuracy")
    cells = {(row["side"], row["data"]): row for row in result["rows"]}
    seeds = sorted({len(row["runs"]) for row in result["rows"]})
    counted = f"seeds: {seeds[0]}" + (f"-{seeds[-1]}" if len(seeds) > 1 else "")
    lines = [f"| {counted} | " + " | ".join(DATA.values()) + " | AG News, s |", "|---|" + "--:|" * (len(DATA) + 1)]
    for side in dict.fromkeys(row["side"] for row in result["rows"]):
        figures = [_figures(cells.get((side, data))) for data in DATA]
        took = cells.get((side, "ag_news"), {}).get("seconds_median")
        seconds = "-" if took is None else f"{took:.0f}"
        lines.append(f"| {side} | " + " | ".join([*figures, seconds]) + " |")
    return lines


def _figures(row):
    if row is None:
        return "-"
    first = "accuracy" if "accuracy_mean" in row else "micro_f1"
    spread = row[f"{first}_std"]
    return (
        f"{100 * row[f'{first}_mean']:.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else "")
        + f" / {100 * row['macro_f1_mean']:.1f}"
    )  # fmt: skip


def accuracy_over_time():
    """A point a row: seconds of the whole training, accuracy on test, and how often fastText's best fits into them."""
    rows = load("accuracy_over_time")["rows"]
    theirs = _best_of_curves()["fastText, bigrams"]["seconds_median"]
    lines = ["| | | seconds | of fastText's best | accuracy, % |", "|---|---|--:|--:|--:|"]
    for row in sorted(rows, key=lambda row: row["seconds_median"]):
        ratio = row["seconds_median"] / theirs
        lines.append(
            f"| {row['curve']} | {row['point']} | {row['seconds_median']:.1f} | {ratio:.1f} | {_of_seeds(row)} |"
        )
    return lines


def _best_of_curves():
    """The most accurate point of each curve."""
    rows = load("accuracy_over_time")["rows"]
    return {row["curve"]: row for row in sorted(rows, key=lambda row: row["accuracy_mean"])}


def _of_seeds(row):
    return f"{100 * row['accuracy_mean']:.2f} ± {100 * stdev(row['accuracy']):.2f}"


FIRST_SCREEN = {  # curve of accuracy_over_time.py: model of predict.py
    "rubrica bag": "bag",
    "fastText, bigrams": "fastText, bigrams",
    "rubrica linear": "linear",
    "TF-IDF + linear SVM": "TF-IDF + linear SVM",
    "rubrica": "default",
}


def first_screen():
    """What a reader compares first: accuracy, seconds of training, texts a second, megabytes."""
    best, answers = _best_of_curves(), load("predict")
    rates = {
        row["model"]: row["texts_per_second"] for row in answers["rows"]
    }  # the last of each: from a file, if it is
    rates["fastText, bigrams"] = median(row["fasttext_per_second"] for row in answers["rows"])
    lines = ["| | accuracy, % | training, s | texts/s | MB |", "|---|--:|--:|--:|--:|"]
    for curve, model in FIRST_SCREEN.items():
        row = best[curve]
        figures = f"{_of_seeds(row)} | {row['seconds_median']:.1f} | {_rounded(rates[model])}"
        lines.append(f"| {curve} | {figures} | {answers['megabytes'][model]:.1f} |")
    return lines


def _in_code(model):
    """A model's name as the command takes it; what follows is said in words."""
    name, *more = re.split(r"(?=[, ])", model, maxsplit=1)
    return f"`{name}`" + "".join(more).replace(" 48", ", 48 units")


def _rounded(rate):
    """Two digits: more of them would be noise."""
    return f"{float(f'{rate:.1e}'):,.0f}"


def calibration():
    """How sure our models are, and how right where they are sure."""
    lines = ["| | | calibration error | accuracy, % | without the least sure 10 % |", "|---|---|--:|--:|--:|"]
    for row in load("accuracy")["rows"]:
        if "ece_mean" in row:
            lines.append(
                f"| {row['side']} | {DATA[row['data']]} | {row['ece_mean']:.3f} | {100 * row['accuracy_mean']:.1f} |"
                f" {100 * row['accuracy_of_sure_mean']:.1f} |"
            )
    return lines


def seminar():
    """The five experiments beside the seminar's own figures."""
    lines = ["| | accuracy | loss | training, s | seminar: accuracy | seminar: loss |", "|---|---|---|---|---|---|"]
    for row in load("seminar")["rows"]:
        printed = row["seminar_accuracy"], row["seminar_loss"]
        theirs = ("-", "-") if printed[0] is None else (percent(printed[0], None), f"{printed[1]:.3f}")
        lines.append(
            f"| `{row['experiment']}` | {percent(row['accuracy_mean'], row['accuracy_std'])} | {row['loss_mean']:.3f} |"
            f" {row['train_seconds_median']:.0f} | {theirs[0]} | {theirs[1]} |"
        )
    return lines


def seminar_step():
    """One update as the seminar writes it, and ours."""
    lines = ["| | as written, ms | ours, ms | ratio (least-most) |", "|---|---|---|---|"]
    for row in load("seminar_step")["rows"]:
        lines.append(
            f"| `{row['experiment']}` | {row['as_written_ms']:.0f} | {row['ours_ms']:.1f} |"
            f" {row['ratio']:.0f} ({row['ratio_min']:.0f}-{row['ratio_max']:.0f}) |"
        )
    return lines


def seminar_spread():
    """The same with lowest and highest."""
    lines = [
        "| | accuracy, % | lowest-highest | loss | training, s | seminar: accuracy, % | loss |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in load("seminar")["rows"]:
        printed = row["seminar_accuracy"], row["seminar_loss"]
        theirs = "- | -" if printed[0] is None else f"{100 * printed[0]:.2f} | {printed[1]:.4f}"
        mean, std, low, high = (
            100 * value
            for value in (row["accuracy_mean"], row["accuracy_std"], min(row["accuracy"]), max(row["accuracy"]))
        )
        lines.append(
            f"| `{row['experiment']}` | {mean:.2f} ± {std:.2f} | {low:.2f}-{high:.2f} | {row['loss_mean']:.4f} |"
            f" {row['train_seconds_median']:.0f} | {theirs} |"
        )
    return lines


def ladder():
    """A rung a row, both ladders side by side: what the doctor says no more, accuracy, and what is won."""
    rows = load("ladder")["rungs"]
    names = list(dict.fromkeys(row["ladder"] for row in rows))
    heads = " | ".join(f"`{name}`, % | change" for name in names)
    heads = f"| rung | what was wrong | the doctor says no more | {heads} |"
    lines = [heads, "|---|---|---|" + "--:|--:|" * len(names)]
    for row in rows:
        if row["ladder"] == names[0]:
            sides = [other for other in rows if other["rung"] == row["rung"]]
            mended = ", ".join(f"`{kind}`" for kind in dict.fromkeys(kind for side in sides for kind in side["mended"]))
            lines.append(f"| {row['rung']} | {row['fault']} | {mended} | " + " | ".join(map(_climbed, sides)) + " |")
    return lines


def _climbed(row):
    change = "" if row["points"] is None else f"{row['points']:+.2f} {row['mark']}".strip().replace("*", "\\*")
    return f"{100 * row['accuracy_mean']:.2f} ± {100 * row['accuracy_std']:.2f} | {change}"


def spread(row):
    return f"{row['ratio']:.1f} ({row['ratio_min']:.1f}-{row['ratio_max']:.1f})"


def speed():
    """What this page says of speed, each row from the script of its name."""
    lines = ["| | ours | beside it | ratio (least-most) |", "|---|---|---|---|"]
    bag = load("bag")
    ours, theirs = (row["seconds_median"] for row in bag["rows"])
    lines.append(f"| `bag`: a CSV to a saved model | {ours:.2f} s | fastText, {theirs:.2f} s | {spread(bag)} |")
    for row in load("epoch")["rows"]:
        name = f"`{row['network']}`, {row['hidden_size']} units: an epoch"
        lines.append(f"| {name} | {row['ours_s']:.1f} s | torch's own layer, {row['torch_s']:.1f} s | {spread(row)} |")
    seminar = load("seminar_whole")
    lines.append(
        f"| `rubrica seminar`: the five experiments | {seminar['ours_s']:.0f} s |"
        f" as written, {seminar['as_written_s'] / 60:.0f} min | {spread(seminar)} |"
    )
    for row in load("predict")["rows"]:
        if row["model"] in FIRST_SCREEN:  # a peer
            continue
        where = f"a {row['from']}, {('one thread', 'two threads')[row['threads'] - 1]}"
        lines.append(
            f"| {_in_code(row['model'])}: labels of {where} | {row['texts_per_second'] / 1000:.0f} thousand/s |"
            f" fastText, {row['fasttext_per_second'] / 1000:.0f} thousand/s | {spread(row)} |"
        )
    start = next(row for row in load("startup")["rows"] if "predict" in row["command"])
    lines.append(
        f"| `echo text \\| rubrica predict`: the whole process | {start['median_s']:.2f} s |"
        f" `import numpy`, {start['numpy_median_s']:.2f} s | {1 / start['ratio']:.2f} |"
    )
    return lines


def vectors_read():
    """Reading 400,000 x 50."""
    lines = ["| | seconds (least-most) |", "|---|---|"]
    for reader, seconds in load("vectors_read")["seconds"].items():
        lines.append(f"| {reader} | {seconds['median']:.2f} ({seconds['min']:.2f}-{seconds['max']:.2f}) |")
    return lines


def artifact_size():
    """A model folder whole and made smaller; the change is against each seed's own whole model."""
    lines = ["| | MB | words | features | accuracy | change, points | worst seed |", "|---|---|---|---|---|---|---|"]
    for i, row in enumerate(load("artifact_size")["rows"]):
        change = f"{row['points_mean']:+.2f} ± {row['points_std']:.2f} | {row['points_worst']:+.2f}" if i else "- | -"
        lines.append(
            f"| {row['form']} | {max(row['bytes']) / 1e6:.2f} | {min(row['words']):,} ({row['storage']}) |"
            f" {min(row['features']):,} | {percent(row['accuracy_mean'], row['accuracy_std'])} | {change} |"
        )
    return lines


def growth():
    """1, 10 and 100 times the corpus: microseconds a text, against the smallest size, and memory."""
    lines = [
        "| | texts | numbering, us a text | ratio | an epoch, us a text | ratio (least-most) | file of ids, MB |"
        " memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in load("growth")["rows"]:
        lines.append(
            f"| {row['model']}, {row['times']:.0f}x | {row['texts']:,.0f} | {row['numbering_us']:.2f} |"
            f" {row['numbering_ratio']:.2f} | {row['epoch_us']:.2f} | {row['epoch_ratio']:.2f}"
            f" ({row['epoch_ratio_min']:.2f}-{row['epoch_ratio_max']:.2f}) | {row['id_file_bytes'] / 1e6:,.0f} |"
            f" {max(row['anon_numbering'], row['anon_training']) / 1e6:,.0f} |"
        )
    return lines


def large():
    """20 million rows beside a million: microseconds a row, the ratio, and memory."""
    lines = ["| | rows | us a row | ratio | memory, MB |", "|---|--:|--:|--:|--:|"]
    for row in load("large")["rows"]:
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else "1"
        lines.append(
            f"| {row['command']} | {row['rows']:,} | {row['us_a_row']:.1f} | {ratio} | {row['peak_mb']:,.0f} |"
        )
    return lines


def ray_scoring():
    """Two workers beside one: medians, least and most."""
    result = load("ray_scoring")
    rows = {"ratio": "Ray", "ratio_whole": "Ray, start included", "ratio_without_ray": "-"}
    lines = [f"| {result['pairs']} x {result['texts']:,} | 2 / 1 |", "|---|---|"]
    for key, name in rows.items():
        lines.append(f"| {name} | {result[key]:.2f} ({result[key + '_min']:.2f}-{result[key + '_max']:.2f}) |")
    return lines


def explanations():
    """On how many texts the score falls further without the strongest tokens, and how far it falls."""
    lines = ["| | | texts | further, % | fall | at random |", "|---|---|--:|--:|--:|--:|"]
    for row in load("explanations")["rows"]:
        figures = f"{100 * row['further_mean']:.1f} | {row['fall_mean']:.2f} | {row['fall_at_random_mean']:.2f}"
        lines.append(f"| {DATA[row['data']]}: {row['model']} | {row['method']} | {row['texts']:,} | {figures} |")
    return lines


def seminar_faults():
    """An experiment a row: what the doctor says of it, and what the three gravest faults cost."""
    said = {}
    for row in load("seminar_faults")["rows"]:
        cells = said.setdefault(row["experiment"], {"error": [], "warning": [], "cost": []})
        cells[row["severity"]].append(f"`{row['kind']}`")
        if row["cost"]:
            cells["cost"].append(f"`{row['kind']}` {row['cost']['points']:.1f} ± {row['cost']['spread']:.1f}")
    rows = [f"| `{name}` | " + " | ".join(map(", ".join, cells.values())) + " |" for name, cells in said.items()]
    return ["| | the doctor's errors | warnings | cost, points |", "|---|---|---|---|", *rows]


def _with_spread(values, digits):
    """The mean and the standard deviation of some figures; a dash where there are none."""
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{sum(values) / len(values):.{digits}f}{spread}" if values else "-"


def tune():
    """A data set a row: the default, what a search found, and both searches at 1 MB; means over the seeds."""
    result = load("tune")
    sides = list(dict.fromkeys(side for runs in result["runs"].values() for run in runs.values() for side in run))
    lines = [f"| {result['seconds'] / 60:.0f} minutes | " + " | ".join(sides) + " |", "|---|" + "--:|" * len(sides)]
    for data, runs in result["runs"].items():
        scores = ([100 * run[side]["score"] for run in runs.values() if run.get(side)] for side in sides)
        lines.append(f"| {DATA[data]} | " + " | ".join(_with_spread(found, 1) for found in scores) + " |")
    return lines


def regression():
    """A side a row: how near its scores are to the grader's; means over the seeds."""
    runs = list(load("regression")["runs"].values())
    lines = ["| | R² | mean absolute error |", "|---|--:|--:|"]
    for side in runs[0]:
        figures = ([run[side][name] for run in runs] for name in ("r2", "error"))
        lines.append(f"| {side} | " + " | ".join(_with_spread(found, 3) for found in figures) + " |")
    return lines


STRENGTHS = ("weak", "middling", "strong")


def doctor_rates():
    """What the doctor names on the data sets that chose no threshold, and how many sound samples it warns of."""
    data, models = load("doctor"), load("doctor_models")
    said = [bool(twin["kinds"]) for twin in data["alarms"] if twin["data"] in data["judged_on"]]
    kinds = {row["kind"] for row in data["rows"]}
    sides = {
        f"data, {len(kinds)} faults": data["summary"] | {"alarms": sum(said) / len(said)},
        f"trainings, {len(models['faults'])} faults": models["judged"] | {"alarms": models["judged"]["false_alarms"]},
    }
    lines = ["| named, % | " + " | ".join(STRENGTHS) + " | sound ones with a warning, % |", "|---|" + "--:|" * 4]
    for name, rates in sides.items():
        lines.append(f"| {name} | " + " | ".join(f"{100 * rates[key]:.1f}" for key in (*STRENGTHS, "alarms")) + " |")
    return lines


def doctor():
    """A planted fault a row: on how many data sets it is named, by its strength."""
    data, models = load("doctor"), load("doctor_models")
    sets = {row["data"] for row in data["rows"]}
    lines = [f"| named, of {len(sets)} data sets | " + " | ".join(STRENGTHS) + " |", "|---|" + "--:|" * len(STRENGTHS)]
    for kind in dict.fromkeys(row["kind"] for row in data["rows"]):
        own = [row for row in data["rows"] if row["kind"] == kind]
        counts = [sum(row["found"] for row in own if row["strength"] == strength) for strength in STRENGTHS]
        lines.append(f"| `{kind}`: {KINDS[kind]} | " + " | ".join(map(str, counts)) + " |")
    for fault, counts in models["faults"].items():
        lines.append(f"| a training: {fault} | " + " | ".join(str(counts[strength]) for strength in STRENGTHS) + " |")
    return lines


TABLES = {made.__name__: made for made in (
    accuracy, accuracy_over_time, artifact_size, calibration, doctor, doctor_rates, explanations, first_screen,
    growth, ladder, large, ray_scoring, regression, seminar, seminar_faults, seminar_spread, seminar_step,
    speed, tune, vectors_read,
)}  # fmt: skip


def fill(text):
    """The text with every `<!-- table NAME -->` ... `<!-- end -->` made anew."""

    def table(match):
        return "\n".join([f"<!-- table {match[1]} -->", *TABLES[match[1]](), "<!-- end -->"])

    return re.sub(r"<!-- table (\w+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def main():
    for name in PAGES:
        path = ROOT / name
        path.write_text(fill(path.read_text()))


if __name__ == "__main__":
    main()
