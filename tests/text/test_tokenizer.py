"""Our rule against NLTK's WordPunctTokenizer."""

import csv
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.tokenize import WordPunctTokenizer

from rubrica.text.tokenizer import ALONE, is_token, tokenize

NLTK = WordPunctTokenizer()
ODD = [
    "", " ", "\0", "a\0b", "\r\n", "a\r\nb", "don't", "3.5%!", "cafe\u0301", "हिन्दी",
    "👩\u200d👩\u200d👧 ok", "x\u200dy", "²½", "\u00a0a\u2028b\u0085",
]  # fmt: skip
CHARACTERS = st.one_of(
    st.characters(),
    st.characters(categories=["Mn", "Mc", "Me", "So", "Sk", "Cf", "Cc", "Zs", "Zl", "Zp"]),
    st.sampled_from("\0\r\n\t ,.'\"_-\u200d\ufe0f\u0301😀"),
)


@pytest.mark.parametrize("text", ODD, ids=repr)
def test_odd_texts_split_as_nltk_splits_them(text):
    assert tokenize(text) == NLTK.tokenize(text)


@given(st.text(CHARACTERS))
def test_any_text_splits_as_nltk_splits_it(text):
    assert tokenize(text) == NLTK.tokenize(text)


def test_all_ag_news_test_texts_split_as_nltk_splits_them(shared):
    with (shared / "data/ag_news/test.csv").open(newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    assert len(texts) == 7600
    assert [tokenize(text) for text in texts] == [NLTK.tokenize(text) for text in texts]


@given(st.text(CHARACTERS))
def test_is_token_is_true_of_what_the_rule_yields_and_of_nothing_else(text):
    assert all(is_token(token) for token in tokenize(text))
    assert is_token(text) == (tokenize(text) == [text])


UNSPACED = {
    "我爱北京 2024年!": "我 爱 北 京 2024 年 !",
    "A股上涨3.5%。": "A 股 上 涨 3 . 5 %。",
    "「カーが好き」、々": "「 カ ー が 好 き 」、 々",
    "ｶﾞ": "ｶ ﾞ",
    "ที่๕ บาท฿": "ท ี ่ ๕ บ า ท ฿",
    "ຂ່າວ": "ຂ ່ າ ວ",
    "ភ្នំ។": "ភ ្ ន ំ ។",
    "မြန်မာ၊၅": "မ ြ န ် မ ာ ၊ ၅",
    "\U00020000x\u3000한국어 नमस्ते": "\U00020000 x 한국어 नमस ् त े",  # Korean has spaces, Hindi too
}


@pytest.mark.parametrize(("text", "tokens"), UNSPACED.items())
def test_each_character_of_a_script_without_spaces_is_a_token_if_asked(text, tokens):
    assert tokenize(text, split_unspaced=True) == tokens.split(" ")
    assert tokenize(text) == NLTK.tokenize(text)
    assert all(is_token(token, split_unspaced=True) for token in tokens.split(" "))


def test_a_run_of_such_characters_is_no_token_then():
    assert is_token("北京")
    assert not is_token("北京", split_unspaced=True)
    assert not is_token("A股", split_unspaced=True)


@given(st.text(CHARACTERS))
def test_other_texts_split_as_ever(text):
    if not re.search(f"[{ALONE}]", text):
        assert tokenize(text, split_unspaced=True) == tokenize(text)
    assert "".join(tokenize(text, split_unspaced=True)) == "".join(tokenize(text))
