"""A fastText file made smaller: fastText itself reads what is written, and counts the same rows."""

import numpy as np
import pytest
from click.testing import CliRunner

from rubrica import load
from rubrica.artifact.fasttext_file import read_fasttext, write_fasttext
from rubrica.cli.main import rubrica as command
from rubrica.errors import ArtifactError, RubricaError
from rubrica.export.shrink_fasttext import shrink_file
from rubrica.learning.fasttext_quantize import quantize_fasttext, rank_rows, sizes_of

fasttext = pytest.importorskip("fasttext", reason="fastText is not installed")

from fasttext_models import make_lines  # noqa: E402  # behind the check that the oracle is there
from ragged import needs_native  # noqa: E402

pytestmark = needs_native


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of five labels, and one of 300."""
    path = tmp_path_factory.mktemp("shrink")
    (path / "train.txt").write_text("\n".join(make_lines(400, 1)) + "\n")
    many = [f"__label__{i % 300} word{i % 300} other{i % 7}" for i in range(900)]
    (path / "many.txt").write_text("\n".join(many) + "\n")
    # fastText 0.9.3 starts a tenth of its matrix per thread, rounded down, and leaves the rest as the memory was.
    options = {"dim": 9, "thread": 12, "verbose": 0, "epoch": 20, "lr": 0.5}
    model = fasttext.train_supervised(str(path / "train.txt"), wordNgrams=2, bucket=2000, **options)
    model.save_model(str(path / "few.bin"))
    fasttext.train_supervised(str(path / "many.txt"), **options).save_model(str(path / "many.bin"))
    return path


@pytest.mark.parametrize("name", ["few", "many"])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_the_file_fits_and_fasttext_reads_it(folder, tmp_path, name, share):
    settings, tensors = read_fasttext(folder / f"{name}.bin")
    largest = int(sizes_of(settings, tensors, output=False, pruned=False)[-1])
    least = int(sizes_of(settings, tensors, output=name == "many", pruned=True)[255])
    size = least + round(share * (largest - least))
    report = shrink_file(folder / f"{name}.bin", tmp_path / "small.ftz", size)
    found = (tmp_path / "small.ftz").stat().st_size
    assert size - 40 < found <= size or report["rows"]["after"] == settings.num_rows
    assert report["bytes"]["after"] == {"small.ftz": found}
    theirs = fasttext.load_model(str(tmp_path / "small.ftz"))
    assert len(theirs.words) == report["words"]["after"]
    ours = load(tmp_path / "small.ftz")
    for text in ("match goal", "bank price", "word7 other1", ""):
        ((score, label),) = theirs.f.predict(text + "\n", 1, 0.0, "strict")
        assert f"__label__{ours.predict([text])[0]}" == label
        assert ours.predict_proba([text]).max() == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("output", [False, True])
def test_the_size_is_foreseen_to_the_byte(folder, tmp_path, output, pruned):
    settings, tensors = read_fasttext(folder / "many.bin")
    sizes = sizes_of(settings, tensors, output=output, pruned=pruned)
    cutoff = 280 if pruned else 0
    made = quantize_fasttext(settings, tensors, cutoff=cutoff, norms=True, output=output)
    write_fasttext(*made, tmp_path / "made.ftz")
    assert read_fasttext(tmp_path / "made.ftz")[0] == made[0]
    assert (tmp_path / "made.ftz").stat().st_size == sizes[cutoff - 1]


def test_the_end_of_a_line_stays_however_short_its_row_is(folder):
    settings, tensors = read_fasttext(folder / "few.bin")
    rows, end = np.array(tensors["input.weight"]), fasttext.load_model(str(folder / "few.bin")).get_word_id("</s>")
    rows[end] = 0
    order = rank_rows(settings, tensors | {"input.weight": rows})
    lengths = np.linalg.norm(rows, axis=1)[order]
    assert order[0] == end
    assert (np.diff(lengths[1:]) <= 1e-6).all()


def test_what_cannot_become_smaller_says_why(folder, tmp_path):
    with pytest.raises(RubricaError, match=r"cannot be made smaller than [\d,]+ bytes \(256 rows\), and 1,000 were"):
        shrink_file(folder / "few.bin", tmp_path / "small.ftz", 1000)
    assert not (tmp_path / "small.ftz").exists()
    shrink_file(folder / "few.bin", tmp_path / "small.ftz", 1e6)
    with pytest.raises(ArtifactError, match="quantised already"):
        shrink_file(tmp_path / "small.ftz", tmp_path / "smaller.ftz", 1e6)
    with pytest.raises(ArtifactError, match="exists already"):
        shrink_file(folder / "few.bin", tmp_path / "small.ftz", 1e6)


def test_the_command_writes_beside_the_model_and_measures(folder, tmp_path):
    model = tmp_path / "news.bin"
    model.write_bytes((folder / "few.bin").read_bytes())
    arguments = ["quantize", str(model), "--max-size", "20k", "--data", str(folder / "train.txt")]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "news.ftz").stat().st_size <= 20_000
    assert "accuracy on 400 texts" in done.output
    assert CliRunner().invoke(command, ["quantize", str(tmp_path), "--max-size", "20k"]).exit_code == 2
