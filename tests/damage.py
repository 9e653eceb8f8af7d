"""Files damaged at random: by a bad disk, by a bad copy, or on purpose."""

NUMBERS = [
    b"-1", b"0", b"2147483648", b"4294967297", b"18446744073709551617", b"1e400", b"1e9", b"true", b"null", b"[]",
    b'"x"', b"{}", b"NaN", b"0.5",
]  # fmt: skip


def damaged(data, draw, *, early):
    """A byte that is another, a cut, an extension, a stretch that is gone or twice, a number that is another."""
    kind, place = draw.randrange(8), draw.randrange(max(1, min(len(data), early)))
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data + draw.randbytes(draw.choice([1, 4, 100]))
    if kind == 2:
        return data[:place] + data[place + draw.choice([1, 4, 20]) :]
    if kind == 3:
        return data[: place + 9] + data[place:]
    if kind == 4:
        digits = [at for at in range(len(data[:early])) if data[at : at + 1].isdigit()]
        at = draw.choice(digits or [0])
        end = next((i for i in range(at, len(data)) if not data[i : i + 1].isdigit()), len(data))
        return data[:at] + draw.choice(NUMBERS) + data[end:]
    return (
        data[:place]
        + bytes([data[place] ^ draw.choice([1, 2, 4, 8, 16, 32, 64, 128, 255])] if data else b"")
        + data[place + 1 :]
    )
