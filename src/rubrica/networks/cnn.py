"""Three convolutions that halve the text each time, pooled over time, one linear layer: the seminar's CNN.

Letters: B texts, T tokens of the longest text, E numbers in a word vector, F filters.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rubrica.models.conv import BLOCKS, PLACES, Convolutional
from rubrica.networks.embedding import WordTable
from rubrica.networks.masking import Features, Ids, Lengths, Vectors, drop_padding
from rubrica.networks.network import TextNetwork
from rubrica.networks.pooling import POOLINGS
from rubrica.networks.team import normalized


class ConvClassifier(TextNetwork):
    """Classify a text by convolutions over its word vectors.

    With lengths, what lies behind a text's end is zero before each convolution, just as its padding is, and is
    left out of the pooling: a trained model scores a text the same in any batch. (While training, the batch
    statistics of BatchNorm do count those zeros.)

    See `make_network` for the arguments.
    """

    sums_in_torch = True

    def __init__(self, settings: Convolutional, embedding: WordTable, num_classes: int) -> None:
        super().__init__(embedding)
        num_filters = settings.hidden_size
        widths = [embedding.weight.shape[1]] + [num_filters] * (BLOCKS - 1)
        self.convs = nn.ModuleList(nn.Conv1d(width, num_filters, PLACES, stride=2, padding=1) for width in widths)
        self.norms = nn.ModuleList(nn.BatchNorm1d(num_filters) for _ in widths)
        self.pool = POOLINGS[settings.pooling]
        self.head = nn.Linear(settings.num_features, num_classes)

    def features(self, vectors: Vectors, index: Ids, lengths: Lengths) -> Features:
        x = drop_padding(F.embedding(index, vectors), lengths)  # (B, T, E)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            if lengths is not None:
                lengths = (lengths + 1) // 2  # a step of two, padded by one on both sides, rounds up
            x = _convolve(conv, x)
            rows = (len(x) if self.part is None else self.part.total) * x.shape[1]
            norm.train(self.training and rows > 1)  # a single row has no spread of its own
            x = drop_padding(F.relu(normalized(norm, x.flatten(0, 1), self.part)).view_as(x), lengths)
        return self.pool(x.transpose(0, 1), lengths)  # the pooling wants (T, B, F)


def _convolve(conv: nn.Module, x: Float[Tensor, "B T E"]) -> Float[Tensor, "B T2 F"]:
    """The convolution as one matrix product over its windows.

    Equal to `conv(x.transpose(1, 2))`, and twice as fast where nearly every batch has a length of its own, for which
    torch prepares a kernel each time.
    """
    num_steps = (x.shape[1] + 1) // 2
    padded = F.pad(x, (0, 0, 1, 1))
    # The window at step t holds tokens 2t-1, 2t, 2t+1, one behind the other.
    windows = torch.cat([padded[:, k : k + 2 * num_steps - 1 : 2] for k in range(PLACES)], dim=2)  # (B, T2, 3E)
    return F.linear(windows, conv.get_parameter("weight").transpose(1, 2).flatten(1), conv.get_parameter("bias"))
