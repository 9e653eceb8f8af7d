"""Texts and labels in numbers, the rows that are kept, the cache, the held-out part."""

import logging

import numpy as np
import pytest

from rubrica.cache import cache_folder
from rubrica.config import DataConfig
from rubrica.corpus import build_corpus, hold_out, pretrained_table
from rubrica.data import Dataset, Examples
from rubrica.errors import ConfigError
from rubrica.vectors import Vectors
from rubrica.vocab import Vocab

CONFIG = DataConfig(lowercase=True, min_count=1)


def words_of(corpus, split, i):
    tokens = corpus.splits[split].tokens
    return [corpus.vocab.words[j] for j in tokens.ids[tokens.offsets[i] : tokens.offsets[i + 1]]]


def test_ids_and_targets_name_words_and_labels(tiny_news, tiny_vectors):
    corpus = build_corpus(tiny_news, tiny_vectors, CONFIG)
    full = Vocab.from_vectors(tiny_vectors.words, lowercase=True)
    for name, examples in tiny_news.splits.items():
        for i, text in enumerate(examples.texts):
            known = [word if word in full.index else "unk" for word in full.tokenize(text)]
            assert words_of(corpus, name, i) == known
        assert [corpus.labels[j] for j in corpus.splits[name].targets] == examples.labels


def test_only_rows_in_use_are_kept_with_padding_and_the_unknown_word(tiny_news, tiny_vectors):
    corpus = build_corpus(tiny_news, tiny_vectors, CONFIG)
    assert corpus.table_size == len(tiny_vectors.words)
    assert [tiny_vectors.words[row] for row in corpus.rows] == corpus.vocab.words
    assert corpus.rows[0] == 0
    assert "," not in corpus.vocab.words
    assert corpus.vocab.words[corpus.vocab.unknown_id] == "unk"


def test_a_second_build_reuses_the_ids_and_says_so(tiny_news, tiny_vectors, caplog):
    caplog.set_level(logging.INFO, "rubrica")
    first = build_corpus(tiny_news, tiny_vectors, CONFIG)
    assert "made from the texts" in caplog.text
    second = build_corpus(tiny_news, tiny_vectors, CONFIG)
    assert "reused from" in caplog.text
    assert first.vocab == second.vocab
    for name in first.splits:
        np.testing.assert_array_equal(first.splits[name].tokens.ids, second.splits[name].tokens.ids)
        np.testing.assert_array_equal(first.splits[name].tokens.offsets, second.splits[name].tokens.offsets)


@pytest.mark.parametrize("change", ["text", "words", "case", "length", "no vectors"])
def test_anything_that_changes_the_ids_misses_the_cache(tiny_news, tiny_vectors, change):
    build_corpus(tiny_news, tiny_vectors, CONFIG)
    config = CONFIG
    if change == "text":
        tiny_news.splits["test"].texts[0] += " more"
    if change == "words":
        tiny_vectors.words[3] = "other"
    if change == "case":
        config = DataConfig(lowercase=False)
    if change == "length":
        config = DataConfig(lowercase=True, max_length=5)
    build_corpus(tiny_news, None if change == "no vectors" else tiny_vectors, config)
    assert len(list((cache_folder() / "ids").iterdir())) == 2


def test_texts_that_join_to_the_same_bytes_do_not_share_an_entry():
    for texts in (["a\0b", "c"], ["a", "b\0c"]):
        dataset = Dataset("x", {"train": Examples(texts, ["1", "2"])}, (), "", ["1", "2"])
        assert words_of(build_corpus(dataset, None, CONFIG), "train", 1)[-1] == "c"
        assert build_corpus(dataset, None, CONFIG).splits["train"].tokens.lengths[0] == (3 if "b" in texts[0] else 1)


def test_a_broken_entry_is_made_anew(tiny_news, tiny_vectors):
    first = build_corpus(tiny_news, tiny_vectors, CONFIG)
    (entry,) = (cache_folder() / "ids").iterdir()
    entry.write_bytes(entry.read_bytes()[:50])
    again = build_corpus(tiny_news, tiny_vectors, CONFIG)
    np.testing.assert_array_equal(first.splits["train"].tokens.ids, again.splits["train"].tokens.ids)


def test_without_vectors_the_words_are_those_of_train_alone():
    dataset = Dataset("x", {"train": Examples(["a b"], ["1"]), "test": Examples(["b c"], ["1"])}, (), "", ["1"])
    corpus = build_corpus(dataset, None, CONFIG)
    assert corpus.vocab.words == ["<pad>", "<unk>", "a", "b"]
    assert words_of(corpus, "test", 0) == ["b", "<unk>"]


def test_vectors_without_unk_gain_their_mean_as_a_last_row():
    matrix = np.array([[1, 2], [3, 6]], np.float32)
    table = pretrained_table(Vectors(["a", "b"], matrix, ""))
    np.testing.assert_array_equal(table, [[1, 2], [3, 6], [2, 4]])
    assert pretrained_table(Vectors(["unk", "b"], matrix, "")) is matrix


def test_the_held_out_part_is_a_share_of_each_class_and_follows_the_seed():
    targets = np.repeat([0, 1, 2], [100, 50, 1])
    stay, held = hold_out(targets, 0.1, seed=3)
    assert np.bincount(targets[held], minlength=3).tolist() == [10, 5, 0]
    assert sorted([*stay, *held]) == list(range(151))
    np.testing.assert_array_equal(hold_out(targets, 0.1, seed=3)[1], held)
    assert hold_out(targets, 0.1, seed=4)[1].tolist() != held.tolist()
    assert len(hold_out(targets, 0.0, seed=3)[1]) == 0


def test_a_fraction_that_holds_out_nothing_is_an_error():
    with pytest.raises(ConfigError, match="holds out none of 4 texts"):
        hold_out(np.array([0, 0, 1, 1]), 0.1, seed=0)
