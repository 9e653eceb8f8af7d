"""fastText's file: written back as it was, and damaged in every way: the right answer or an error, in little memory."""

import random
import resource
import struct

import numpy as np
import pytest

import rubrica
from contract import check_fasttext, found_by
from fasttext_models import ODD, make_lines, train
from rubrica.artifact.fasttext_file import MAGIC, is_fasttext_file, read_fasttext, write_fasttext
from rubrica.errors import ArtifactError
from rubrica.kernels import native
from rubrica.kernels.fasttext import Engine
from rubrica.text.tokens import pack

pytestmark = pytest.mark.usefixtures("own_heap")

fasttext = pytest.importorskip("fasttext", reason="fastText is not installed")

KINDS = {
    "dense": {"loss": "softmax", "wordNgrams": 2, "minn": 2, "maxn": 3, "bucket": 300},
    "tree": {"loss": "hs", "dim": 6, "bucket": 300},
    "several": {"loss": "ova", "several": True, "dim": 4, "bucket": 50},
    "pruned": {"loss": "ns", "minn": 2, "maxn": 3, "dim": 6, "quantise": {"cutoff": 300, "qnorm": True}},
    "output": {
        "loss": "hs", "dim": 5, "quantise": {"qnorm": True, "qout": True},
        "lines": [f"__label__n{i} w{i} w{i % 7}" for i in range(300)],
    },
    "vectors": {"kind": "skipgram", "minn": 2, "maxn": 3, "dim": 4, "bucket": 100},
}  # fmt: skip
MORE_BYTES = 50 << 20  # that a damaged file may take above its own size


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    made = {}
    for name, settings in KINDS.items():
        folder = tmp_path_factory.mktemp(name)
        made[name] = train(fasttext, folder, **settings)[1]
    return made


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_written_back_as_it_was(files, tmp_path, name):
    settings, tensors = read_fasttext(files[name])
    write_fasttext(settings, tensors, tmp_path / "again.bin")
    before, after = files[name].read_bytes(), (tmp_path / "again.bin").read_bytes()
    if name == "pruned":  # fastText's order of pruned buckets is its hash table's
        again, others = read_fasttext(tmp_path / "again.bin")
        assert again == settings
        assert all(np.array_equal(tensors[key], others[key]) for key in tensors | others)
        assert len(before) == len(after)
    else:
        assert before == after


def test_matrices_are_views_of_the_file(files):
    _, tensors = read_fasttext(files["dense"])
    for side in ("input", "output"):
        assert not tensors[f"{side}.weight"].flags.owndata
        assert not tensors[f"{side}.weight"].flags.writeable


def test_a_supervised_model_of_version_11_reads_no_characters(files, tmp_path):
    data = bytearray(files["dense"].read_bytes())
    data[4:8] = struct.pack("<i", 11)
    path = tmp_path / "old.bin"
    path.write_bytes(data)
    settings, tensors = read_fasttext(path)
    assert (settings.version, settings.max_n) == (11, 0)
    model, engine = fasttext.load_model(str(path)), Engine(settings.rules, tensors)
    lines = ["goals and goal", "unknown word", "bank"]
    best = engine.best(pack(lines), -1)
    _, scores = model.f.multilinePredict([line + "\n" for line in lines], -1, 0.0, "strict")
    for mine, count, expected in zip(best.scores, best.counts, scores, strict=True):
        np.testing.assert_allclose(mine[:count], expected, atol=1e-6)


def test_load_opens_a_file_and_saves_a_folder(files, tmp_path):
    texts = ["goal team", "bank", "", "луна", "e\u0301 goal\0bank"]
    for name in ("dense", "tree", "several", "pruned", "output"):
        model = rubrica.load(files[name])
        theirs = fasttext.load_model(str(files[name]))
        probabilities = model.predict_proba(texts)
        for text, row in zip(texts, probabilities, strict=True):
            for score, label in theirs.f.predict(text + "\n", -1, 0.0, "strict"):
                # A score of a label by itself is at most 1 here, and 1.00001 there.
                found = row[model.labels.index(label.removeprefix("__label__"))]
                assert found == pytest.approx(min(score, 1) if name == "several" else score, abs=1e-6)
        model.save(tmp_path / name)
        again = rubrica.load(tmp_path / name)
        assert again.predict(texts) == model.predict(texts)
        np.testing.assert_array_equal(again.predict_proba(texts), probabilities)
    with pytest.raises(ArtifactError, match="word vectors and no labels"):
        rubrica.load(files["vectors"])


