"""Named arrays in a safetensors file, mapped into memory instead of read.

The file (https://github.com/huggingface/safetensors#format) is 8 bytes with the length of a header, the header in
JSON (type, shape, first and last byte of each tensor), and the bytes. The library checks a file, but its numpy side
knows no bfloat16 and copies every tensor. Here BF16 is read and written as uint16, its bits.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rubrica.errors import ArtifactError

_DTYPES = {"F64": "<f8", "F32": "<f4", "U32": "<u4", "I32": "<i4", "I64": "<i8", "BF16": "<u2", "I8": "i1", "U8": "u1"}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


def write_tensors(tensors: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write arrays of the types above, uint16 as BF16; the widest first, so that each lies aligned."""
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header, end = {}, 0
    for name in order:
        tensor, start, end = tensors[name], end, end + tensors[name].nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the first tensor starts at a multiple of 8
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            tensor = np.ascontiguousarray(tensors[name].astype(tensors[name].dtype.newbyteorder("<"), copy=False))
            file.write(tensor.reshape(-1).view(np.uint8).data)


def map_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """View the tensors of a file, read-only; a page is read from disk when something on it is first used.

    Raises:
        ArtifactError: If it is no safetensors file, or holds a type that no storage of ours has.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):  # checks the header against the file, byte by byte
            pass
    except SafetensorError as error:
        raise ArtifactError(path, f"no safetensors file ({error}); train and save the model anew") from None
    mapped = np.asarray(np.memmap(path, np.uint8, "r"))
    data = 8 + int.from_bytes(mapped[:8].tobytes(), "little")
    tensors = {}
    for name, entry in json.loads(mapped[8:data].tobytes()).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _DTYPES:
            problem = f"tensor {name!r} holds {entry['dtype']}, expected {', '.join(_DTYPES)}"
            raise ArtifactError(path, f"{problem}; train and save the model anew")
        start, end = entry["data_offsets"]
        tensor = np.frombuffer(mapped[data + start : data + end], _DTYPES[entry["dtype"]])
        if not tensor.flags.aligned:  # by a foreign writer; ours aligns
            tensor = tensor.copy()
        tensors[name] = tensor.reshape(entry["shape"])
    return tensors
