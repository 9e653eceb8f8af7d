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
    network = KimClassifier if settings.kernel_sizes else ConvClassifier
    return network(settings, embedding, num_classes)
