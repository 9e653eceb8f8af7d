"""Shares of tokens: exact ones add up, leaving out is done by hand once more, gradients are torch's and captum's."""

import numpy as np
import pytest

import rubrica
from made_explanations import BAGS, EXACT, FASTTEXT, LINEAR, TEXTS, make_both, make_fasttext, make_linear
from made_models import BOTH_WAYS, LABELS, OF_EACH_KIND, make, make_bag
from rubrica.errors import RubricaError
from rubrica.export.shrink import store
from rubrica.insight.explanations.beliefs import beliefs
from rubrica.insight.explanations.exact import exact_sum
from rubrica.insight.explanations.explain import explain
from rubrica.insight.explanations.gradients import integrated_gradients
from rubrica.insight.explanations.reading import Reader
from rubrica.predict.classifier import Classifier
from rubrica.text.ngrams import find_runs

TEXT = "c b-a. d e,f g? B A! c"


def total(reason):
    return reason.base + reason.shares.sum() + reason.rest


def parts_of(artifact, text):
    return Reader(artifact).read(text).parts


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_exact_shares_add_up_to_the_logit(name, text):
    artifact = EXACT[name]()
    model = Classifier(artifact)
    found = explain(model, text, labels=model.labels)
    assert set(found.methods.values()) == {"exact"}
    logits, probabilities = model.logits([text])[0], model.predict_proba([text])[0]
    scores = np.array([reason.score for reason in found.reasons])
    for reason, probability in zip(found.reasons, probabilities, strict=True):
        assert abs(reason.base + reason.shares.sum() - reason.score) < 1e-5
        assert abs(total(reason) - reason.score) < 1e-9
        assert reason.probability == probability
        assert len(reason.shares) == len(found.tokens)
    if not name.startswith("fastText"):
        np.testing.assert_array_equal(scores, logits.astype(float))
    elif found.tokens or "words alone" in name:  # else not even the end of the line has a row in a small table
        likely = {"one against all": lambda x: 1 / (1 + np.exp(-x))}
        likely["negatives"] = likely["one against all"]
        softmax = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        of_kind = likely.get(name.removeprefix("fastText, "))
        expected = softmax if of_kind is None else of_kind(scores)
        # FastText adds 1e-5 before each logarithm, and reads a sigmoid, of slope 1/4, from a table in steps of 1/32.
        np.testing.assert_allclose(probabilities, expected, rtol=0, atol=2e-5 if of_kind is None else 1 / 128)


@pytest.mark.parametrize("storage", ["bfloat16", "int8", "int4"])
@pytest.mark.parametrize("name", ["bag, fourgrams", "bag, characters", "linear, linear", "linear, two classes"])
def test_exact_shares_of_stored_models_add_up(name, storage):
    model = Classifier(store(EXACT[name](), storage))
    for text in TEXTS:
        found = explain(model, text, labels=model.labels)
        for reason, logit in zip(found.reasons, model.logits([text])[0], strict=True):
            assert abs(reason.base + reason.shares.sum() - logit) < 1e-5


def tfidf_by_hand(artifact, text, label):
    """The shares of a linear model, run by run and occurrence by occurrence."""
    model, tensors = artifact.config.model, artifact.tensors
    ngrams = model.ngrams(artifact.config.data)
    tokens = Reader(artifact).read(text).parts[0].read.tokens()
    words = [token.text for token in tokens]
    one = [  # the key of each run of words, and the tokens that it covers
        (find_runs(" ".join(words[i : i + n]), ngrams).words[n - 1][0], range(i, i + n))
        for n in range(1, ngrams.word_ngrams + 1)
        for i in range(len(words) - n + 1)
    ]
    two = [(key, [i]) for i, word in enumerate(words) for keys, _ in find_runs(word, ngrams).inside for key in keys]
    shares = np.zeros(len(words))
    for block in (one, two):
        counts, places = {}, {int(key): i for i, key in enumerate(tensors["linear.keys"])}
        for key, _ in block:
            counts[int(key)] = counts.get(int(key), 0) + 1
        known = [key for key in counts if key in places]
        values = {key: tensors["linear.idf"][places[key]] * (1 + np.log(counts[key])) for key in known}
        norm = np.sqrt(sum(value**2 for value in values.values()))
        for key, covered in block:
            if int(key) in places:
                weight = tensors["linear.weight"][places[int(key)], min(label, tensors["linear.weight"].shape[1] - 1)]
                sign = -1 if tensors["linear.weight"].shape[1] == 1 and label == 0 else 1
                share = sign * weight * values[int(key)] / norm / counts[int(key)] / len(covered)
                shares[list(covered)] += share
    return shares


