"""AG News on a GPU: first whether it computes what the CPU computes, then how long an epoch takes.

Claims: none yet. This script has run on a CPU alone (`--check-on-cpu`); `results/gpu.json` appears with the first GPU.

Checked, in float32 with TF32 off, and nothing is timed where it does not hold:
- logits and gradients of every network and pooling on ragged texts, one of them empty, within 1e-4 of the largest
  number compared (TF32 would be off by 1e-3);
- the losses of 50 updates on the data, the table frozen for 20: the first 10 within 1e-3 (the cnn 1e-2), half of
  all within 1 %. Two float32 ways on one CPU differed by 1e-6 (the cnn 2e-4), some later losses of the cnn by 2 %: Adam
  makes much of little, most of all where a bias stands before BatchNorm and its gradient is rounding alone.
Written down: whether an update waits for the device (by torch's own watch, which does not see everything).

Measured, with TF32 as torch sets it: seconds of an epoch, the median of five after one to warm up; tokens/s without
padding; the accuracy on a tenth of train that is held out, after 3 epochs; the most memory in use. In three ways:
`eager`, as `rubrica train` does it; `bf16`, the forward pass under autocast, whose accuracy decides whether it is
worth having (cuDNN's recurrent layers may run in float16 there); `graphs`, one CUDA graph for each batch size and
number of steps (rounded up to 8), which is timed only where 150 updates gave `eager`'s losses within those limits.

Expected before measuring, on an H100 and 68,283 texts: eager 1 ms an update, so 1.1 s an epoch of 1,067 batches of
64, 0.3 s at 256, 0.1 s at 1,024, whichever network; graphs 0.3 to 0.6 ms for the recurrent ones, a third of the
seconds; bf16 no faster at these sizes. If graphs take less than 0.7 of eager's seconds they are worth moving into
`loop.py`.

    python benchmarks/gpu.py ../shared/data/ag_news [VECTORS]     # about five minutes; writes results/gpu.json
    python benchmarks/gpu.py mini-news --check-on-cpu             # runs all its code on the CPU; writes nothing
"""

import argparse
import sys
import time
from contextlib import ExitStack, contextmanager, nullcontext
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F

from results import write_result
from rubrica.corpus.corpus import build_corpus
from rubrica.corpus.held_out import hold_out
from rubrica.data.dataset import read_dataset
from rubrica.learning.backend import KernelBackend, choose_backend, compute_logits
from rubrica.learning.device_split import DeviceSplit
from rubrica.learning.job import Job
from rubrica.learning.loop import update
from rubrica.learning.network import initial_table
from rubrica.learning.schedule import batches_of
from rubrica.learning.seeds import seed_everything
from rubrica.models.config import make_config
from rubrica.networks.networks import build_network
from rubrica.vectors.stored import load_vectors

NETWORKS = ("gru", "lstm", "rnn", "cnn")  # of 64 units, or filters
POOLINGS = {"cnn": ("max", "average")}
BATCH_SIZES, EPOCHS, SCORED_AFTER = (64, 256, 1024), 6, 3
UPDATES, FIRST, FROZEN = 50, 10, 20
CLOSE = 1e-4  # a share of the largest number
LOSSES_CLOSE, MEDIAN_CLOSE = {"cnn": 1e-2}, 0.01
MULTIPLE = 8  # of the steps of a graph
ASK_FOR_KERNELS = ("networks.embedding", "networks.cells", "networks.recurrent", "networks.network", "learning.backend")


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


@contextmanager
def accelerators_way(device):
    """On a GPU nothing; on the CPU its tensors go the GPU's way, as in tests/learning/test_device_split.py."""
    with ExitStack() as stack:
        for module in ASK_FOR_KERNELS if device.type == "cpu" else ():
            stack.enter_context(patch(f"rubrica.{module}.uses_kernels", lambda tensor: False))
        yield


@contextmanager
def exact_float32():
    places = (torch.backends.cudnn.rnn, torch.backends.cudnn.conv, torch.backends.cuda.matmul)
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "ieee"
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value


