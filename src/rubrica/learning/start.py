"""Where a network's word table started, drawn once more from the seed of its training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.learning.network import drawn_rows
from rubrica.learning.seeds import seeded
from rubrica.models.config import Config
from rubrica.models.family import NetworkFamily
from rubrica.scoring.task import Rows


def drawn_start(config: Config, rows: Rows, table_size: int) -> NDArray[Any]:
    """The rows of the table before the training, as `learning/network.py` drew them.

    Args:
        config: Of a network whose table starts at random.
        rows: Which of them.
        table_size: Words of the vectors, with the row for unknown words; words of the model if there were no vectors.
    """
    assert isinstance(config.model, NetworkFamily)
    with seeded(config.training.seed):
        return np.asarray(drawn_rows(config.model, rows, table_size).numpy())
