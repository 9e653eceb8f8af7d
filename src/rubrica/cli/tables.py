"""What the commands print for a person; rich keeps it plain where the output is no terminal."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rubrica.scoring.report import headline

if TYPE_CHECKING:
    from rubrica.vectors.hub import KnownVectors

_MOST_COLUMNS = 10  # classes whose confusion fits a terminal
_BEST = 5  # trials of a search
_SHORT = 40  # characters of a setting
_MISTAKES = 20  # shown of more classes


def _table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are figures; the user's names are no markup of rich."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for i, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if i else "left")
    return table


def _print(*parts: Table | Text) -> None:
    for part in parts:
        Console(highlight=False).print(part)


def _say(name: str, value: object) -> None:
    _print(Text.assemble((f"{name}: ", "bold"), str(value)))


def _figure(value: float | None, form: str, missing: str = "-") -> str:
    return missing if value is None else format(value, form)


def print_overview(facts: dict[str, Any], remark: str) -> None:
    """What `overview.describe` found; the remark is the task's."""
    splits, unknown = facts["splits"], facts["unknown"]
    has_scores = any("scores" in split for split in splits.values())
    rows = _table(facts["name"], "" if has_scores else "class", *splits)
    found = () if has_scores else [*facts["labels"], *(label for split in splits.values() for label in split["labels"])]
    for label in dict.fromkeys(found):
        rows.add_row(Text(label), *(f"{split['labels'].get(label, 0):,}" for split in splits.values()))
    for name in ("mean", "standard_deviation") if has_scores else ():
        rows.add_row(
            f"{name.replace('_', ' ')} of the score", *(f"{split['scores'][name]:.3f}" for split in splits.values())
        )
    rows.add_section()
    rows.add_row("texts", *(f"{split['rows']:,}" for split in splits.values()))
    tokens = (f"{split['tokens_per_text']:.1f}" for split in splits.values())
    rows.add_row(f"tokens per text, of the first {facts['max_length']}", *tokens)
    rows.add_row("unknown, as written", *(f"{unknown[name]['share_as_written']:.1%}" for name in splits))
    rows.add_row("unknown, lower-cased", *(f"{unknown[name]['share_lowercased']:.1%}" for name in splits))
    _say("text from", ", ".join(facts["text_columns"]))
    _say("label from", facts["label_column"] + remark)
    _print(rows)
    if vectors := facts.get("vectors"):
        _say("vectors", f"{vectors['source']}, {vectors['words']:,} words x {vectors['dim']}")
        _say("first words", " ".join(vectors["first_words"]))
    else:
        _say("vocabulary", f"{facts['vocabulary']:,} words of train")
    for name in splits:
        words = ", ".join(f"{word} {count:,}" for word, count in unknown[name]["words"])
        _say(f"unknown in {name}, most frequent", words or "none")
    case = "lower-cased" if facts["lowercase"] else "as written"
    _print(Text(f"\nExamples ({case}, first {facts['max_length']} tokens)", "bold"))
    for example in facts["examples"]:
        label = example["label"] if isinstance(example["label"], str) else ", ".join(example["label"])
        _say(label, example["text"])
        _print(Text(" ".join(example["tokens"]), "dim"), Text(" ".join(map(str, example["ids"])) + "\n", "dim"))


def print_vectors_list(known: list["KnownVectors"]) -> None:
    """The gensim list."""
    table = _table("Published word vectors", "name", "words", "numbers", "download, MB", "here")
    for vectors in known:
        here = Text(str(vectors.path) if vectors.path.is_file() else "-")
        words, size = _figure(vectors.words, ",", "?"), _figure(vectors.megabytes, ",", "?")
        table.add_row(vectors.name, words, str(vectors.dim), size, here)
    _print(table)


def print_seminar(report: dict[str, Any]) -> None:
    """The five experiments, the seminar's own figures beside ours."""
    data = report["data"]
    title = f"{data['name']}: {data['train_texts']:,} texts to train on, {data['test_texts']:,} to test"
    table = _table(title, "experiment", "loss", "accuracy", "seconds", "seminar's loss", "seminar's accuracy")
    forms = {"loss": ".4f", "accuracy": ".2%", "train_seconds": ".1f", "seminar_loss": ".4f", "seminar_accuracy": ".2%"}
    for row in report["experiments"]:
        table.add_row(row["experiment"], *(_figure(row[key], form) for key, form in forms.items()))
    share = f"{data['unknown_share']:.1%} of the test tokens have no vector ({data['vectors']})"
    _print(table, Text(share), Text("The seminar's figures: 120,000 AG News texts, glove-twitter-50."))


