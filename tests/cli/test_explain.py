"""`rubrica explain`: what it prints for a person and for a program, its page, its errors."""

import html
import json
import re

import pytest
from click.testing import CliRunner

from made_explanations import make_both, make_linear
from rubrica.artifact.folder import save_artifact
from rubrica.cli.explain import _METHODS
from rubrica.cli.main import rubrica
from rubrica.insight.explanations.explain import METHODS, explain
from rubrica.insight.explanations.show import STEPS, render_page
from rubrica.notebook import printable
from rubrica.predict.classifier import Classifier

TEXT = 'Oil <b>&amp; "a" b c</b> \x1b[31m B'


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_artifact(make_linear(), tmp_path_factory.mktemp("models") / "linear"))


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return str(save_artifact(make_both(max_length=4), tmp_path_factory.mktemp("models") / "both"))


def run(*arguments, code=0, **options):
    done = CliRunner().invoke(rubrica, ["explain", *arguments], **options)
    assert done.exit_code == code, done.output
    return done


def test_a_program_gets_one_object_a_text(model):
    texts = [TEXT, "", "a b\tc e\u0301"]
    given = run(model, *texts, "--json", "--beliefs").stdout.splitlines()
    piped = run(model, "--json", "--beliefs", input="\n".join(texts)).stdout.splitlines()
    assert given == piped
    for text, line in zip(texts, given, strict=True):
        found = json.loads(line)
        assert found == explain(Classifier(make_linear()), text, beliefs=True).to_json()
        assert found["text"] == text
        (label,) = found["labels"]
        assert label["base"] + sum(label["shares"]) + label["rest"] == pytest.approx(label["score"], abs=1e-9)
        assert len(found["beliefs"]["probabilities"]) == 1 + len(found["tokens"])
        assert found["beliefs"]["labels"][0] == label["label"]


def test_a_person_gets_figures_where_there_is_no_colour(model, both):
    out = run(model, "a b c", "--label", "World", "--label", "Sports").stdout
    for label in ("World", "Sports"):
        (reason,) = explain(Classifier(make_linear()), "a b c", labels=[label]).reasons
        assert f"{label} {reason.probability:.1%}, score {reason.score:+.3f} = base {reason.base:+.3f}" in out
        for token, share in zip("abc", reason.shares, strict=True):
            assert f"{share:+8.3f}  {token}" in out
    assert "\x1b" not in out
    out = run(both, "a b c d e f", "--beliefs").stdout
    assert "gru: leave-one-out, linear: exact. The gru reads the first 4 of 6 tokens." in out
    assert "nothing" in out


def test_colours_show_shares_and_no_text_brings_its_own(model, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    out = run(model, TEXT).stdout
    assert "\x1b[30;48;2;" in out
    assert "\x1b[31m" not in out
    assert "(+" not in out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "48;2" not in run(model, TEXT).stdout
    assert "(+" in run(model, TEXT).stdout


def test_the_page_needs_nothing_else(both, tmp_path):
    place = tmp_path / "why" / "page.html"
    data = tmp_path / "train.csv"
    data.write_text("text,label\n<i>a b</i>,World\nc,Sports\n")
    done = run(
        both, TEXT, "a b c d \ud800 e f", "--html", str(place), "--beliefs", "--nearest", "1", "--data", str(data)
    )
    assert done.stdout == ""
    assert str(place) in done.stderr
    page = place.read_text(encoding="utf-8")
    assert not re.search(r"<script|https?:|<b>&amp;|<i>a b", page)
    assert "&lt;i&gt;a b&lt;/i&gt;" in page
    assert "The tokens in italics are not read." not in page  # the linear model reads them
    assert page.count("<article>") == 2
    shown = re.sub(r"<[^>]*>", "", re.findall(r'<p class="text">(.*?)</p>', page, re.DOTALL)[0])
    assert html.unescape(shown) == printable(TEXT)


def luminance(color):
    parts = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_each_shade_of_the_page_can_be_read():
    page = render_page([explain(Classifier(make_linear()), "a b c")], "title")
    schemes = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        hexes = {
            name: [int(c[i : i + 2], 16) for i in (0, 2, 4)] for name, c in re.findall(r"--(\w+): #(\w{6})", scheme)
        }
        hues = {name: [*map(int, rgb.split())] for name, rgb in re.findall(r"--(for|against): ([\d ]+);", scheme)}
        strength = float(re.search(r"--strength: ([\d.]+)", scheme)[1])
        for hue in hues.values():
            for ground in (hexes["card"], hexes["paper"]):
                mixed = [a + (b - a) * STEPS * strength for a, b in zip(ground, hue, strict=True)]
                assert contrast(mixed, hexes["ink"]) >= 4.5
                assert contrast(ground, hexes["quiet"]) >= 4.5


def test_the_nearest_texts_are_shown(model, tmp_path):
    data = tmp_path / "train.csv"
    data.write_text("title,label\na b c,World\nc d,Sports\na b c,Business\n")
    out = run(model, "a b c", "--data", str(data), "--text-column", "title", "--nearest", "2").stdout
    assert "1.000  World: a b c (train, row 1)" in out
    assert "1.000  Business: a b c (train, row 3)" in out
    found = json.loads(run(model, "a b c", "--data", str(data), "--text-column", "title", "--json").stdout)
    assert [near["row"] for near in found["nearest"]] == [1, 3, 2]


def test_what_is_wrong_is_said_in_one_sentence(model, both):
    assert "does not know the label 'Sport'" in run(model, "a", "--label", "Sport", code=2).stderr
    assert _METHODS == METHODS
    done = CliRunner().invoke(rubrica, ["explain", both, "a", "--method", "exact"])
    assert "no exact shares; take the method leave-one-out or gradients" in str(done.exception)
    done = CliRunner().invoke(rubrica, ["explain", model, "a", "--nearest", "3"])
    assert "does not name training texts that are here" in str(done.exception)
