"""Readers of damaged files: each reads something, or says in one sentence why it cannot; at a small price."""

import random
import resource
import time

from damage import damaged
from rubrica.errors import RubricaError

MORE_BYTES = 50 << 20
MOST_SECONDS = 1.0  # of the processor


def _reads(reader, path):
    problem = None
    try:
        reader(path)
    except RubricaError as error:
        problem = str(error)
    assert problem is None or "\n" not in problem
    return problem is None


def survives(readers, folder, count, seed):
    """Damage files again and again; `readers` are their names and bytes, and what reads them: it returns or raises.

    Returns how many could be read.
    """
    draw, read, names = random.Random(seed), 0, sorted(readers)
    for name in names:  # whole, and so that everything is imported
        whole, reader = readers[name]
        (folder / name).write_bytes(whole)
        reader(folder / name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(count):
        name = draw.choice(names)
        whole, reader = readers[name]
        content = damaged(whole, draw, early=draw.choice([8, 60, len(whole)]))
        (folder / name).write_bytes(content)
        started = time.process_time()
        try:
            read += _reads(reader, folder / name)
            assert time.process_time() - started < MOST_SECONDS
        except BaseException as error:
            error.add_note(f"{name}: {content[:4000]!r}")
            raise
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert more < MORE_BYTES, f"{more >> 20} MB more"
    return read
