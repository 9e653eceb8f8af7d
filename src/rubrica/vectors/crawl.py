"""The word vectors that fastText publishes for 157 languages, as model files: fetched, and unpacked as they come.

Source: E. Grave et al., LREC 2018, https://fasttext.cc/docs/en/crawl-vectors.html. Nobody publishes checksums of them:
what arrives is checked by gzip's own, and has to begin as a fastText model does.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from rubrica.artifact.fasttext_file import MAGIC
from rubrica.data.reachable import is_reachable
from rubrica.errors import VectorsError, nearest
from rubrica.files import written_whole

SITE = "https://dl.fbaipublicfiles.com/fasttext/vectors-crawl"
_CODES = (
    "af als am an ar arz as ast az azb ba bar bcl be bg bh bn bo bpy br bs ca ce ceb ckb co cs cv cy da de diq dv el "
    "eml en eo es et eu fa fi fr frr fy ga gd gl gom gu gv he hi hif hr hsb ht hu hy ia id ilo io is it ja jv ka kk "
    "km kn ko ku ky la lb li lmo lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn "
    "no nso oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru sa sah sc scn sco sd sh si sk sl so sq sr su sv sw ta te "
    "tg th tk tl tr tt ug uk ur uz vec vi vls vo wa war xmf yi yo zea zh"
)
LANGUAGES = frozenset(_CODES.split())
"""By their codes in the names of the files."""
_BLOCK = 1 << 20  # bytes at a time

Progress = Callable[[int, int], None]
"""Called with the packed bytes that have come, and how many there are (0: unknown)."""


def file_of(language: str) -> str:
    """The name of a language's file.

    Raises:
        VectorsError: If there is none.
    """
    if language not in LANGUAGES:
        raise VectorsError(language, f"no language of fastText's vectors; {nearest(language, LANGUAGES)}")
    return f"cc.{language}.300.bin"


def download_crawl(
    language: str,
    folder: Path,
    *,
    anew: bool = False,
    site: str = SITE,
    timeout_seconds: float = 10.0,
    progress: Progress = lambda done, size: None,
) -> Path:
    """Fetch the model of a language, some 4.5 GB, and unpack it, to some 7 GB; an old file is replaced.

    The file gets its name when it is complete; what breaks off leaves nothing.

    Args:
        language: A code of `LANGUAGES`.
        folder: Where the file goes.
        anew: Whether it is fetched even if the packed file lies in the folder; else that one is unpacked.
        site: The address of the folder that has the packed files.
        timeout_seconds: How long the server may be silent.
        progress: See `Progress`.

    Raises:
        VectorsError: If there is no language of this code, or the file could not be fetched or written.
    """
    name = file_of(language)
    packed, place = folder / f"{name}.gz", folder / name
    source, size = _open(packed, f"{site}/{packed.name}", timeout_seconds, anew=anew)
    with source, written_whole(place, VectorsError) as part, part.open("wb") as file:
        for block in _unpack(_Counted(source, size, progress), f"{site}/{packed.name}"):
            file.write(block)
    return place


class _Counted:
    """A stream that tells how much of it was read."""

    def __init__(self, source: IO[bytes], size: int, progress: Progress) -> None:
        self.source, self.size, self.progress, self.done = source, size, progress, 0

    def read(self, count: int = -1) -> bytes:
        block = self.source.read(count)
        self.done += len(block)
        self.progress(self.done, self.size)
        return block


def _open(packed: Path, address: str, timeout_seconds: float, *, anew: bool) -> tuple[IO[bytes], int]:
    """The packed file that is here already, or that the site sends; and its bytes (0: unknown)."""
    from urllib.request import urlopen  # late: it takes as long as a small model

    by_hand = f"without a network, fetch {address} on another machine, put it at {packed} and call again"
    try:
        if packed.is_file() and not anew:
            return packed.open("rb"), packed.stat().st_size
        if not is_reachable(address):
            raise ConnectionError("the server does not answer")
        response = urlopen(address, timeout=timeout_seconds)
        return response, int(response.headers.get("Content-Length") or 0)
    except (OSError, HTTPException) as error:
        raise VectorsError(packed.name, f"could not be downloaded ({error}); {by_hand}") from None


def _unpack(source: Any, address: str) -> Iterator[bytes]:
    """Yield what was packed.

    Raises:
        VectorsError: If the packed file breaks off, is damaged, or holds no fastText model.
    """
    first = True
    try:
        with gzip.GzipFile(fileobj=source, mode="rb") as unpacked:
            while block := unpacked.read(_BLOCK):
                if first and not block.startswith(MAGIC):
                    raise VectorsError(address, "holds no fastText model; nothing was kept")
                first = False
                yield block
    except (OSError, EOFError, zlib.error, HTTPException) as error:
        raise VectorsError(address, f"broke off or is damaged ({error}); nothing was kept, fetch it again") from None
    if first:
        raise VectorsError(address, "is empty; nothing was kept, fetch it again")