class Data:
    """What every run reads."""

    def __init__(self, dataset, vectors):
        settings, self.vectors = make_config(), vectors
        self.corpus = build_corpus(dataset, vectors, settings.data)
        self.task, self.split = self.corpus.task, self.corpus.splits["train"]
        self.rows, self.held = hold_out(self.task, self.split.targets, settings.data.validation_fraction, 0)
        self.dim = vectors.dim if vectors else settings.model.embedding_dim

    def start(self, device, name, batch_size=64):
        """A network's backend and its settings, the same ones each time."""
        config = make_config(model={"name": name, "embedding_dim": self.dim}, training={"batch_size": batch_size})
        seed_everything(0)
        table = initial_table(Job(self.corpus, config, self.rows, self.vectors))
        network = build_network(config.model, table, self.task.num_classes).to(device).train()
        return choose_backend(network, config, self.task), config

    def batches(self, config, epoch=0):
        """The rows of each batch of an epoch."""
        return batches_of(self.split, self.rows, config.training, epoch)


class Graphs:
    """`learning.loop.update` on a device's batches, by one CUDA graph for each shape, frozen or not.

    The first batch of a shape is an ordinary update, in which cuDNN and Adam set themselves up; the second records
    the graph, which does not run it, and from then on graphs are played. A graph reads the row numbers from a tensor
    of its own; weights, moments and step counts lie outside all graphs, which therefore may follow each other in any
    order. On the CPU a recording is played by running the update, so that the keeping of books is tested there.
    """

    def __init__(self, backend, split):
        self.backend, self.split, self.recorded = backend, split, {}
        self.cuda = device_of(backend).type == "cuda"
        backend.adam = torch.optim.Adam(backend.parameters, backend.settings.lr, fused=True, capturable=self.cuda)
        if self.cuda:
            self.pool, self.stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
            torch.cuda.synchronize()

    def __call__(self, batch):
        """Loss and accuracy of a batch before the update, as `learning.loop.update`."""
        with torch.cuda.stream(self.stream) if self.cuda else nullcontext():
            key = (len(batch.rows), batch.num_steps, self.backend.table.table.weight.requires_grad)
            if key not in self.recorded:
                self.recorded[key] = None
                return self._update(batch)
            if self.recorded[key] is None:
                self.recorded[key] = self._record(batch._replace(rows=batch.rows.clone()))
            rows, play, result = self.recorded[key]
            rows.copy_(batch.rows)
            play()
            return result.clone()  # the next graph may write where this one's result lies

    def _update(self, batch):
        return update(self.backend, self.split, batch)

    def _record(self, batch):
        if not self.cuda:
            result = torch.zeros(2)
            return batch.rows, lambda: result.copy_(self._update(batch)), result
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            result = self._update(batch)
        return batch.rows, graph.replay, result


def device_of(backend):
    return backend.network.embedding.weight.device


def stepper(way, backend, split):
    """One update of a device's batch in one of the ways, and what the steps are rounded to."""
    if way == "graphs":
        return Graphs(backend, split), MULTIPLE
    if way == "bf16":
        forward = torch.autocast(device_of(backend).type, dtype=torch.bfloat16)(backend.network.forward)
        backend.network.forward = lambda *batch: forward(*batch).float()  # the loss in float32
    return (lambda batch: update(backend, split, batch)), 1


def gradients(model, ids, lengths, targets):
    """Logits and all gradients of a network, the table's whole."""
    logits = model(ids, lengths)
    F.cross_entropy(logits, targets).backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    table = model.embedding
    if "embedding.weight" not in found:  # on the CPU the gradient is of the rows in use
        found["embedding.weight"] = torch.zeros_like(table.weight).index_add_(0, table.words, table.vectors.grad)
    return {"logits": logits.detach().cpu(), **{name: tensor.cpu() for name, tensor in found.items()}}