def print_ladder(report: dict[str, Any]) -> None:
    """The rungs of each ladder: accuracy over the seeds, and what is won against the rung below."""
    texts, seeds = report["texts"], len(report["seeds"])
    data = f"{report['data']}, {texts['train']:,} texts to train on, {texts['test']:,} to test"
    for ladder in dict.fromkeys(row["ladder"] for row in report["rungs"]):
        title = f"{ladder}: {data}, {report['vectors']}, seeds: {seeds}"
        table = _table(title, "rung", "accuracy, %", "change, points", "p", "seconds", "what it repairs")
        table.columns[-1].justify = "left"
        for row in report["rungs"]:
            if row["ladder"] == ladder:
                spread = "" if row["accuracy_std"] is None else f" ± {100 * row['accuracy_std']:.2f}"
                accuracy = f"{100 * row['accuracy_mean']:.2f}{spread}"
                change = "" if row["points"] is None else f"{row['points']:+.2f} {row['mark']:2}"
                seconds = f"{row['train_seconds_median']:.1f}"
                mended = f"\n{', '.join(row['mended'])}" if row["mended"] else ""
                repaired = Text(row["fault"]).append(mended, style="dim")
                table.add_row(row["rung"], accuracy, change, _figure(row["p"], ".3f", ""), seconds, repaired)
        _print(table)
    _print(
        Text("* p < 0.05, ** p < 0.01 (Welch's t over the seeds): other seeds would hardly undo the change."),
        Text("Dim: what the doctor said of the rung below, and says no more; rubrica doctor names the same faults."),
        Text("Scored on test: the rungs are fixed beforehand, and nothing is chosen by these figures."),
    )


def print_scores(scores: dict[str, Any]) -> None:
    """What `rubrica evaluate` found."""
    classes = _table("", "class", "precision", "recall", "F1", "texts")
    for row in scores.get("per_class", ()):
        figures = (f"{row[name]:.4f}" for name in ("precision", "recall", "f1"))
        classes.add_row(Text(row["label"]), *figures, f"{row['texts']:,}")
    for part in headline(scores).split(", "):
        _say(*part.rsplit(" ", 1))
    if "hamming_loss" in scores:
        _say("hamming loss", f"{scores['hamming_loss']:.4f}")
    if "coverage" in scores:
        _say(f"answered at {scores['abstain_below']:g} or more", f"{scores['coverage']:.2%} of texts")
        _say("accuracy on answered texts", _figure(scores["answered_accuracy"], ".4f"))
    _say("loss", _figure(scores["loss"], ".4f"))
    _say("texts", f"{scores['texts']:,}")
    if "per_class" in scores:
        _print(classes)
    if not scores.get("confusion"):  # there is none where a text may have more than one answer, or of many classes
        return
    labels, confusion = [row["label"] for row in scores["per_class"]], scores["confusion"]
    if len(labels) <= _MOST_COLUMNS:
        table = _table("confusion: a row is the truth, a column the answer", "", *labels)
        for label, counts in zip(labels, confusion, strict=True):
            table.add_row(Text(label), *(f"{count:,}" for count in counts))
    else:
        table = _table("most frequent mistakes (--json has all)", "truth", "answer", "texts")
        mistakes: Counter[tuple[str, str]] = Counter()
        for label, counts in zip(labels, confusion, strict=True):
            mistakes.update(
                {(label, other): count for other, count in zip(labels, counts, strict=True) if other != label}
            )
        for (label, other), count in mistakes.most_common(_MISTAKES):
            if count:
                table.add_row(Text(label), Text(other), f"{count:,}")
    _print(table)


def print_export(report: dict[str, Any]) -> None:
    """What `rubrica export` and `rubrica quantize` did: bytes of each file, words, accuracy."""
    _print_sizes(report["bytes"])
    for what in ("words", "features", "rows"):
        if report.get(what, {}).get("before"):
            _say(what, f"{report[what]['before']:,} before, {report[what]['after']:,} after")
    _say("tables as", report["storage"])
    if scores := report["accuracy"]:
        points = 100 * (scores["after"] - scores["before"])
        figures = f"{scores['before']:.2%} before, {scores['after']:.2%} after ({points:+.2f} points)"
        _say(f"{scores['measure']} on {scores['texts']:,} texts", figures)
    else:
        _say("accuracy", "not measured; --data with texts and labels shows what it costs")
    if check := report["onnx"]:
        figures = f"{check['onnx']:.1e} from float64 at most (ours {check['ours']:.1e})"
        _say("onnxruntime", f"answers are {figures}; see docs/artifact.md")


def print_web(report: dict[str, Any], folder: str) -> None:
    """What `rubrica export --web` wrote: bytes of each file, and how to look at it."""
    for name, size in report["bytes"].items():
        _say(name, f"{size:,} bytes")
    _say("to try it", f"python -m http.server -d {folder}")


