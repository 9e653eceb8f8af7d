"""Where the tokens that a model reads stand in the text as it is written."""

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import examples
from rubrica.insight.explanations.places import compose, read_words
from rubrica.text.tokenizer import tokenize

# Letters that are composed, reordered, taken apart, made longer or shorter, and what stands beside them.
ODD = "aA \n.é\u0301\u0327\u0323\u0345\u0338=İiΣσς\u1112\u1161\u11ab하\u0958\u0f73\u0f71"
ODD += "\u0344ﬁ😀日の\ud800\udc00\u00a0ß\u0130\u0307"


@examples(300)
@given(st.text(st.sampled_from(ODD) | st.characters(), max_size=12), st.booleans(), st.booleans())
def test_tokens_are_the_models_and_put_the_text_together(text, lowercase, split_unspaced):
    read = read_words(text, lowercase=lowercase, split_unspaced=split_unspaced)
    tokens = read.tokens()
    rule = {"lowercase": lowercase, "split_unspaced": split_unspaced}
    assert [token.text for token in tokens] == tokenize(normalize("NFC", text), **rule)
    place, pieces = 0, []
    for token in tokens:
        assert place <= token.start <= token.end
        assert not text[place : token.start].strip()
        pieces += [text[place : token.start], text[token.start : token.end]]
        place = token.end
    assert "".join(pieces) + text[place:] == text
    assert not text[place:].strip()


@examples(300)
@given(st.text(st.sampled_from(ODD) | st.characters(), max_size=12))
def test_each_character_that_is_read_is_of_the_written_ones_that_make_it(text):
    composed, starts, ends = compose(text)
    assert composed == normalize("NFC", text)
    places = list(zip(starts.tolist(), ends.tolist(), strict=True))
    assert places == sorted(places)
    for place in dict.fromkeys(places):
        mine = "".join(composed[i] for i, other in enumerate(places) if other == place)
        assert mine == normalize("NFC", text[slice(*place)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cafe\u0301 Noir!", [("café", "Cafe\u0301"), ("noir", "Noir"), ("!", "!")]),
        ("\u1112\u1161\u11ab글 x", [("한글", "\u1112\u1161\u11ab글"), ("x", "x")]),
        ("İX y", [("i", "İ"), ("\u0307", ""), ("x", "X"), ("y", "y")]),
        ("a😀b", [("a", "a"), ("😀", "😀"), ("b", "b")]),
    ],
)
def test_forms_and_capitals_shift_nothing(text, expected):
    tokens = read_words(text, lowercase=True).tokens()
    assert [(token.text, text[token.start : token.end]) for token in tokens] == expected


def test_tokens_of_one_reading_are_found_in_another():
    text = "北京 İS a\u030ab c"
    fine = read_words(text, lowercase=True, split_unspaced=True)
    coarse = read_words(text, lowercase=False)
    places = coarse.spans_of(fine)
    assert [coarse.text[start:end] for start, end in places] == ["北", "京", "İ", "", "S", "\u00e5b", "c"]
    assert coarse.spans_of(coarse) == list(coarse.spans)
