"""What an update gets: its step size, and whether the embedding trains."""

from rubrica.config.groups import AdamTraining
from rubrica.learning.schedule import describe_thawing, lr_at, thaw_step


def test_a_schedule_counts_in_steps_or_in_epochs():
    assert thaw_step(AdamTraining(freeze_epochs=2), steps_per_epoch=5) == 10
    assert thaw_step(AdamTraining(), steps_per_epoch=5) == AdamTraining().freeze_steps
    assert thaw_step(AdamTraining(freeze_steps=1001), steps_per_epoch=5) == 1001
    assert describe_thawing(1001).endswith("frozen for updates 0..1000 and trains from update 1001 on")
    assert describe_thawing(0) == "the embedding trains from the start"


def test_the_step_size_rises_and_falls():
    settings = AdamTraining(lr=2.0, warmup=0.25, decay="linear")
    assert [lr_at(done, settings) for done in (0, 0.125, 0.25, 0.625, 1)] == [0, 1, 2, 1, 0]
    settings = AdamTraining(lr=2.0, warmup=0.0, decay="none")
    assert [lr_at(done, settings) for done in (0, 0.5, 1)] == [2, 2, 2]
