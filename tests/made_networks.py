"""The networks of torch by the names that the tests call them, as settings."""

ALONE = "model.with_linear=false"
NETWORKS = {name: [f"model.name={name}", ALONE] for name in ("cnn", "rnn", "gru", "lstm", "mingru")}
NETWORKS["kim"] = ["model.name=cnn", "model.kernel_sizes=[1,3,4]", ALONE]
NETWORKS["drnn"] = ["model.name=drnn", "model.window=3", ALONE]

NOT_LAST = ("cnn", "kim")  # those without states to take the last of
WITHOUT_ATTENTION = (*NOT_LAST, "drnn")
CASES = [
    (name, pooling)
    for name in NETWORKS
    for pooling in ("last", "max", "average", "average_max", "attention")
    if (pooling != "last" or name not in NOT_LAST) and (pooling != "attention" or name not in WITHOUT_ATTENTION)
]

BOTH_WAYS = [(*case, both) for case in CASES for both in (False, True) if not both or case[0] not in WITHOUT_ATTENTION]
"""Each case in one direction of reading, and in both where the network knows two."""

# Where the package asks whether the kernels compute; a test that says no there goes the accelerator's way.
TORCH_ALONE = ("networks.embedding", "networks.cells", "networks.kim", "networks.drnn")
TORCH_ALONE += ("networks.recurrent", "networks.network", "learning.backend")
