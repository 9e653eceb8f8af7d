"""Findings speak each language of the pages: every kind has its sentences, and figures are written as usual there."""

import ast
import tomllib
from pathlib import Path

import rubrica.insight
from rubrica.insight.findings import KINDS, Cost, Finding, Phrase, Row
from rubrica.insight.pages.language import FOLDER, LANGUAGES, read_language
from rubrica.insight.pages.translation import translate

RUSSIAN = read_language("ru")


def finding(kind, remedy="rubrica clean DATA --out CLEANED", **figures):
    return Finding(kind=kind, severity="note", title="An English title", why="Why.", remedy=remedy, figures=figures)


def test_every_kind_of_fault_has_its_sentences():
    for language in set(LANGUAGES) - {"en"}:
        sentences = tomllib.loads((FOLDER / f"findings.{language}.toml").read_text(encoding="utf-8"))
        assert sentences.keys() == KINDS.keys()
        for kind, said in sentences.items():
            assert {"title", "why"} <= said.keys() <= {"title", "why", "remedy"}, kind


def test_every_phrase_of_the_checks_has_its_words():
    trees = [ast.parse(path.read_text()) for path in Path(rubrica.insight.__file__).parent.rglob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    patterns = {call.args[0].value for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Phrase"}
    assert len(patterns) > 10
    for language in set(LANGUAGES) - {"en"}:
        phrases = tomllib.loads((FOLDER / f"phrases.{language}.toml").read_text(encoding="utf-8"))
        assert phrases.keys() == patterns


def test_what_is_said_of_a_row_and_of_a_trial_is_said_in_russian():
    twin = Phrase("{:.0%} of row {} of {}, {!r}", 0.875, 1, "train", "The {cup}")
    rows = (
        Row("test", 3, "x", Phrase("{}; {!r} here, {!r} there", twin, "Sport", "Opera")),
        Row("test", 4, "y", "Sport"),
        Row("test", 5, "z", Phrase("{:,} tokens", 1234)),
    )
    tried = Cost(1.5, 0.5, Phrase("how much too good the score is"))
    found = Finding(kind="leak", severity="error", title="T", why="W.", remedy="R.", rows=rows, cost=tried,
                    figures={"split": "test", "texts": 1, "share": 0.5, "exact": 0})  # fmt: skip
    said, language = translate(found, RUSSIAN)
    assert language == "ru"
    assert [row.note for row in said.rows] == [
        "88\u00a0% строки 1 части train, «The {cup}»; здесь метка «Sport», там «Opera»", "Sport", "слов: 1\u00a0234",
    ]  # fmt: skip
    assert said.cost == Cost(1.5, 0.5, "на столько завышена оценка")
    assert found.rows[0].note == "88% of row 1 of train, 'The {cup}'; 'Sport' here, 'Opera' there"
    assert found.to_json()["rows"][2]["note"] == "1,234 tokens"


def test_numbers_and_names_are_written_as_in_russian():
    said, language = translate(finding("leak", split="test", texts=1234, share=0.0321, exact=5), RUSSIAN)
    assert language == "ru"
    assert said.title == "Тексты части test, которые есть и в train: 1\u00a0234 (3,2\u00a0%), слово в слово 5"
    assert said.remedy == "rubrica clean DATA --out CLEANED"  # a command is the same in every language
    said, _ = translate(finding("label-spelling", classes=[["Sport", "sport"], ["a", "A"]], texts=3), RUSSIAN)
    assert said.title == "Метки, которые пишутся по-разному: Sport / sport; a / A"
    said, _ = translate(finding("rare-classes", classes=2, texts={"x": 3, "y": 4}), RUSSIAN)
    assert said.title.endswith("2, например x, y")
    said, _ = translate(finding("dead-units", dead_units={"features": 0.5}), RUSSIAN)
    assert said.title.endswith("features 0,5")
    assert said.remedy.startswith("Обучите заново")


def test_a_title_is_chosen_by_the_figures():
    of_data, _ = translate(finding("capitals-unknown", as_written=0.4, lowercased=0.1), RUSSIAN)
    of_model, _ = translate(finding("capitals-unknown", unknown=0.4, unknown_lowercased=0.1), RUSSIAN)
    assert (of_data.title.split()[0], of_model.title.split()[0]) == ("Векторы", "Неизвестны")


def test_names_from_the_data_are_not_read_as_places_for_figures():
    said, _ = translate(finding("label-spelling", classes=[["{texts}", "{}"]], texts=3), RUSSIAN)
    assert said.title.endswith("{texts} / {}")


def test_what_cannot_be_said_in_russian_stays_english():
    said, language = translate(finding("leak", share=0.1), RUSSIAN)
    assert (said.title, language) == ("An English title", "en")
    assert translate(finding("leak"), read_language("en"))[1] == "en"