def print_convert(report: dict[str, Any]) -> None:
    """What `rubrica convert` did: bytes of each file, and how far the answers agree."""
    _print_sizes(report["bytes"])
    if "check" not in report:
        _say("answers", "not compared; --check with a file of texts compares them")
        return
    for name, found in report["check"].items():
        if found is None:
            _say(name, "not installed, so its answers are not compared")
            continue
        figures = f"the same label for {found['labels']:,} of {found['texts']:,} texts"
        _say(name, f"{figures}; scores differ by {found['difference']:.1e} at most")


def _print_sizes(sizes_of: dict[str, dict[str, int]]) -> None:
    before, after = sizes_of["before"], sizes_of["after"]
    sizes = _table("bytes", "file", "before", "after")
    for name in [*before, *(name for name in after if name not in before)]:
        sizes.add_row(Text(name), *(f"{files[name]:,}" if name in files else "-" for files in (before, after)))
    sizes.add_section()
    sizes.add_row("all", *(f"{sum(files.values()):,}" for files in (before, after)))
    _print(sizes)


def print_info(facts: dict[str, Any], remark: str) -> None:
    """What `rubrica info` knows of a model; the remark is the task's."""
    size = f"{facts['parameters']:,} parameters ({facts['storage']}), {facts['model_bytes'] / 1e6:.1f} MB"
    _say("model", f"{facts['model']}, {size}")
    if facts["labels"]:
        _say("classes" + remark, ", ".join(facts["labels"]))
    if facts["words"]:
        _say("words", f"{facts['words']:,} (vectors: {facts['vectors'] or 'none'})")
    if facts["features"]:
        _say("features", f"{facts['features']:,} n-grams of words and characters")
    if facts["sure"] is not None:
        _say("sure", f"from a margin of {facts['sure']:.2f} on, the linear model names a label without the network")
    for split in ("validation", "test"):
        if scores := facts["metrics"].get(split):
            _say(split, f"{headline(scores)}, {scores['texts']:,} texts")
    for section, values in facts["config"].items():
        _say(section, ", ".join(f"{key} {value}" for key, value in values.items()))


def print_comparison(found: dict[str, Any], texts: str) -> None:
    """What `compare` found of two models on these texts."""
    first, second = found["models"]
    rows = _table("what differs", "", first, second)
    for name, pair in found["differences"].items():
        rows.add_row(Text(name), *(Text(_short(value)) for value in pair))
    _print(rows if found["differences"] else Text("the models were made in the same way"))
    scores, (low, high) = found["scores"], found["interval"]
    _say(f"{texts}, {found['texts']:,} texts", f"{found['measure']} {scores[0]:.4f} and {scores[1]:.4f}")
    _say(
        "right alone",
        f"{found['right_alone'][0]:,} and {found['right_alone'][1]:,} texts (McNemar, p {found['p']:.2g})",
    )
    _say("difference", f"{found['difference']:+.4f}, 95 % from {low:+.4f} to {high:+.4f}")
    _print(Text(found["verdict"], style="bold"))


def _short(value: object) -> str:
    text = "-" if value is None else ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}..."


def print_trials(rows: list[dict[str, Any]], measure: str) -> None:
    """The best trials of a search, by their lead over the defaults, and the defaults."""
    judged = [row for row in rows if row["state"] == "judged"]
    best = sorted(judged, key=lambda row: (-(row["lead"] or 0), -row["score"], row["loss"]))
    shown = [*best[:_BEST], *(row for row in best[_BEST:] if row["trial"] == 1)]
    title = (
        f"{len(rows)} trial{'s' * (len(rows) > 1)}, {len(judged)} judged on all parts; lead over the defaults in points"
    )
    table = _table(title, "trial", measure, "lead", "s", "kB", "settings")
    table.columns[-1].justify = "left"
    for row in shown:
        name, *changes = (f"{key.removeprefix('model.')} {_rounded(value)}" for key, value in row["settings"].items())
        told = "the defaults" if row["trial"] == 1 else ", ".join(changes)
        lead = "" if row["lead"] is None else f"{100 * row['lead']:+.2f} ± {100 * row['standard_error']:.2f}"
        figures = f"{row['score']:.4f}", lead, f"{row['seconds']:.1f}", f"{row['bytes'] / 1000:,.0f}"
        table.add_row(str(row["trial"]), *figures, Text(": ".join(filter(None, (name.split()[-1], told)))))
    _print(table)
    for state in dict.fromkeys(row["state"] for row in rows if row["state"] != "judged"):
        _say(state, f"{sum(row['state'] == state for row in rows)} trials")


def _rounded(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else _short(value)


def print_environment(facts: dict[str, Any]) -> None:
    """What `environment.describe` found."""
    versions = (f"{library} {version or 'not installed'}" for library, version in facts["versions"].items())
    for name, value in (facts | {"versions": ", ".join(versions)}).items():
        _say(name, value)