def check_networks(device):
    """Forward and backward of every network on ragged texts: the largest difference of each, as a share."""
    rows = []
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 60, (64,), generator=draw)
    lengths[5] = 0
    ids = torch.randint(1, 2000, (64, 60), generator=draw) * (torch.arange(60) < lengths[:, None])
    targets = torch.randint(0, 4, (64,), generator=draw)
    for name in NETWORKS:
        for pooling in POOLINGS.get(name, ("last", "max", "average")):
            found = []
            for place in (torch.device("cpu"), device):
                seed_everything(0)
                settings = make_config(model={"name": name, "pooling": pooling}).model
                model = build_network(settings, torch.randn(2000, 50), 4).to(place).train()
                if found:
                    model.join_weights()  # as torch's backend does
                with accelerators_way(device) if found else nullcontext():
                    found.append(gradients(model, ids.to(place), lengths.to(place), targets.to(place)))
            ours, theirs = found
            largest = max(tensor.abs().max() for key, tensor in ours.items() if key != "logits")
            shares = [
                float((tensor - theirs[key]).abs().max() / (tensor.abs().max() if key == "logits" else largest))
                for key, tensor in ours.items()
            ]
            rows.append({"network": name, "pooling": pooling, "off_by": max(shares), "holds": max(shares) < CLOSE})
            print(f"{name:4} {pooling:7} logits and gradients off by {max(shares):.1e} of the largest", flush=True)
    return rows


