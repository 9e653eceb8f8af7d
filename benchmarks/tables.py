"""Write the tables of the README and the docs from `results/*.json`.

python benchmarks/tables.py           # rewrites the pages below
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "README.ru.md", "docs/artifact.md")


def load(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def percent(mean, std):
    return f"{mean:.1%}".replace("%", " %") + (f" ± {100 * std:.1f}" if std is not None else "")


def agnews():
    """System, accuracy, seconds, texts a second, size."""
    lines = ["| | accuracy | training, s | texts/s | MB |", "|---|---|---|---|---|"]
    for row in load("agnews")["rows"]:
        lines.append(
            f"| {row['system']} | {percent(row['accuracy_mean'], row['accuracy_std'])} | {row['train_seconds']:.0f} |"
            f" {row['texts_per_second']:,.0f} | {row['model_megabytes']:.1f} |"
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


def epoch():
    """An epoch of the recurrent networks, ours and on torch's layers."""
    lines = ["| | ours, s | torch, s | ratio (least-most) |", "|---|---|---|---|"]
    for row in load("epoch")["rows"]:
        lines.append(
            f"| `{row['network']}`, {row['hidden_size']} units | {row['ours_s']:.1f} | {row['torch_s']:.1f} |"
            f" {row['ratio']:.1f} ({row['ratio_min']:.1f}-{row['ratio_max']:.1f}) |"
        )
    return lines


def seminar_whole():
    """The five experiments from the command to the report."""
    result = load("seminar_whole")
    lines = ["| | as written, minutes | ours, seconds | ratio |", "|---|---|---|---|"]
    seconds, ratio = result["as_written_s"], result["ratio"]
    lines.append(f"| five experiments | {seconds / 60:.0f} | {result['ours_s']:.0f} | {ratio:.0f} |")
    return lines


def vectors_read():
    """Reading 400,000 x 50."""
    lines = ["| | seconds (least-most) |", "|---|---|"]
    for reader, seconds in load("vectors_read")["seconds"].items():
        lines.append(f"| {reader} | {seconds['median']:.2f} ({seconds['min']:.2f}-{seconds['max']:.2f}) |")
    return lines


def artifact_size():
    """A model folder whole and made smaller; the change is against each seed's own whole model."""
    lines = ["| | MB | words | accuracy | change, points | worst seed |", "|---|---|---|---|---|---|"]
    for i, row in enumerate(load("artifact_size")["rows"]):
        change = f"{row['points_mean']:+.2f} ± {row['points_std']:.2f} | {row['points_worst']:+.2f}" if i else "- | -"
        lines.append(
            f"| {row['form']} | {max(row['bytes']) / 1e6:.2f} | {min(row['words']):,} ({row['storage']}) |"
            f" {percent(row['accuracy_mean'], row['accuracy_std'])} | {change} |"
        )
    return lines


TABLES = {
    "agnews": agnews,
    "artifact_size": artifact_size,
    "epoch": epoch,
    "seminar": seminar,
    "seminar_step": seminar_step,
    "seminar_whole": seminar_whole,
    "vectors_read": vectors_read,
}


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
