"""How to reach the servers that data lie on: the web through Python, and file systems through pyarrow or fsspec.

pyarrow brings S3, Google Cloud Storage, Azure and HDFS with it. fsspec knows many more, each with a library of its own.
Every question has a time limit, and a server that does not answer is asked three times at most.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from rubrica.data.reachable import in_time
from rubrica.errors import DataError, RubricaError, require

_SECONDS = 30.0  # for one question
_SILENCE = 10.0  # seconds that a server may say nothing
_S3_SILENCE = 5.0  # its library takes 1 and 3; Python cannot end before it has given up
_TRIES = 3
_SHOWN = 200  # characters of what a library says


class Found(NamedTuple):
    """What lies at an address: its bytes and the time of its last change, as far as the server says."""

    is_folder: bool
    size: int | None = None
    time: int | None = None


class Store(Protocol):
    """One place on a server. Its calls raise whatever their libraries do, see `explained`."""

    def look(self) -> Found:
        """What is there."""

    def inside(self) -> "list[tuple[str, Store, Found]]":
        """What a folder holds: names, where each is, and what it is."""

    def open(self) -> tuple[AbstractContextManager[IO[bytes]], int | None]:
        """The bytes of a file as they come, and how many there are, if it is known."""

    def file_system(self) -> tuple[Any, str] | None:
        """The file system of pyarrow and the path there, if there is one."""


def store_of(address: str) -> Store:
    """Where an address, quoted as in the web, leads; some kinds of servers are asked already.

    Raises:
        DataError: If no library is here that reads such addresses.
    """
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        return _Page(address)
    find = _FILE_SYSTEMS.get(scheme, _by_fsspec)
    return _InFileSystem(*in_time(lambda: find(address), _SECONDS))


@contextmanager
def explained(address: object) -> Iterator[None]:
    """Turn whatever a library raises into a sentence.

    Raises:
        DataError: In place of it.
    """
    try:
        yield
    except (RubricaError, MemoryError):
        raise
    except FileNotFoundError:
        raise DataError(address, "no such file or folder; check the spelling") from None
    except Exception as error:  # fsspec's file systems raise errors of libraries that we do not know
        found = " ".join(str(error).split()) or type(error).__name__
        advice = _ADVICE.get(str(address).partition("://")[0], _USUAL_ADVICE)
        raise DataError(address, f"cannot be read ({found[:_SHOWN]}); {advice}") from None


@dataclass(frozen=True)
class _InFileSystem:
    """A file or folder in a file system of pyarrow."""

    system: Any
    path: str

    def look(self) -> Found:
        fs = require("pyarrow.fs", "data")
        info = in_time(lambda: self.system.get_file_info(self.path), _SECONDS)
        if info.type == fs.FileType.NotFound:
            raise FileNotFoundError
        return _found(info)

    def inside(self) -> "list[tuple[str, Store, Found]]":
        selector = require("pyarrow.fs", "data").FileSelector(self.path)
        infos = in_time(lambda: self.system.get_file_info(selector), _SECONDS)
        return [(info.base_name, _InFileSystem(self.system, info.path), _found(info)) for info in infos]

    def open(self) -> tuple[Any, int | None]:
        size = self.look().size
        # Else the library would unpack the file by its suffix.
        return in_time(lambda: self.system.open_input_stream(self.path, compression=None), _SECONDS), size

    def file_system(self) -> tuple[Any, str]:
        return self.system, self.path


def _found(info: Any) -> Found:
    return Found(not info.is_file, info.size, info.mtime_ns)


@dataclass(frozen=True)
class _Page:
    """A file in the web. Nothing is asked before it is fetched: many servers answer no other question."""

    address: str

    def look(self) -> Found:
        return Found(is_folder=False)

    def inside(self) -> "list[tuple[str, Store, Found]]":
        raise NotADirectoryError("a page of the web is no folder")

    def open(self) -> tuple[Any, int | None]:
        from urllib.error import HTTPError, URLError
        from urllib.request import urlopen

        try:
            page = in_time(lambda: urlopen(self.address, timeout=_SILENCE), _SECONDS)
        except HTTPError as error:
            error.close()
            if error.code in (404, 410):
                raise FileNotFoundError from None
            raise
        except URLError as error:
            raise ConnectionError(error.reason) from None
        length = page.headers.get("Content-Length")
        return page, int(length) if length else None

    def file_system(self) -> None:
        return None


def _by_s3(address: str) -> tuple[Any, str]:
    """S3, or what speaks as S3 does at AWS_ENDPOINT_URL or `?endpoint_override=HOST:PORT&scheme=http`.

    pyarrow's own `from_uri` asks a server that does not answer for 100 seconds, and Python cannot end meanwhile.
    """
    fs = require("pyarrow.fs", "data")
    parts = urlsplit(address)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    scheme, _, host = endpoint.rpartition("://")
    options: dict[str, Any] = {"endpoint_override": host, "scheme": scheme or "https"} if host else {}
    options |= {key: {"true": True, "false": False}.get(value, value) for key, value in parse_qsl(parts.query)}
    if parts.password:
        options |= {"access_key": unquote(parts.username or ""), "secret_key": unquote(parts.password)}
    bucket = parts.netloc.rpartition("@")[2]
    if not options.keys() & {"region", "endpoint_override"}:
        options["region"] = fs.resolve_s3_region(bucket)
    retries = fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES)
    limits = {"connect_timeout": _S3_SILENCE, "request_timeout": _S3_SILENCE, "retry_strategy": retries}
    return fs.S3FileSystem(**options, **limits), bucket + unquote(parts.path)


def _by_google(address: str) -> tuple[Any, str]:
    """Google Cloud Storage, which pyarrow asks for 15 minutes unless it is told not to."""
    limit = "" if "retry_limit_seconds" in address else f"{'&' if '?' in address else '?'}retry_limit_seconds=5"
    return _by_pyarrow(address + limit)


def _by_pyarrow(address: str) -> tuple[Any, str]:
    found: tuple[Any, str] = require("pyarrow.fs", "data").FileSystem.from_uri(address)
    return found


def _by_fsspec(address: str) -> tuple[Any, str]:
    fs, fsspec = require("pyarrow.fs", "data"), require("fsspec", "hub")
    scheme = urlsplit(address).scheme
    if scheme not in fsspec.available_protocols():
        known = f"http, https, file, {', '.join(_FILE_SYSTEMS)}, and what fsspec reads"
        raise DataError(f"{scheme}://", f"no data can be read from such addresses; known are {known}")
    system, path = fsspec.core.url_to_fs(unquote(address))
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


_FILE_SYSTEMS = {
    "s3": _by_s3,
    "gs": _by_google,
    "gcs": _by_google,
    "abfs": _by_pyarrow,
    "abfss": _by_pyarrow,
    "hdfs": _by_pyarrow,
    "viewfs": _by_pyarrow,
}
"""What opens the file system of an address, by its scheme."""

_ADVICE = {
    "s3": "check the network, the region, the endpoint (AWS_ENDPOINT_URL) and the key (AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, or `aws configure`); ?anonymous=true reads a public bucket",
    "gs": "check the network, and run `gcloud auth application-default login`; gs://anonymous@BUCKET reads a public "
    "bucket",
    "hdfs": "check the network, and that JAVA_HOME, HADOOP_HOME and CLASSPATH are set as pyarrow's page on HDFS says",
}
"""What to do where a server cannot be read, by the scheme of the address."""
_USUAL_ADVICE = "check the address, the network and who may read it"
_ADVICE |= {"gcs": _ADVICE["gs"], "viewfs": _ADVICE["hdfs"]}
