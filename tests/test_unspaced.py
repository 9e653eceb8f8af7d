"""Scripts without spaces, from the texts to a saved model: Thai and Japanese sentences that were made for this test."""

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from rubrica.artifact.folder import load_artifact
from rubrica.config.groups import DataSettings
from rubrica.data.dataset import Dataset, Examples
from rubrica.export.onnx import build_model
from rubrica.insight.overview import describe
from rubrica.learning.train import train
from rubrica.models.config import load_recipe, make_config
from rubrica.predict.classifier import load
from rubrica.scoring.tasks import task_of

PARTS = {
    "ja": {
        "料理": (
            ["今夜は", "母が", "店で", "昨日"],
            ["味噌汁", "カレー", "焼き魚", "うどん"],
            ["を食べた", "を煮た", "が熱い"],
        ),
        "天気": (
            ["明日は", "山では", "朝から", "来週"],
            ["大雨", "吹雪", "晴れ間", "台風"],
            ["になる", "が続く", "を見た"],
        ),
    },
    "th": {
        "กีฬา": (["ทีมชาติ", "เมื่อวาน", "นักเตะ", "ปีนี้"], ["ยิงประตู", "แข่งบอล", "ชนะนัด"], ["สุดท้าย", "ที่สนาม", "สำคัญ"]),
        "อาหาร": (["แม่ครัว", "ร้านนี้", "ตอนเช้า", "ที่บ้าน"], ["ต้มแกง", "ผัดข้าว", "ทอดปลา"], ["รสเผ็ด", "อร่อย", "ใส่น้ำปลา"]),
    },
}


def sentences(language):
    """Of the sentences that the parts make, each is in train or in test."""
    rows = [("".join(parts), label) for label, kinds in PARTS[language].items() for parts in product(*kinds)]
    order = np.random.default_rng(0).permutation(len(rows))
    parts = {"train": order[: len(rows) * 2 // 3], "test": order[len(rows) * 2 // 3 :]}
    splits = {name: Examples(*map(list, zip(*(rows[i] for i in part), strict=True))) for name, part in parts.items()}
    return Dataset(language, splits, ("text",), "label", task_of(sorted(PARTS[language]), lists=False))


@pytest.mark.parametrize("language", ["ja", "th"])
@pytest.mark.parametrize("seed", range(3))
def test_a_bag_reads_them(language, seed, tmp_path):
    data = sentences(language)
    config = make_config(model={"name": "bag", "num_buckets": 1000}, training={"seed": seed})
    model = train(data, config=config, out=tmp_path / "model")
    assert model.artifact.metrics["test"]["accuracy"] >= 0.95
    assert json.loads((tmp_path / "model" / "config.json").read_text())["data"]["split_unspaced"] is True
    texts = data.splits["test"].texts
    assert load(tmp_path / "model").predict(texts) == model.predict(texts)
    if language == "ja":  # Thai is in pieces without it, since its marks are no word characters
        whole = train(data, config=config.replace(data={"split_unspaced": False})).artifact
        assert whole.metrics["test"]["accuracy"] < 0.9
        assert not whole.vocab.split_unspaced


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_model_of_before_reads_a_sentence_whole(version):
    folder = Path(__file__).with_name("data") / f"artifact-v{version}"
    assert not load_artifact(folder).vocab.split_unspaced
    assert load_recipe(str(folder / "config.json")).data.split_unspaced is False


@pytest.mark.parametrize("split", [True, False])
def test_an_onnx_model_says_how_its_texts_are_split(split):
    pytest.importorskip("onnx")
    config = make_config(model={"name": "bag", "num_buckets": 100}, data={"split_unspaced": split})
    model = build_model(train(sentences("ja"), config=config).artifact)
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert re.findall(metadata["token_pattern"], "大雨 3") == (["大", "雨", "3"] if split else ["大雨", "3"])


def test_the_overview_shows_the_tokens_that_a_model_reads():
    data = sentences("ja")
    facts = describe(data, None, DataSettings())
    text = data.splits["train"].texts[0]
    assert facts["split_unspaced"]
    assert facts["examples"][0]["tokens"] == list(text)
    assert facts["unknown"]["test"]["share_as_written"] < 0.05
    assert describe(data, None, DataSettings(split_unspaced=False))["examples"][0]["tokens"] == [text]


@pytest.mark.parametrize(
    ("split", "sentence"),
    [("auto", "each of its characters is a token"), (False, "data.split_unspaced=true makes each of its characters")],
)
def test_a_training_says_in_one_line_what_it_does(split, sentence, caplog):
    config = make_config(model={"name": "bag", "num_buckets": 100}, data={"split_unspaced": split})
    with caplog.at_level("INFO", "rubrica"):
        train(sentences("ja"), config=config)
    lines = [record.getMessage() for record in caplog.records if "without spaces" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith("100% of the texts are in a script without spaces")
    assert sentence in lines[0]


def test_a_chinese_name_in_the_news_is_no_reason_for_a_line(caplog):
    texts = [f"news {i} of \u5317\u4eac" if i % 50 == 0 else f"news {i}" for i in range(100)]
    data = Dataset("n", {"train": Examples(texts, ["a", "b"] * 50)}, (), "", task_of("ab", lists=False))
    with caplog.at_level("INFO", "rubrica"):
        train(data, config=make_config(model={"name": "bag", "num_buckets": 100}))
    assert not [record for record in caplog.records if "without spaces" in record.getMessage()]