def rounded(batches, multiple):
    """The batches, their steps rounded up to a multiple, so that few shapes occur.

    This padding costs time, and the BatchNorm of the cnn counts it while it trains.
    """
    for batch in batches:
        yield batch._replace(num_steps=-(-batch.num_steps // multiple) * multiple)


def send(split, batches):
    """Batches on the device; no other process has a part of them."""
    return split.send(batches, [1] * len(batches))


def losses(data, device, way, multiple, updates, name, batch_size=64):
    """Losses of the first updates, the table frozen for some of them, so that a graph meets both."""
    backend, config = data.start(device, name, batch_size)
    step, _ = stepper(way, backend, data.split)
    batches = data.batches(config)
    batches = [batches[i % len(batches)] for i in range(updates)]
    in_kernels = isinstance(backend, KernelBackend)
    sent = batches if in_kernels else rounded(send(DeviceSplit(data.split, device), batches), multiple)
    found = []
    for number, batch in enumerate(sent):
        backend.table.table.requires_grad_(number >= FROZEN)
        found.append(step(batch)[0])
    synchronize(device)  # graphs play on a stream of their own
    return torch.stack(found).cpu().double().numpy()


def compare(name, expected, found):
    """How far apart the losses of two trainings are, as shares."""
    shares = np.abs(found / expected - 1)
    first, median = float(shares[:FIRST].max()), float(np.median(shares))
    holds = first < LOSSES_CLOSE.get(name, 1e-3) and median < MEDIAN_CLOSE
    return {"first_off_by": first, "median_off_by": median, "holds": holds}


def check_training(data, device):
    """Losses against the CPU's, and whether an update waits."""
    rows = []
    for name in NETWORKS:
        expected = losses(data, torch.device("cpu"), "eager", 1, UPDATES, name)
        with accelerators_way(device):
            row = {"network": name, **compare(name, expected, losses(data, device, "eager", 1, UPDATES, name))}
            row["waits"] = waits(data, device, name)
        rows.append(row)
        print(f"{name:4} losses off by {row['first_off_by']:.1e}, half of all by at most {row['median_off_by']:.1e}; "
              f"{row['waits'] or 'no update waits'}", flush=True)  # fmt: skip
    return rows


def check_graphs(data, device, name):
    """Losses of graphs against eager's on the same shapes."""
    few = 16  # texts a batch, so that shapes come again with other texts
    updates = 3 * UPDATES if device.type == "cuda" else UPDATES
    with exact_float32(), accelerators_way(device):
        eager, graphs = (losses(data, device, way, MULTIPLE, updates, name, few) for way in ("eager", "graphs"))
    row = {"network": name, **compare(name, eager, graphs)}
    verdict = "equal" if row["holds"] else "not equal, and not timed"
    print(f"{name:4} losses by graphs off by {row['first_off_by']:.1e}, half of all by at most "
          f"{row['median_off_by']:.1e}; {verdict}", flush=True)  # fmt: skip
    return row


def waits(data, device, name):
    """What torch says where an update waits for the device; nothing where none does."""
    backend, config = data.start(device, name)
    first, second = send(DeviceSplit(data.split, device), data.batches(config)[:2])
    update(backend, data.split, first)
    if device.type != "cuda":
        return "not watched on the CPU"
    torch.cuda.set_sync_debug_mode("error")
    try:
        update(backend, data.split, second)
    except RuntimeError as error:
        return str(error).partition("\n")[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return None


def measure(data, device, name, batch_size, way):
    """Seconds of an epoch, and the accuracy after three, of one network in one of the ways."""
    backend, config = data.start(device, name, batch_size)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step, multiple = stepper(way, backend, data.split)
    split, seconds, accuracy = DeviceSplit(data.split, device), [], None
    for epoch in range(EPOCHS):
        synchronize(device)
        started = time.perf_counter()
        waiting = [step(batch) for batch in rounded(send(split, data.batches(config, epoch)), multiple)]
        synchronize(device)
        seconds.append(time.perf_counter() - started)
        if epoch + 1 == SCORED_AFTER:
            logits = compute_logits(backend.network, data.split, data.held, config)
            accuracy = float((logits.argmax(1) == data.split.targets[data.held]).mean())
    middle = float(np.median(seconds[1:]))
    row = {
        "network": name, "batch_size": batch_size, "way": way, "epoch_seconds": middle,
        "epoch_seconds_all": seconds, "updates": len(waiting), "ms_an_update": 1000 * middle / len(waiting),
        "tokens_per_second": float(data.split.tokens.lengths[data.rows].sum() / middle), "held_out_accuracy": accuracy,
        "last_loss": float(torch.stack(waiting)[-50:, 0].mean()),
        "peak_megabytes": torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else None,
    }  # fmt: skip
    print(f"{name:4} {batch_size:5} {way:6} {middle:7.3f} s an epoch, {row['ms_an_update']:.2f} ms an update, "
          f"accuracy {accuracy:.4f}", flush=True)  # fmt: skip
    return row


def describe(device):
    if device.type != "cuda":
        return {"device": "cpu, in place of a GPU"}
    of = torch.cuda.get_device_properties(device)
    return {
        "device": of.name, "gigabytes": of.total_memory / 1e9, "compute_capability": f"{of.major}.{of.minor}",
        "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "driver": driver(),
    }  # fmt: skip


def driver():
    """The driver's version as the kernel module tells it; None where it does not."""
    try:
        with open("/proc/driver/nvidia/version") as file:  # noqa: PTH123
            return file.readline().strip()
    except OSError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", help="a data set as for `rubrica train`")
    parser.add_argument("vectors", nargs="?", help="a file of word vectors")
    parser.add_argument("--check-on-cpu", action="store_true", help="run all of it on the CPU and write nothing")
    arguments = parser.parse_args()
    if not arguments.check_on_cpu and not torch.cuda.is_available():
        sys.exit("torch sees no GPU; run this on a machine with one, or give --check-on-cpu to try the script")
    device = torch.device("cpu" if arguments.check_on_cpu else "cuda")
    result = describe(device)
    print(result, flush=True)
    dataset = read_dataset(arguments.data)
    data = Data(dataset, load_vectors(arguments.vectors) if arguments.vectors else None)
    with exact_float32():
        result["networks"], result["trainings"] = check_networks(device), check_training(data, device)
    failed = [row for row in result["networks"] + result["trainings"] if not row["holds"]]
    if failed:
        sys.exit(f"not equal to the CPU, so nothing was timed: {failed}")
    result |= {"data": dataset.name.rstrip("/").rpartition("/")[2], "train_texts": len(data.rows)}
    result |= {"embedding_dim": data.dim, "graphs": [], "rows": [], "errors": []}
    sizes = BATCH_SIZES[:1] if arguments.check_on_cpu else BATCH_SIZES
    for way in ("eager", "bf16", "graphs"):  # a graph that cannot be recorded may leave torch unwell: it comes last
        for name in NETWORKS:
            try:
                if way == "graphs":
                    result["graphs"].append(check_graphs(data, device, name))
                    if not result["graphs"][-1]["holds"]:
                        continue
                for batch_size in sizes:
                    with accelerators_way(device):
                        result["rows"].append(measure(data, device, name, batch_size, way))
            except RuntimeError as error:  # what torch raises where the device cannot do it
                if way == "eager":
                    raise
                result["errors"].append({"network": name, "way": way, "error": str(error).partition("\n")[0]})
                print(result["errors"][-1], flush=True)
        if not arguments.check_on_cpu:
            write_result("gpu", result)


if __name__ == "__main__":
    main()
