"""The networks: one visible dict, and the one function that maps settings to them.

A bag of words is no network of torch; `bag.py` trains it.
"""

from collections.abc import Callable

import torch
from torch import nn

from rubrica.config.settings import ModelConfig
from rubrica.networks.cnn import ConvClassifier
from rubrica.networks.drnn import DisconnectedClassifier
from rubrica.networks.embedding import WordTable
from rubrica.networks.kim import KimClassifier
from rubrica.networks.recurrent import RecurrentClassifier

MODELS: dict[str, Callable[[WordTable, int, ModelConfig], nn.Module]] = {
    "cnn": lambda embedding, num_classes, config: (
        KimClassifier(
            embedding,
            num_classes,
            kernel_sizes=config.kernel_sizes,
            num_filters=config.hidden_size,
            pooling=config.pooling,
        )
        if config.kernel_sizes
        else ConvClassifier(embedding, num_classes, num_filters=config.hidden_size, pooling=config.pooling)
    ),
    "drnn": lambda embedding, num_classes, config: DisconnectedClassifier(
        embedding,
        num_classes,
        window=config.window,
        hidden_size=config.hidden_size,
        pooling=config.pooling,
        init=config.init,
    ),
    **dict.fromkeys(
        ("rnn", "gru", "lstm", "mingru"),
        lambda embedding, num_classes, config: RecurrentClassifier(
            embedding,
            num_classes,
            cell=config.name,
            hidden_size=config.hidden_size,
            bidirectional=config.bidirectional,
            pooling=config.pooling,
            init=config.init,
        ),
    ),
}


def build_model(config: ModelConfig, table: torch.Tensor, num_classes: int) -> nn.Module:
    """Build the network of a config.

    Args:
        config: Which network, and its sizes.
        table: The embedding's start, (V, E), float32 or float64; every other parameter takes its type.
        num_classes: C, at least 2.
    """
    return MODELS[config.name](WordTable(table), num_classes, config).to(table.dtype)
