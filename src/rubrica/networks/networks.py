"""Every network of the package: to import this module is to register them all with `make_network`."""

from rubrica.models.conv import Convolutional
from rubrica.networks import drnn, recurrent
from rubrica.networks.cnn import ConvClassifier
from rubrica.networks.embedding import WordTable
from rubrica.networks.kim import KimClassifier
from rubrica.networks.network import TextNetwork, build_network, make_network

__all__ = ["TextNetwork", "build_network", "drnn", "recurrent"]


@make_network.register
def _(settings: Convolutional, embedding: WordTable, num_classes: int) -> TextNetwork:
    sizes, pooling = {"num_filters": settings.hidden_size}, settings.pooling
    if settings.kernel_sizes:
        widths = settings.kernel_sizes
        return KimClassifier(embedding, num_classes, kernel_sizes=widths, pooling=pooling, **sizes)
    return ConvClassifier(embedding, num_classes, pooling=pooling, **sizes)
