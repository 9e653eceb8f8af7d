"""When the embedding table trains: a schedule one can print.

Pretrained vectors know more than a network's random start. While the network is still wrong about everything its
gradients would only spoil them, so the table keeps still for the first updates and trains afterwards.
"""

from dataclasses import dataclass

from torch import nn

from rubrica.config.settings import TrainingConfig


@dataclass(frozen=True, slots=True)
class FreezeSchedule:
    """Frozen for updates 0 .. thaw_step - 1, training from update `thaw_step` on.

    Args:
        thaw_step: The first update, counted from 0 over all epochs, that changes the table.
    """

    thaw_step: int

    def apply(self, embedding: nn.Module, step: int) -> None:
        """Set whether the table trains in this update. A frozen table has no gradient and no Adam moments."""
        embedding.requires_grad_(step >= self.thaw_step)

    def __str__(self) -> str:
        if self.thaw_step == 0:
            return "the embedding trains from the start"
        return f"the embedding is frozen for updates 0..{self.thaw_step - 1} and trains from update {self.thaw_step} on"


def build_schedule(config: TrainingConfig, steps_per_epoch: int) -> FreezeSchedule:
    """The schedule of a config, which counts in steps or in epochs."""
    return FreezeSchedule(config.freeze_epochs * steps_per_epoch or config.freeze_steps)