@pytest.mark.parametrize("name", LINEAR)
def test_a_feature_is_shared_by_its_occurrences_and_their_tokens(name):
    artifact = LINEAR[name]()
    for text in (TEXT, "a b a b a", "Aa aa AA aA"):
        for label in (0, 1):
            found = explain(Classifier(artifact), text, labels=[artifact.task.labels[label]])
            np.testing.assert_allclose(found.reasons[0].shares, tfidf_by_hand(artifact, text, label), atol=1e-5)


def test_a_row_of_a_bag_is_shared_by_its_tokens():
    """Each row in turn is made zero: what the logit loses is shared equally by the tokens that have the row."""
    artifact = make_bag(3)
    model, text = Classifier(artifact), "a b c d a b"
    tokens = artifact.vocab.tokenize(text)
    found = explain(model, text, labels=LABELS[:1]).reasons[0].shares
    expected, whole = np.zeros(len(tokens)), model.logits([text])[0, 0]
    runs = [tokens[i : i + n] for n in (1, 2, 3) for i in range(len(tokens) - n + 1)]
    table = artifact.tensors["ngrams.weight"]
    for word in set(tokens):
        expected[[token == word for token in tokens]] += lost(model, artifact, "embedding.weight", word, text, whole)
    buckets = {}
    for i, run in ((i, run) for n in (2, 3) for i, run in enumerate(r for r in runs if len(r) == n)):
        buckets.setdefault(bucket_of(artifact, run), []).append(range(i, i + len(run)))
    for bucket, places in buckets.items():
        kept = table[bucket].copy()
        table[bucket] = 0
        fall = whole - model.logits([text])[0, 0]
        table[bucket] = kept
        for covered in places:
            expected[list(covered)] += fall / len(places) / len(covered)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def lost(model, artifact, table, word, text, whole):
    """What the logit loses without a word's row, for each occurrence."""
    row = artifact.tensors[table][artifact.vocab.index[word]]
    kept = row.copy()
    row[:] = 0
    fall = whole - model.logits([text])[0, 0]
    row[:] = kept
    return fall / artifact.vocab.tokenize(text).count(word)


def bucket_of(artifact, run):
    """The bucket of a run of words, found as the row that moves the text of the run alone."""
    from rubrica.kernels.bag import Tables, rows_of

    ids = np.array([artifact.vocab.index[word] for word in run], np.int32)
    tables = Tables(artifact.tensors["embedding.weight"], artifact.tensors["ngrams.weight"], len(run))
    return int(rows_of(tables, ids, np.array([0, len(ids)]))[0][-1]) - len(tables.words)


@pytest.mark.parametrize("name", FASTTEXT)
def test_the_rows_of_fasttext_are_the_engines(name):
    """The share of each word alone: what stands in a text of one word is its own and the end of the line's."""
    artifact = FASTTEXT[name]()
    settings = artifact.config.model
    if settings.word_ngrams > 1:
        pytest.skip("runs of words join the words of a text")
    engine = settings._engine(artifact.tensors)
    (part,) = parts_of(artifact, "a words unknown a")
    found = exact_sum(settings, part, [2])
    counts = [len(engine.subwords(word)[1]) for word in (b"a", b"words", b"unknown", b"a", b"</s>")]
    vectors = engine.word_vectors(_packed([b"a", b"words", b"unknown", b"a", b"</s>"])).astype(float)
    output = artifact.tensors["output.weight"][2].astype(float)
    expected = vectors @ output * counts / sum(counts)
    np.testing.assert_allclose(np.append(found.shares[:, 0], found.base), expected, atol=1e-6)


