"""Every whole number of a file, each at the values where a width ends, and as what is no whole number."""

import json
import struct

BOUNDS = [-1, 0, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63, 2**64]
STRANGE = [*BOUNDS, 0.5, 1e300, True, "1", None, []]


def numbers_in(tree, way=()):
    """The ways to every number of a JSON tree."""
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from numbers_in(value, (*way, key))
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield way


def with_numbers(text):
    """JSON with each of its numbers at each strange value: what was changed, and the bytes."""
    for way in numbers_in(json.loads(text)):
        for value in STRANGE:
            tree = json.loads(text)
            place = tree
            for key in way[:-1]:
                place = place[key]
            place[way[-1]] = value
            yield f"{way}: {value!r}", json.dumps(tree).encode()


def with_fields(data, fields):
    """A binary file with each field at each bound, cut to its width.

    `fields` are where each begins and the letter that `struct` has for it; a letter for numbers with a sign.
    """
    for place, letter in fields:
        size = struct.calcsize(f"<{letter}")
        for number in sorted({bound % 256**size for bound in BOUNDS}):
            yield f"byte {place}: {number}", data[:place] + number.to_bytes(size, "little") + data[place + size :]


def fields_of(layout, place=0):
    """The fields of a layout of `struct`, such as "3i2q", from a place on; and where they end."""
    fields = []
    for letter in "".join(part * int(count or 1) for count, part in _parts(layout)):
        fields.append((place, letter))
        place += struct.calcsize(f"<{letter}")
    return fields, place


def _parts(layout):
    count = ""
    for letter in layout:
        if letter.isdigit():
            count += letter
        else:
            yield count, letter
            count = ""


def with_tensor_numbers(data):
    """A safetensors file with the length of its header, and each number in it, at each strange value."""
    yield from with_fields(data, [(0, "q")])
    end = 8 + int.from_bytes(data[:8], "little")
    for what, header in with_numbers(data[8:end]):
        yield what, len(header).to_bytes(8, "little") + header + data[end:]


def with_gzip_numbers(data):
    """A gzip file with its time, its checksum and its size at each bound."""
    return with_fields(data, [(4, "i"), (len(data) - 8, "i"), (len(data) - 4, "i")])


def with_zip_numbers(data):
    """A zip archive of one file with each number of its three headers at each bound."""
    fields = []
    for magic, layout in ((b"PK\x03\x04", "5h3i2h"), (b"PK\x01\x02", "6h3i5h2i"), (b"PK\x05\x06", "4h2ih")):
        fields += fields_of(layout, data.index(magic) + 4)[0]
    return with_fields(data, fields)