def test_a_text_is_not_composed(files):
    decomposed, composed = "goal e\u0301", "goal \u00e9"
    model = rubrica.load(files["dense"])
    assert not np.array_equal(*model.predict_proba([decomposed, composed]))


HEAD = 64  # bytes before the sizes of the dictionary


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (0, b"abcd", "begins with 61626364"),
        (4, struct.pack("<i", 13), "format 13"),
        (4, struct.pack("<i", 10), "format 10"),
        (8, struct.pack("<i", 7), "expected rows of 7"),
        (32, struct.pack("<i", 9), "loss 9"),
        (36, struct.pack("<i", 0), "kind 0"),
        (40, struct.pack("<i", 0), "hashed into 0 buckets"),
        (40, struct.pack("<i", 10**6), "expected at least 1000[0-9]{3}"),
        (44, struct.pack("<i", -1), "min_n is -1"),
        (48, struct.pack("<i", 10**6), "max_n is 1000000"),
        (HEAD, struct.pack("<i", 2**31 - 1), "do not fit"),
        (HEAD, struct.pack("<3i", 2**31 - 1, 2**31 - 6, 5), "cannot be in the"),
        (HEAD + 20, struct.pack("<q", 2**40), "cannot be in the"),
        (HEAD + 20, struct.pack("<q", 0), "pruned and the input is not quantised"),
        (HEAD + 20, struct.pack("<q", -2), "do not fit"),
    ],
)
def test_a_wrong_header_is_an_error(files, tmp_path, place, value, sentence):
    data = bytearray(files["dense"].read_bytes())
    data[place : place + len(value)] = value
    path = tmp_path / "bad.bin"
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=sentence) as error:
        read_fasttext(path)
    assert str(error.value).startswith(str(path))


def test_what_is_no_model_is_an_error(tmp_path):
    for content in (b"", MAGIC, MAGIC + bytes(200)):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(ArtifactError):
            read_fasttext(tmp_path / "bad")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_fasttext(tmp_path / "missing")
    assert not is_fasttext_file(tmp_path / "missing")
    assert not is_fasttext_file(tmp_path)


def test_a_number_that_is_not_finite_is_an_error(files, tmp_path):
    data = bytearray(files["dense"].read_bytes())
    data[-4:] = struct.pack("<f", float("nan"))
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"output\.weight holds a number that is not finite"):
        read_fasttext(tmp_path / "bad")


def mutate(data, draw):
    """Damage a file: flipped bits, a cut, a size or a number of the header that is another one."""
    data = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 3])):
        kind, place = draw.randrange(5), draw.randrange(len(data))
        early = draw.randrange(min(len(data), draw.choice([92, 92, 400, 10_000])))
        if kind == 0:
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            data[early] = draw.choice([0, 1, 2, 127, 128, 255, draw.randrange(256)])
        else:
            number = draw.choice([0, 1, -1, 2, 255, 256, 10**6, 2**31 - 1, -(2**31), 2**62, draw.randrange(-9, 999)])
            size = draw.choice([4, 8])
            start = early // 4 * 4
            packed = struct.pack("<q", number)[:size]
            data[start : start + len(packed)] = packed[: max(0, len(data) - start)]
        if not data:
            break
    return bytes(data)


LINES = [*ODD, *make_lines(4, 5)]


def check_mutations(files, tmp_path, count, seed):
    draw = random.Random(seed)
    whole = {name: path.read_bytes() for name, path in files.items()}
    path, models = tmp_path / "damaged.bin", 0
    for path_of in files.values():
        assert found_by(check_fasttext, path_of, LINES)  # what the process needs anyway is in memory now
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(count):
        path.write_bytes(mutate(whole[draw.choice(list(whole))], draw))
        models += found_by(check_fasttext, path, LINES) is not None
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert more < MORE_BYTES, f"{more >> 20} MB more"
    assert 0 < models < count


def test_damaged_files(files, tmp_path):
    check_mutations(files, tmp_path, 300 if native.library() is not None else 40, 7)


@pytest.mark.slow
def test_twenty_thousand_damaged_files(files, tmp_path):
    check_mutations(files, tmp_path, 20_000, 8)
