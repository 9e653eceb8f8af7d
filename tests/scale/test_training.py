"""A training on a worker of Ray gives the weights of the same training here, whoever dies."""

import os
from dataclasses import replace

import numpy as np
import pytest

from rubrica.artifact.folder import load_artifact
from rubrica.data.dataset import Examples
from rubrica.data.stored_texts import StoredTexts
from rubrica.errors import ConfigError
from rubrica.learning.train import train
from rubrica.models.config import make_config
from rubrica.scale.training import train_on_ray
from settings import changed

ray = pytest.importorskip("ray", reason="make ray installs Ray and runs these tests")
from waiting import kill_who_waits, wait_to_be_killed  # noqa: E402 - it needs Ray

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings

SAME = ("model.safetensors", "config.json", "vocab.txt")


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def check_same(ours, theirs):
    for name in SAME:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


@pytest.mark.parametrize("family", ["bag", "linear"])
def test_the_weights_are_those_of_a_training_here(family, tiny_news, tmp_path, caplog):
    config = make_config(model={"name": family})
    with caplog.at_level("INFO"):
        train(tiny_news, out=tmp_path / "here", config=config)
        said = [record.getMessage() for record in caplog.records]
        caplog.clear()
        found = train_on_ray(tiny_news, out=tmp_path / "ray", config=config)
    assert [record.getMessage() for record in caplog.records] == said
    check_same(tmp_path / "ray", tmp_path / "here")
    assert found.metrics["run"]["data"]["train"]["texts"] == 160


class Waiting(list):
    """Texts that wait for the end of the worker that first reads them."""

    def __init__(self, texts, mark, home):
        super().__init__(texts)
        self.mark, self.home = mark, home

    def _wait(self):
        if os.getpid() != self.home:
            wait_to_be_killed(self.mark)

    def __iter__(self):
        self._wait()
        return super().__iter__()

    def __getitem__(self, index):
        self._wait()
        return super().__getitem__(index)

    def __reduce__(self):
        return type(self), (list(super().__iter__()), self.mark, self.home)


@pytest.mark.parametrize("family", ["bag", "linear"])
def test_a_worker_that_is_killed_is_replaced(family, tiny_news, tmp_path):
    mark, config = tmp_path / "mark", make_config(model={"name": family})
    train(tiny_news, out=tmp_path / "here", config=config)
    split = tiny_news.splits["train"]
    waiting = Examples(Waiting(split.texts, mark, os.getpid()), split.labels)
    kill_who_waits(mark, __name__)
    train_on_ray(replace(tiny_news, splits=tiny_news.splits | {"train": waiting}), out=tmp_path / "ray", config=config)
    killed, heir, *_ = mark.read_text().split()
    assert killed != heir
    check_same(tmp_path / "ray", tmp_path / "here")


@pytest.mark.parametrize("dies", [False, True])
def test_two_workers_train_one_network(dies, tiny_news, tmp_path):
    settings = ["model.name=gru", "model.with_linear=false", "model.hidden_size=8", "training.epochs=2"]
    mark, config = tmp_path / "mark", changed(make_config(), [*settings, "data.validation_fraction=0.0"])
    expected = train(tiny_news, config=config).artifact
    data = tiny_news
    if dies:
        split = tiny_news.splits["train"]
        waiting = Examples(Waiting(split.texts, mark, os.getpid()), split.labels)
        data = replace(tiny_news, splits=tiny_news.splits | {"train": waiting})
        kill_who_waits(mark, __name__)
    found = train_on_ray(data, out=tmp_path / "ray", config=config, workers=2)
    assert found.metrics["run"]["processes"] == 2
    assert not dies or len(set(mark.read_text().split())) > 1
    for name, tensor in load_artifact(tmp_path / "ray").tensors.items():
        wanted = expected.tensors[name]
        np.testing.assert_allclose(
            tensor.astype(float), wanted.astype(float), atol=0.02 * abs(wanted).max(), err_msg=name
        )


def test_texts_on_disk_travel(tiny_news, tmp_path):
    split = tiny_news.splits["train"]
    stored = Examples(StoredTexts(split.texts), split.labels)
    config = make_config(model={"name": "bag"})
    train(tiny_news, out=tmp_path / "here", config=config)
    train_on_ray(replace(tiny_news, splits=tiny_news.splits | {"train": stored}), out=tmp_path / "ray", config=config)
    check_same(tmp_path / "ray", tmp_path / "here")


def test_a_fault_has_the_sentence_of_a_training_here(tiny_news, tmp_path, tiny_vectors):
    config = make_config(model={"name": "linear"})
    with pytest.raises(ConfigError, match="a linear model reads no word vectors"):
        train_on_ray(tiny_news, out=tmp_path / "ray", config=config, vectors=tiny_vectors)
    with pytest.raises(ConfigError, match="a linear is trained by one worker; give --ray 1"):
        train_on_ray(tiny_news, out=tmp_path / "ray", config=config, workers=2)