def _packed(words):
    from rubrica.kernels.fasttext_rules import pack

    return pack(words)


NETWORK_CASES = [(*case, masked) for case in BOTH_WAYS for masked in (True, False)]


def without(tokens, i):
    return " ".join([*tokens[:i], *tokens[i + 1 :]])


@pytest.mark.parametrize(("name", "pooling", "both", "masked"), NETWORK_CASES, ids=str)
def test_leaving_out_and_reading_on_are_what_the_model_says_of_shorter_texts(name, pooling, both, masked):
    model, _ = make(name, pooling, masked, both)
    tokens = model.artifact.vocab.tokenize(TEXT)
    found = explain(model, TEXT, labels=[LABELS[1]], method="leave-one-out", beliefs=True)
    logit = model.logits([TEXT])[0, 1]
    expected = [logit - model.logits([without(tokens, i)])[0, 1] for i in range(len(tokens))]
    np.testing.assert_allclose(found.reasons[0].shares, expected, atol=1e-6)
    assert found.reasons[0].base == pytest.approx(model.logits([""])[0, 1], abs=1e-6)
    prefixes = [model.predict_proba([" ".join(tokens[:t])])[0] for t in range(len(tokens) + 1)]
    np.testing.assert_allclose(found.beliefs, prefixes, atol=1e-6)


OTHERS = EXACT | OF_EACH_KIND | {"default": make_both, "tree": lambda: make_fasttext("hs")}


@pytest.mark.parametrize("name", OTHERS)
def test_every_model_is_explained_by_leaving_out(name):
    model = Classifier(OTHERS[name]())
    label = model.labels[1]
    for text in ("a b a words", "A é b-a. c 😀 a"):
        found = explain(model, text, labels=[label], method="leave-one-out", beliefs=True)
        tokens = [token.text for token in found.tokens]
        logits = model.logits([text, "", *(without(tokens, i) for i in range(len(tokens)))])[:, 1].astype(float)
        reason = found.reasons[0]
        near = 1e-6 * max(10.0, abs(logits).max())
        assert reason.score == pytest.approx(logits[0], abs=near)
        assert reason.base == pytest.approx(logits[1], abs=near)
        np.testing.assert_allclose(reason.shares, logits[0] - logits[2:], atol=near)
        assert total(reason) == pytest.approx(reason.score, abs=1e-9)
        prefixes = model.predict_proba([text[:end] for end in [0, *(token.end for token in found.tokens)]])
        np.testing.assert_allclose(found.beliefs, prefixes, atol=1e-6)


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("linear", [{}, {"keep_case": True}, {"lowercase": False}], ids=str)
def test_the_members_of_a_model_add_up(lists, linear):
    model = Classifier(make_both(lists=lists, **linear))
    for method in (None, "leave-one-out"):
        for text in TEXTS:
            reasons = explain(model, text, labels=model.labels, method=method).reasons
            for reason, logit in zip(reasons, model.logits([text])[0].astype(float), strict=True):
                assert reason.score == pytest.approx(logit, abs=1e-5)
                assert total(reason) == pytest.approx(reason.score, abs=1e-9)


@pytest.mark.parametrize("lists", [False, True])
def test_gradients_of_a_network_and_exact_shares_beside_it_add_up(lists):
    model = Classifier(make_both(lists=lists))
    for text in ("a b c", "", "e\u0301 A 😀 b"):
        found = explain(model, text, labels=model.labels, method="gradients")
        assert found.methods == {"gru": "gradients", "linear": "exact"}
        network = integrated_gradients(parts_of(model.artifact, text)[0], range(len(model.labels)))
        allowed = 0.01 * abs(network.score - network.base) + 2e-5
        for reason, logit, most in zip(found.reasons, model.logits([text])[0].astype(float), allowed, strict=True):
            assert reason.score == pytest.approx(logit, abs=1e-5)
            assert total(reason) == pytest.approx(reason.score, abs=1e-9)
            assert abs(reason.rest) <= most


