"""Texts and labels in numbers, the rows that are kept, the held-out part."""

from dataclasses import replace

import numpy as np
import pytest

from rubrica.config.groups import DataSettings
from rubrica.corpus import corpus as corpus_module
from rubrica.corpus.corpus import build_corpus, pretrained_rows
from rubrica.data import stored_texts
from rubrica.data.dataset import Dataset, Examples
from rubrica.files import cache_folder
from rubrica.scoring import task as task_module
from rubrica.scoring.several_labels import SeveralLabels
from rubrica.scoring.tasks import task_of
from rubrica.text.vocab import Vocab
from rubrica.vectors import case
from rubrica.vectors.case import settle_reading
from rubrica.vectors.word_vectors import Vectors

CONFIG = DataSettings(lowercase=True, split_unspaced=False, min_count=1)


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
        assert [corpus.task.labels[j] for j in corpus.splits[name].targets] == examples.labels


def test_only_rows_in_use_are_kept_with_padding_and_the_unknown_word(tiny_news, tiny_vectors):
    corpus = build_corpus(tiny_news, tiny_vectors, CONFIG)
    assert corpus.table_size == len(tiny_vectors.words)
    assert [tiny_vectors.words[row] for row in corpus.rows] == corpus.vocab.words
    assert corpus.rows[0] == 0
    assert "," not in corpus.vocab.words
    assert corpus.vocab.words[corpus.vocab.unknown_id] == "unk"


@pytest.mark.parametrize("with_vectors", [True, False])
def test_ids_that_lie_in_a_file_are_those_in_memory(tiny_news, tiny_vectors, monkeypatch, with_vectors):
    vectors = tiny_vectors if with_vectors else None
    small = build_corpus(tiny_news, vectors, CONFIG)
    monkeypatch.setattr(stored_texts, "STRETCH", 7)
    monkeypatch.setattr(corpus_module, "_IN_MEMORY", 50)
    large = build_corpus(tiny_news, vectors, CONFIG)
    assert isinstance(large.splits["train"].tokens.ids, np.memmap)
    assert large.vocab == small.vocab
    np.testing.assert_array_equal(large.rows, small.rows)
    for name, split in small.splits.items():
        np.testing.assert_array_equal(large.splits[name].tokens.ids, split.tokens.ids)
        np.testing.assert_array_equal(large.splits[name].tokens.offsets, split.tokens.offsets)


class Slices:
    """Texts or labels that are made when a few of them are asked for, and never all at once."""

    def __init__(self, texts, most):
        self.texts, self.most = texts, most

    def __len__(self):
        return len(self.texts)

    def __getitem__(self, index):
        assert len(range(*index.indices(len(self)))) <= self.most
        return self.texts[index]


@pytest.mark.parametrize("with_vectors", [True, False])
def test_of_texts_and_labels_only_stretches_are_taken(tiny_news, tiny_vectors, monkeypatch, with_vectors):
    vectors = tiny_vectors if with_vectors else None
    expected = build_corpus(tiny_news, vectors, CONFIG)
    monkeypatch.setattr(stored_texts, "STRETCH", 7)
    monkeypatch.setattr(task_module, "_STRETCH", 7)
    splits = {name: Examples(Slices(part.texts, 7), Slices(part.labels, 7)) for name, part in tiny_news.splits.items()}
    corpus = build_corpus(Dataset("x", splits, (), "", tiny_news.task), vectors, CONFIG)
    assert corpus.vocab == expected.vocab
    for name, split in expected.splits.items():
        np.testing.assert_array_equal(corpus.splits[name].tokens.ids, split.tokens.ids)
        np.testing.assert_array_equal(corpus.splits[name].targets, split.targets)


def test_the_file_of_ids_goes_with_the_process(tiny_news, monkeypatch):
    monkeypatch.setattr(corpus_module, "_IN_MEMORY", 50)
    build_corpus(tiny_news, None, CONFIG)
    assert not list(cache_folder().iterdir())


def test_without_vectors_the_words_are_those_of_train_alone():
    dataset = Dataset(
        "x", {"train": Examples(["a b"], ["1"]), "test": Examples(["b c"], ["1"])}, (), "", task_of(["1"], lists=False)
    )
    corpus = build_corpus(dataset, None, CONFIG)
    assert corpus.vocab.words == ["<pad>", "<unk>", "a", "b"]
    assert words_of(corpus, "test", 0) == ["b", "<unk>"]


def test_vectors_without_unk_gain_their_mean_as_a_last_row():
    matrix = np.array([[1, 2], [3, 6]], np.float32)
    table = pretrained_rows(Vectors(["a", "b"], matrix, ""), np.array([2, 1, 0]))
    np.testing.assert_array_equal(table, [[2, 4], [3, 6], [1, 2]])
    assert pretrained_rows(Vectors(["unk", "b"], matrix, ""), np.array([1])).tolist() == [[3, 6]]


