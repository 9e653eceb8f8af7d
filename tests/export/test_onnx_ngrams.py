"""The ONNX graph of a linear model, alone and beside a network: its keys, its arithmetic, its check."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rubrica
from cases import examples
from documented import as_documented, programs
from made_models import learn, random_artifact
from rubrica.artifact.folder import Artifact
from rubrica.data.dataset import Dataset, Examples
from rubrica.export.onnx import TOLERANCE, build_model, check, checked_onnx, onnx_inputs, write_onnx
from rubrica.export.shrink import store
from rubrica.models.config import make_config
from rubrica.models.storage import STORAGES
from rubrica.scoring.tasks import task_of
from rubrica.text.ngrams import CHARACTERS, Ngrams, count_ngrams, features, index_keys, weigh_counts
from rubrica.text.vocab import Vocab
from settings import changed

DOCUMENTED = as_documented()
TRAINED = {
    "tea": ["Green tea, 3 cups", "TEA tea TEA", "чай Чёрный чай", "a cup of tea at 5"],
    "rain": ["Rain in İzmir", "it rains, it RAINS", "дождь ДОЖДЬ 12 дней", "wet Σίσυφος, wet"],
    "iron": ["iron 26 Fe", "Iron and steel steel", "железо и сталь", "IRON!!! ore 😀"],
}
ODD = [
    "",
    " ",
    "Unseen Words ONLY",
    "TEA, rain & IRON 26",
    "ΣΊΣΥΦΟΣ İZMIR",
    "чай " * 90,
    "a\ud800b",
    "😀😀 tea\0iron",
    "q",
]
NGRAMS = Ngrams(True, 2, 5)


def dataset(labels, *, lists=False):
    texts = [(text, label) for label in labels for text in TRAINED[label] * 3]
    answers = [[label] if lists else label for _, label in texts]
    examples = Examples([text for text, _ in texts], answers)
    return Dataset("weather", {"train": examples}, ("text",), "label", task_of(labels, lists=lists))


@pytest.mark.parametrize(
    ("settings", "labels", "lists"),
    [
        (["model.name=linear"], ["tea", "rain", "iron"], False),
        (["model.name=linear", "model.keep_case=true"], ["tea", "rain"], False),
        (["model.name=linear", "model.char_ngrams=0", "model.word_ngrams=3"], ["tea", "rain", "iron"], True),
        (["model.name=linear", "model.char_ngrams=2", "training.storage=int4"], ["tea", "rain", "iron"], False),
        (["model.hidden_size=6", "training.epochs=2"], ["tea", "rain", "iron"], False),
        (
            ["model.name=cnn", "model.hidden_size=4", "training.epochs=2", "beside.keep_case=true"],
            ["tea", "rain"],
            False,
        ),
    ],
    ids=str,
)
def test_a_program_without_rubrica_makes_the_keys_and_gets_the_same_answers(tmp_path, settings, labels, lists):
    model = learn(dataset(labels, lists=lists), changed(make_config(), settings), out=tmp_path / "model")
    content, differences = checked_onnx(model.artifact, tmp_path / "model.onnx")
    assert differences.onnx < TOLERANCE
    files = write_onnx(model.artifact, tmp_path / "model.onnx", content)
    names = ["model.onnx"] if model.config.model.name == "linear" else ["model.onnx", "model.vocab.txt"]
    assert [file.name for file in files] == names == sorted(path.name for path in tmp_path.glob("model.*"))
    texts = [text for label in labels for text in TRAINED[label]] + ODD
    expected = rubrica.load(tmp_path / "model").predict_proba(texts)
    assert np.ptp(expected, axis=0).min() > 0.1  # the keys are known, or all answers would be one
    _, probabilities = DOCUMENTED.answer(str(tmp_path / "model.onnx"), texts)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    alone = [DOCUMENTED.answer(str(tmp_path / "model.onnx"), [text])[1][0] for text in texts]
    np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-5)


def test_the_short_program_gets_the_same_answers(tmp_path, monkeypatch):
    model = learn(dataset(["tea", "rain"]), changed(make_config(), ["training.epochs=1"]), out=tmp_path / "model")
    (tmp_path / "model.onnx").write_bytes(build_model(model.artifact).SerializeToString())
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(programs()[0], names)
    expected = model.predict_proba(["a fine film", "two hours lost"])
    np.testing.assert_allclose(names["probabilities"], expected, rtol=0, atol=1e-5)


def test_one_string_is_not_a_list_of_texts():
    with pytest.raises(TypeError, match="texts is one string"):
        onnx_inputs(steady("linear"), "a cup of tea")


@examples(60)
@given(st.lists(st.text(), max_size=4), st.booleans(), st.integers(1, 4), st.integers(0, 6))
def test_ngrams_are_counted_as_documented(texts, lowercase, word_ngrams, char_ngrams):
    found = count_ngrams(texts, Ngrams(lowercase, word_ngrams, char_ngrams))
    assert found.keys.shape == found.counts.shape
    assert found.keys.shape[1] >= 1
    for text, keys, counts in zip(texts, *found, strict=True):
        tokens = DOCUMENTED.re.findall(r"\w+|[^\w\s]+", text.lower() if lowercase else text)
        real = counts > 0
        pairs = dict(zip(keys[real].tolist(), counts[real].tolist(), strict=True))
        assert pairs == DOCUMENTED.count_ngrams(tokens, word_ngrams, char_ngrams)
        assert len(pairs) == real.sum()


def test_counted_ngrams_weigh_what_their_texts_weigh(instruction_sets):
    texts = [text for group in TRAINED.values() for text in group] + ODD
    counts = count_ngrams(texts, NGRAMS)
    keys = np.unique(counts.keys[counts.counts > 0] % CHARACTERS)[::2].astype(np.uint32)
    idf = np.random.default_rng(0).uniform(0.1, 5, len(keys)).astype(np.float32)
    found = weigh_counts(counts, index_keys(keys), idf)
    for live in instruction_sets:
        with live:
            expected = features(texts, NGRAMS, index_keys(keys), idf, 1)
        for mine, theirs in zip(by_text(found), by_text(expected), strict=True):
            assert mine == pytest.approx(theirs, abs=1e-6)


def by_text(entries):
    """The numbers of each text by feature; one that both blocks have would count once, and none is in both."""
    ends = (entries.places + entries.sizes).tolist()
    texts = [slice(*ends) for ends in zip(entries.places.tolist(), ends, strict=True)]
    return [dict(zip(entries.indices[i].tolist(), entries.values[i].tolist(), strict=True)) for i in texts]


def linear_of(keys, classes, draw):
    """A linear model with these keys and random weights."""
    config = changed(make_config(), ["model.name=linear", "training.batch_size=8"])
    machines = 1 if classes == 2 else classes
    tensors = {
        "linear.keys": np.array(keys, np.uint32),
        "linear.idf": draw.uniform(0.5, 9, len(keys)).astype(np.float32),
        "linear.weight": draw.normal(size=(len(keys), machines)).astype(np.float32),
        "linear.bias": draw.normal(size=machines).astype(np.float32),
    }
    return Artifact(config, task_of([str(i) for i in range(classes)], lists=False), Vocab(["<pad>"], 0, True), tensors)


def logits_by_a_loop(artifact, keys, counts):
    """One text, a feature at a time."""
    tensors = {name: tensor.astype(float) for name, tensor in artifact.tensors.items()}
    places = {int(key): i for i, key in enumerate(artifact.tensors["linear.keys"])}
    total = tensors["linear.bias"].copy()
    for low in (0, 2**32):
        block = [(places.get(key - low), n) for key, n in zip(keys, counts, strict=True) if low <= key < low + 2**32]
        known = [(i, tensors["linear.idf"][i] * (1 + np.log(n))) for i, n in block if i is not None and n > 0]
        norm = np.sqrt(sum(value**2 for _, value in known))
        for i, value in known:
            total += value / norm * tensors["linear.weight"][i]
    return total if len(total) > 1 else np.array([-total[0], total[0]])


DRAW = np.random.default_rng(11)
KEYS = {
    "one": [7],
    "the last": [2**32 - 1],
    "both ends": [0, 2**32 - 1],
    "three": [0, 2**31 - 1, 2**31],
    "side by side": [*range(2**31 - 40, 2**31 + 40)],  # nearly all are in one bucket
    "at the end": [*range(2**32 - 33, 2**32)],
    "many": sorted(set(DRAW.integers(0, 2**32, 3000).tolist())),
}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_every_key_is_found_and_no_other(keys, classes):
    draw = np.random.default_rng(3)
    artifact = linear_of(keys, classes, draw)
    model = build_model(artifact)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    near = np.unique([key + step for key in keys[:200] + keys[-5:] for step in (-1, 0, 1) if 0 <= key + step < 2**32])
    given = np.concatenate([near, near[::3] + CHARACTERS])
    counts = draw.integers(0, 5, (4, len(given)))
    rows = np.stack([draw.permutation(given), given, given, given])
    counts[1] = 0  # a text without n-grams
    counts[2] = np.where(np.isin(given % CHARACTERS, keys), 0, 1)  # n-grams that are all unknown
    counts[3] = np.where(given < CHARACTERS, counts[3], 0)  # one block alone
    (logits,) = session.run(["logits"], {"keys": rows, "counts": counts})
    expected = [logits_by_a_loop(artifact, *text) for text in zip(rows.tolist(), counts.tolist(), strict=True)]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("storage", STORAGES)
def test_smaller_weights_are_small_in_the_graph_and_answer_alike(storage):
    draw = np.random.default_rng(5)
    artifact = store(linear_of(KEYS["many"], 3, draw), storage)
    content = build_model(artifact).SerializeToString()
    assert check(artifact, content).onnx < TOLERANCE
    (table,) = (one for one in onnx.load_from_string(content).graph.initializer if one.name == "linear.weight")
    number = {"float32": 4, "bfloat16": 2, "int8": 1, "int4": 1}[storage]
    assert len(table.raw_data) == len(KEYS["many"]) * 3 * number


def steady(name, *, lists=False):
    """A model of a family with a linear model beside it, whose weights are so small that float32 is steady."""
    artifact = random_artifact(name, lists=lists)
    small = {key: tensor * np.float32(0.1) for key, tensor in artifact.tensors.items() if key != "linear.keys"}
    return replace(artifact, tensors=artifact.tensors | small)


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("name", ["linear", "gru", "bag", "cnn"])
def test_every_family_has_a_graph_by_its_defaults(name, lists):
    artifact = steady(name, lists=lists)
    model = build_model(artifact)
    onnx.checker.check_model(model, full_check=True)
    assert check(artifact, model.SerializeToString()).onnx < TOLERANCE
    assert {given.name for given in model.graph.input} == onnx_inputs(artifact, ["a слово", ""]).keys()


@pytest.mark.parametrize("name", ["linear.keys", "linear.idf", "linear.weight", "linear.bias"])
def test_the_check_sees_a_number_that_is_wrong(name):
    artifact = steady("cnn")
    wrong = artifact.tensors[name].copy()
    wrong[-1] += 1 if name == "linear.keys" else np.float32(1e-3)
    other = build_model(replace(artifact, tensors=artifact.tensors | {name: wrong})).SerializeToString()
    assert not check(artifact, other).passed