def test_the_linear_members_tokens_are_counted_among_the_networks():
    artifact = make_both(split_unspaced=True)
    text = "日本語 の テキスト a b"
    network, linear = parts_of(artifact, text)
    assert len(network.spans) == 10
    whole = exact_sum(linear.settings, linear, [0, 1])
    alone = explain(Classifier(make_linear()), text, labels=LABELS[:2])
    shares = np.stack([reason.shares for reason in alone.reasons], axis=1)
    expected = np.repeat(shares / [[3], [1], [4], [1], [1]], [3, 1, 4, 1, 1], axis=0)
    np.testing.assert_allclose(whole.shares, expected, atol=1e-6)


def test_tokens_beyond_the_limit_are_not_read():
    artifact = make_both(max_length=4)
    text = "a b c d e f b"
    network, linear = parts_of(artifact, text)
    assert (network.count, linear.count) == (4, 7)
    found = explain(Classifier(artifact), text, beliefs=True)
    assert found.reads == {"gru": 4, "linear": 7}
    assert found.limit == 7
    alone, _ = make("gru")
    alone = Classifier(rubrica_replace(alone.artifact, max_length=4))
    found = explain(alone, text, labels=LABELS, beliefs=True)
    for reason in found.reasons:
        assert not reason.shares[4:].any()
        assert reason.shares[:4].all()
    assert [token["read"] for token in found.to_json()["tokens"]] == [True] * 4 + [False] * 3
    assert len(found.beliefs) == 8
    assert (found.beliefs[4:] == alone.predict_proba([text])).all()


def rubrica_replace(artifact, **data):
    from dataclasses import replace

    return replace(artifact, config=artifact.config.replace(data=data))


def test_the_answer_is_explained():
    model = Classifier(make_linear())
    assert [reason.label for reason in explain(model, TEXT).reasons] == model.predict([TEXT])
    several = Classifier(make_linear(lists=True))
    answered = [explain(several, text) for text in TEXTS]
    for text, found in zip(TEXTS, answered, strict=True):
        (labels,) = several.predict([text])
        best = several.labels[int(several.logits([text])[0].argmax())]
        assert [reason.label for reason in found.reasons] == (labels or [best])
    assert {len(found.reasons) for found in answered} >= {1, 2}


def test_what_cannot_be_explained_is_said():
    gru, tree = make("gru")[0], Classifier(make_fasttext("hs"))
    with pytest.raises(RubricaError, match="no exact shares; take the method leave-one-out"):
        explain(gru, TEXT, method="exact")
    with pytest.raises(RubricaError, match="no gradients here; take the method leave-one-out"):
        explain(tree, TEXT, method="gradients")
    with pytest.raises(ValueError, match=r"does not know the label 'Sport'.*Sports"):
        explain(gru, TEXT, labels=["Sport"])
    with pytest.raises(ValueError, match=r"'gradient'.*gradients"):
        explain(gru, TEXT, method="gradient")
    with pytest.raises(TypeError, match="expected a string"):
        explain(gru, ["a"])
    assert explain(tree, TEXT).methods == {"fasttext": "leave-one-out"}
    assert rubrica.explain is explain


def test_a_file_of_infinite_weights_is_an_error():
    artifact = make_fasttext()
    artifact.tensors["output.weight"][1] = np.inf
    with pytest.raises(RubricaError, match="not finite"):
        explain(Classifier(artifact), "a b", labels=["1"])


def test_beliefs_without_tokens_are_the_answer_to_nothing():
    model, _ = make("gru")
    np.testing.assert_array_equal(beliefs(Reader(model.artifact).read(" "), model.task), model.predict_proba([""]))


@pytest.mark.parametrize("name", BAGS)
def test_shares_are_the_same_in_every_run(name):
    first, second = (explain(Classifier(BAGS[name]()), TEXT).to_json() for _ in range(2))
    assert first == second