def test_several_labels_are_ones_in_a_row(monkeypatch):
    monkeypatch.setattr(task_module, "_STRETCH", 2)
    examples = Examples(["a", "b", "c"], [("y",), (), ("x", "z")])
    corpus = build_corpus(Dataset("x", {"train": examples}, (), "", task_of(["x", "y", "z"], lists=True)), None, CONFIG)
    targets = corpus.splits["train"].targets
    assert (targets.dtype, targets.tolist()) == (np.uint8, [[0, 1, 0], [0, 0, 0], [1, 0, 1]])
    assert corpus.task == SeveralLabels(("x", "y", "z"))


def test_train_has_keys_only_where_a_part_of_it_is_held_out(tiny_news):
    train, test = tiny_news.splits["train"], tiny_news.splits["test"]
    assert len(build_corpus(tiny_news, None, CONFIG).splits["train"].keys) == 160
    assert build_corpus(tiny_news, None, DataSettings(validation_fraction=0.0)).splits["train"].keys is None
    whole = Dataset("x", {"train": train, "validation": test}, (), "", tiny_news.task)
    assert build_corpus(whole, None, CONFIG).splits["train"].keys is None


def follow_case(settings, vectors, texts):
    lowercase = settle_reading(settings, vectors, texts).lowercase
    assert isinstance(lowercase, bool)  # "auto" would be true
    return lowercase


CASED = Vectors(["the", "Cup", "Bank", "goal", "unk"], np.ones((5, 4), np.float32), "cased")
TEXTS = ["the Cup", "the Bank", "goal goal"]  # 6 tokens: as written CASED knows 6, lower-cased 4


def test_the_case_is_kept_where_the_vectors_know_more_words_so(caplog):
    caplog.set_level("INFO", "rubrica")
    assert not follow_case(DataSettings(), CASED, TEXTS)
    assert "cased: knows 100.0% of train's tokens as written, 66.7% lower-cased; the case is kept" in caplog.text
    lower = replace(CASED, words=["the", "cup", "bank", "goal", "unk"], source="lower")
    assert follow_case(DataSettings(), lower, TEXTS)
    assert "lower: knows 66.7% of train's tokens as written, 100.0% lower-cased; texts are lower-cased" in caplog.text
    apart = replace(CASED, words=["the", "cup", "E\u0301cole", "goal", "unk"])
    assert not follow_case(DataSettings(), apart, ["the \u00c9cole"])
    assert follow_case(DataSettings(), CASED, ["the goal", ""])  # alike
    assert follow_case(DataSettings(), CASED, [""])
    assert follow_case(DataSettings(), None, TEXTS)
    assert follow_case(DataSettings(lowercase=True), CASED, TEXTS)
    assert not follow_case(DataSettings(lowercase=False), lower, TEXTS)


def test_of_many_texts_some_from_all_over_tell_the_case(monkeypatch):
    monkeypatch.setattr(case, "_SAMPLE_TEXTS", 2)
    monkeypatch.setattr(case, "_SAMPLES", 5)
    assert not follow_case(DataSettings(), CASED, ["the goal"] * 70 + ["the Cup"] * 30)
    assert follow_case(DataSettings(), CASED, ["the goal"] * 100)


def test_scripts_without_spaces_are_split_unless_vectors_know_no_more_then(caplog):
    def split(vectors, texts, **settings):
        found = settle_reading(DataSettings(**settings), vectors, texts).split_unspaced
        assert isinstance(found, bool)
        return found

    texts = ["北京 天气", "the 北京", "今天"]
    by_word = Vectors(["北京", "天气", "the", "unk"], np.ones((4, 2), np.float32), "by word")
    by_character = replace(by_word, words=["北", "京", "天", "the"], source="by character")
    assert split(None, texts)
    assert not split(by_word, texts)
    caplog.set_level("INFO", "rubrica")
    assert split(by_character, texts)
    assert (
        "by character: knows 20.0% of train's tokens with sentences without spaces whole, 77.8% with each character "
        "alone; they are split" in caplog.text
    )
    assert split(by_character, texts, lowercase=True)
    assert not split(by_character, ["the cup", ""])
    assert split(by_word, texts, split_unspaced=True)
    assert not split(by_character, texts, split_unspaced=False)
    dataset = Dataset("x", {"train": Examples(["北京"], ["1"])}, (), "", task_of(["1"], lists=False))
    found = [build_corpus(dataset, vectors, DataSettings(min_count=1)).vocab for vectors in (None, by_word)]
    assert [(vocab.tokenize("北京"), vocab.split_unspaced) for vocab in found] == [
        (["北", "京"], True),
        (["北京"], False),
    ]
