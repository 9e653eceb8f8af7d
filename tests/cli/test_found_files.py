"""Files as people find them: each trains with at most one flag, and without it the error names the flag."""

import csv
import gzip
import io
import json
import logging
import shlex
import sys

import pandas
import pytest

import rubrica
from rubrica.cli import main as cli

SPORT = ["the striker scored twice", 'a "late" goal, and the cup', "they drew the final match"]
MONEY = ["shares fell; the bank lost", "prices of oil rose again", "the market closed lower"]
ROWS = [(text, label) for _ in range(10) for label, texts in (("sport", SPORT), ("money", MONEY)) for text in texts]
RUSSIAN = [
    (f"матч выиграла сборная {i}", "спорт") if i % 2 else (f"акции банка упали {i}", "деньги") for i in range(60)
]


def csv_text(rows, **options):
    stream = io.StringIO()
    csv.writer(stream, **options).writerows(rows)
    return stream.getvalue()


def published_news():
    """AG News: a number and two texts, quoted, without a header."""
    numbers = {"sport": 2, "money": 3}
    return csv_text([(numbers[label], text.title(), text) for text, label in ROWS], quoting=csv.QUOTE_ALL).encode()


def message_collection():
    """The SMS collection: a label, a tab, and a message whose quotes are plain characters."""
    lines = [f'{label}\t{text}{mark}"' if mark else f'{label}\t"{text}' for mark in ("", "x") for text, label in ROWS]
    return "".join(line + "\n" for line in lines).encode()


def toxic_comments():
    """Jigsaw: an id, a comment with line ends, and six columns of 0 and 1."""
    kinds = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
    rows = [
        (f"{i:016x}", f"{text}\n\n{kinds[i % 6]} {kinds[i % 4]}", *(int(k in (i % 6, i % 4)) for k in range(6)))
        for i, (text, _) in enumerate(ROWS)
    ]
    return csv_text([("id", "comment_text", *kinds), *rows]).encode()


def spreadsheet():
    """Excel in Russia: `sep=;` first, semicolons, code page 1251."""
    return ("sep=;\r\n" + csv_text([("Текст", "Рубрика"), *RUSSIAN], delimiter=";")).encode("cp1251")


def records():
    return pandas.DataFrame(ROWS, columns=["text", "label"]).to_json(orient="records").encode()


def fasttext_lines():
    return gzip.compress("".join(f"{text} __label__{label}\r\n" for text, label in ROWS).encode())


FOUND = {
    "train.csv": (published_news, "--columns label,title,description"),
    "SMSSpamCollection": (message_collection, "--columns label,text"),
    "sms.txt": (message_collection, "--columns label,text"),
    "sms.tsv": (message_collection, "--columns label,text"),
    "jigsaw.csv": (toxic_comments, "--label-column toxic,severe_toxic,obscene,threat,insult,identity_hate"),
    "книга.csv": (spreadsheet, "--encoding cp1251"),
    "frame.json": (records, ""),
    "cooking.txt.gz": (fasttext_lines, ""),
}


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["rubrica", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code
    finally:
        logging.getLogger("rubrica").handlers.clear()
    return 0


@pytest.mark.parametrize("name", FOUND)
def test_it_trains_with_one_flag_at_most_and_the_error_names_the_flag(tmp_path, monkeypatch, capsys, name):
    make, flag = FOUND[name]
    (tmp_path / name).write_bytes(make())
    out = tmp_path / "model"
    command = ["train", tmp_path / name, "--model", "linear", "--out", out]
    if flag:
        assert run(monkeypatch, *command) == 1
        assert shlex.split(flag)[0] in capsys.readouterr().err
        assert not out.exists()
    assert run(monkeypatch, *command, *shlex.split(flag)) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["train_texts"] in (60, 120)
    assert metrics["validation"].get("accuracy", metrics["validation"].get("subset_accuracy")) > 0.7


def test_what_was_found_is_read_right(tmp_path):
    (tmp_path / "sms").write_bytes(message_collection())
    messages = rubrica.read_dataset(tmp_path / "sms", columns="label,text").splits["train"]
    assert messages.texts[0] == '"the striker scored twice'
    assert messages.texts[-1] == 'the market closed lowerx"'
    (tmp_path / "toxic.csv").write_bytes(toxic_comments())
    comments = rubrica.read_dataset(tmp_path / "toxic.csv", label_column="toxic,threat,insult")
    assert comments.splits["train"].labels[:5] == [("toxic",), (), (), ("threat",), ("toxic", "insult")]
    (tmp_path / "книга.csv").write_bytes(spreadsheet())
    table = rubrica.read_dataset(tmp_path / "книга.csv", encoding="cp1251")
    assert (table.text_columns, table.label_column) == (("Текст",), "Рубрика")
    assert list(zip(table.splits["train"].texts, table.splits["train"].labels, strict=True)) == RUSSIAN
    (tmp_path / "a.txt.gz").write_bytes(fasttext_lines())
    lines = rubrica.read_dataset(tmp_path / "a.txt.gz").splits["train"]
    assert list(zip(lines.texts, lines.labels, strict=True)) == ROWS
