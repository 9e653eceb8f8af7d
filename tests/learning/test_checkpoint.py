"""A training that is killed goes on from its last checkpoint, and ends with the very weights of one that was not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from interrupts import interrupt
from made_checkpoints import Killed, kill_at
from rubrica.artifact.folder import load_artifact, save_artifact
from rubrica.data.dataset import Examples
from rubrica.errors import ArtifactError, ConfigError, RubricaError
from rubrica.kernels import native
from rubrica.learning import backend, checkpoint, linear, members
from rubrica.learning.bag import train_bag
from rubrica.learning.checkpoint import Checkpoints, folder_of, keep_checkpoints
from rubrica.learning.identity import run_record
from rubrica.learning.train import train
from rubrica.models.config import Config, make_config
from rubrica.models.families import FAMILIES
from rubrica.networks import embedding
from settings import changed

QUICK = [
    "training.batch_size=16", "training.epochs=3", "model.hidden_size=8", "model.embedding_dim=6",
    "model.num_buckets=64", "training.word_dropout=0.1", "training.dropout=0.2",
]  # fmt: skip


@pytest.fixture
def news(tiny_news, monkeypatch):
    """160 texts to train on, of which some are held out; and no bag to compare with, which takes most of the time."""
    monkeypatch.setattr("rubrica.learning.train.baseline_scores", lambda *_: {})
    return replace(tiny_news, splits={"train": tiny_news.splits["train"]})


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    """Looks for Ctrl-C and checkpoints within an epoch of few texts too."""
    monkeypatch.setattr("rubrica.learning.bag._BATCHES", 3)
    monkeypatch.setattr(linear, "_SLICE", 64)
    monkeypatch.setattr("rubrica.learning.loop.WINDOW", 3)


def settings(family, *more):
    return changed(make_config(model={"name": family}), [*QUICK, *more])


def run(news, out, config, **more):
    return train(news, out=out, config=config, checkpoint_every=0, **more).artifact


def assert_same(found, expected):
    assert found.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        assert tensor.tobytes() == found.tensors[name].tobytes(), name
    assert found.history == expected.history
    seconds = {"train_seconds": 0}
    assert found.metrics | seconds == expected.metrics | seconds


def check_some(monkeypatch, news, tmp_path, config, numbers=None, **more):
    """Kill a training at some of its checkpoints, by default the first and the middle of each stage, and go on."""
    with monkeypatch.context() as patch:
        written = kill_at(patch, 0)
        expected = run(news, tmp_path / "whole", config, **more)
    assert len(written) > 3
    assert not folder_of(tmp_path / "whole").exists()
    middles = [written.index(stage) + 1 + written.count(stage) // 2 for stage in sorted(set(written))]
    for number in numbers or [1, *middles]:
        out = tmp_path / str(number)
        with monkeypatch.context() as patch:
            kill_at(patch, number)
            with pytest.raises(Killed):
                run(news, out, config, **more)
        with monkeypatch.context() as patch:
            later = kill_at(patch, 0)
            assert_same(run(news, out, config, **more), expected)
        assert len(later) < len(written)  # it did go on
        assert_same(load_artifact(out), expected)
        assert not folder_of(out).exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_goes_on_from_its_checkpoints(family, news, tmp_path, monkeypatch):
    check_some(monkeypatch, news, tmp_path, settings(family))


@pytest.mark.parametrize(
    "more",
    [
        ["training.patience=1", "training.epochs=30", "training.lr=0.2"],
        ["training.adversarial=0.0", "training.class_weight=balanced", "training.similar_lengths=true"],
        ["data.validation_fraction=0.0", "training.max_steps=14"],
        ["training.dense_updates=true", "training.freeze_steps=9", "training.decay=linear", "training.warmup=0.1"],
    ],
)
def test_so_it_does_in_every_way_of_training(more, news, tiny_vectors, tmp_path, monkeypatch):
    config = settings("gru", "model.with_linear=false", *more)
    check_some(monkeypatch, news, tmp_path, config, (1, 4, 7), vectors=tiny_vectors)


def test_so_it_does_where_sure_texts_are_read_seldom(news, tmp_path, monkeypatch):
    config = settings("gru", "training.read_seldom=0.6", "training.adversarial_every=2")
    check_some(monkeypatch, news, tmp_path, config)


def test_so_it_does_where_torch_computes(news, tmp_path, monkeypatch):
    for place in (backend, embedding):
        monkeypatch.setattr(place, "uses_kernels", lambda tensor: False)
    monkeypatch.setattr("rubrica.networks.network.uses_kernels", lambda tensor: False)
    check_some(monkeypatch, news, tmp_path, settings("gru", "model.with_linear=false"), (2, 4, 7, 9))


@pytest.mark.parametrize("more", [[], ["model.loss=hs"], ["model.word_ngrams=1", "model.max_n=3"]])
def test_so_do_bags_of_every_kind_and_what_goes_on_from_one(more, news, tmp_path, monkeypatch):
    config = settings("bag", *more)
    check_some(monkeypatch, news, tmp_path / "new", config, (1, 5))
    first = train(news, config=config)
    check_some(monkeypatch, news, tmp_path / "further", None, (1, 5), start=first)


def test_so_does_the_bag_to_compare_with(tiny_news, tmp_path, monkeypatch):
    monkeypatch.setattr(Config, "baseline", lambda _: settings("bag"))
    check_some(monkeypatch, tiny_news, tmp_path, settings("cnn", "model.with_linear=false"), (32, 47))


def test_ctrl_c_saves_a_model_and_resume_goes_on_with_it(news, tmp_path, monkeypatch, caplog):
    config, out = settings("bag"), tmp_path / "out"
    expected = run(news, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        interrupt(patch, members._TRAINERS[type(config.training)].__globals__["History"], "record", call=7)
        assert run(news, out, config).metrics["interrupted"]
    assert "run it again with --resume" in caplog.text
    with pytest.raises(ArtifactError, match="not empty"):
        run(news, out, config)
    with monkeypatch.context() as patch:  # a full disk at the end leaves what Ctrl-C left
        patch.setattr("rubrica.learning.output.save_artifact", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(news, out, config, resume=True)
    assert load_artifact(out).metrics["interrupted"]
    assert_same(run(news, out, config, resume=True), expected)
    assert not folder_of(out).exists()


def test_resume_takes_a_finished_model_as_it_is(news, tmp_path, monkeypatch):
    config, out = settings("bag"), tmp_path / "out"
    expected = run(news, out, config, resume=True)  # nothing to go on from: it begins
    folder_of(out).mkdir()  # the process was killed between the two last steps
    monkeypatch.setattr("rubrica.learning.train.train_dataset", None)
    assert_same(run(news, out, config, resume=True), expected)
    assert not folder_of(out).exists()
    with pytest.raises(ArtifactError, match="holds a model of other settings than the training to resume"):
        run(news, out, changed(config, ["training.seed=3"]), resume=True)
    for data in (fewer(news), shuffled(news), renamed(news)):
        with pytest.raises(ArtifactError, match="holds a model of other texts or labels than the training to resume"):
            run(data, out, config, resume=True)


def test_resume_takes_a_finished_model_of_the_same_start(news, tmp_path):
    out, starts = tmp_path / "out", [train(data, config=settings("bag")) for data in (news, shuffled(news))]
    expected = run(news, out, None, start=starts[0])
    assert_same(run(news, out, None, start=starts[0], resume=True), expected)
    with pytest.raises(ArtifactError, match="holds a model of another start than the training to resume"):
        run(news, out, None, start=starts[1], resume=True)


def test_resume_takes_a_model_of_an_older_version(news, tmp_path, monkeypatch):
    config, out = settings("bag"), tmp_path / "out"
    made = train(news, config=config).artifact
    record = run_record(news, config, None)
    record["data"]["train"]["scores"] = record["data"]["train"].pop("labels")
    record.pop("start")
    save_artifact(replace(made, metrics=made.metrics | {"run": record}), out)
    monkeypatch.setattr("rubrica.learning.train.train_dataset", None)
    assert_same(run(news, out, config, resume=True), load_artifact(out))
    with pytest.raises(ArtifactError, match="of other texts or labels than"):
        run(fewer(news), out, config, resume=True)


def shuffled(news):
    examples = news.splits["train"]
    return replace(news, splits={"train": replace(examples, labels=examples.labels[::-1])})


def renamed(news):
    examples, names = news.splits["train"], {name: name.upper() for name in news.task.labels}
    labels = [names[label] for label in examples.labels]
    splits = {"train": Examples(examples.texts, labels)}
    return replace(news, splits=splits, task=type(news.task)(tuple(names.values())))


def fewer(news):
    examples = news.splits["train"]
    return replace(news, splits={"train": replace(examples, texts=examples.texts[:-1], labels=examples.labels[:-1])})


def test_resume_needs_checkpoints(news, tmp_path):
    for given in ({}, {"out": tmp_path / "out", "time_budget": 5.0}):
        with pytest.raises(ConfigError, match="resume requires out; with a time budget"):
            train(news, config=settings("bag"), resume=True, **given)
    with pytest.raises(ConfigError, match="checkpoint_every is nan"):
        train(news, out=tmp_path / "out", config=settings("bag"), checkpoint_every=float("nan"))


def test_a_training_without_checkpoints_leaves_those_of_another_alone(news, tmp_path, monkeypatch):
    config, out = settings("bag"), tmp_path / "out"
    stop(monkeypatch, news, out, config)
    with pytest.raises(ArtifactError, match="holds a training to go on with, and this one keeps no checkpoints"):
        train(news, out=out, config=config, time_budget=60.0)
    run(news, out, config)


def test_files_of_somebody_else_are_left_alone(news, tmp_path):
    folder = folder_of(tmp_path / "out")
    folder.mkdir()
    (folder / "notes.txt").touch()
    with pytest.raises(ArtifactError, match=r"notes\.txt: is no checkpoint"):
        run(news, tmp_path / "out", settings("bag"))


def test_a_training_that_diverges_leaves_no_checkpoint(news, tmp_path, monkeypatch):
    def diverged(job):
        trained = train_bag(job)
        trained.tensors["head.bias"][:] = np.nan
        return trained

    config, out = settings("bag"), tmp_path / "out"
    monkeypatch.setitem(members._TRAINERS, type(config.training), diverged)
    with pytest.raises(RubricaError, match="the training diverged"):
        run(news, out, config)
    assert not folder_of(out).exists()


def stop(monkeypatch, news, out, config, number=4):
    with monkeypatch.context() as patch:
        kill_at(patch, number)
        with pytest.raises(Killed):
            run(news, out, config)
    return folder_of(out)


def test_another_training_is_refused_and_named(news, tmp_path, monkeypatch):
    config, out = settings("bag"), tmp_path / "out"
    stop(monkeypatch, news, out, config)
    texts = news.splits["train"]
    others = {
        "training.lr": (news, changed(config, ["training.lr=0.3"])),
        "texts of train": (replace(news, splits={"train": replace(texts, texts=[*texts.texts[:-1], "x"])}), config),
        "labels of train": (replace(news, splits={"train": replace(texts, labels=texts.labels[::-1])}), config),
    }
    for name, (data, changed_config) in others.items():
        with pytest.raises(ArtifactError, match=f"had other {name} .*remove the folder"):
            run(data, out, changed_config)
    run(news, out, config)


def test_another_number_of_threads_is_said(news, tmp_path, monkeypatch, caplog):
    config, out = settings("bag"), tmp_path / "out"
    stop(monkeypatch, news, out, config)
    monkeypatch.setenv("RUBRICA_THREADS", "2")
    run(news, out, config)
    assert "begun with threads 1, goes on with 2: weights may differ" in caplog.text


def test_a_second_process_is_refused(news, tmp_path):
    with keep_checkpoints(tmp_path / "out", 0), pytest.raises(ArtifactError, match="another process trains here"):
        run(news, tmp_path / "out", settings("bag"))


def test_two_of_the_running_stage_are_kept_and_one_of_each_before(news, tmp_path, monkeypatch):
    folder = stop(monkeypatch, news, tmp_path / "out", settings("gru"), 20)
    listed = [entry["name"] for entry in json.loads((folder / "checkpoint.json").read_text())["checkpoints"]]
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == listed
    assert [name[:2] for name in listed] == ["00", "01", "01"]


def test_a_short_training_keeps_none(news, tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoints, "write", None)
    train(news, out=tmp_path / "out", config=settings("bag"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_writing_takes_a_twentieth_of_the_time_at_most(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    with keep_checkpoints(tmp_path / "out", 30.0) as kept:
        monkeypatch.setattr(kept, "_write", lambda *_: clock.__setitem__(0, clock[0] + 4.0))
        clock[0] = 31.0
        kept.write(0, lambda: None)
    assert kept.due == 31 + 4 + 80


def test_a_damaged_checkpoint_is_passed_over(news, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    config = settings("bag")
    expected = run(news, tmp_path / "whole", config)
    for spared in (0, 1):  # the newest alone is damaged, or both
        out = tmp_path / f"out{spared}"
        folder = stop(monkeypatch, news, out, config)
        for path in sorted(folder.glob("00-*"))[1 - spared :]:
            content = bytearray((path / "state.safetensors").read_bytes())
            content[-1] ^= 1
            (path / "state.safetensors").write_bytes(content)
        caplog.clear()
        assert_same(run(news, out, config), expected)
        assert "damaged; the checkpoint before it is taken" in caplog.text
        assert ("goes on from" in caplog.text) == (not spared)


def test_a_foreign_list_is_refused(news, tmp_path, monkeypatch):
    config, out = settings("bag"), tmp_path / "out"
    folder = stop(monkeypatch, news, out, config)
    listed = json.loads((folder / "checkpoint.json").read_text())
    for wrong in ("", "[]", "{", "[" * 100_000, json.dumps(listed | {"format": 2}), json.dumps(listed | {"more": 1})):
        (folder / "checkpoint.json").write_text(wrong)
        with pytest.raises(ArtifactError, match="remove"):
            run(news, out, config)
    listed["checkpoints"][0]["name"] = "../../00-000001"
    (folder / "checkpoint.json").write_text(json.dumps(listed))
    with pytest.raises(ArtifactError, match="remove"):
        run(news, out, config)


def test_numpy_and_native_are_told_apart(news, tmp_path, monkeypatch, caplog):
    if native.library() is None:
        pytest.skip("needs the native core")
    config, out = settings("bag"), tmp_path / "out"
    stop(monkeypatch, news, out, config)
    monkeypatch.setattr(native, "describe", lambda: "numpy (a test)")
    run(news, out, config)
    assert "goes on with numpy (a test): weights may differ" in caplog.text


def test_arrays_of_another_training_are_refused(news, tmp_path, monkeypatch):
    config, out = settings("linear"), tmp_path / "out"
    stop(monkeypatch, news, out, config, 2)

    def wrong(change):
        original = Checkpoints._read

        def read(self, entry):
            saved = original(self, entry)
            return saved._replace(**change(saved))

        return read

    changes = {
        "no checkpoint|order is not": lambda saved: {
            "tensors": dict(saved.tensors) | {"order": np.zeros_like(saved.tensors["order"])}
        },
        "tensor 'alphas'": lambda saved: {"tensors": dict(saved.tensors) | {"alphas": np.zeros(3, np.float32)}},
        "turn": lambda saved: {"numbers": saved.numbers | {"turn": -1}},
        "random state": lambda saved: {"numbers": saved.numbers | {"generator": '{"bit_generator": "MT19937"}'}},
    }
    for name, change in changes.items():
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "_read", wrong(change))
            with pytest.raises(ArtifactError, match=f"not a checkpoint of this training .*({name})"):
                run(news, out, config)
