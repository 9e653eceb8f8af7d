"""Data on servers: the same data set, model and answers as from a file here; and what is said where that fails."""

import gzip
import io
import json
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

import rubrica
from made_files import TINY, csv_bytes, each_size, jsonl_bytes, parquet_bytes, rows_of, write
from rubrica.data import storage
from rubrica.data.addresses import Address, name_of, place_of
from rubrica.data.dataset import read_dataset, read_texts
from rubrica.errors import DataError, FileError
from rubrica.files import cache_folder
from rubrica.predict.answer_file import answer_file
from servers import KEYS, closed_port, folder_server, pages, s3_server
from stand_in import stand_in

WORDS = {"sport": ["cup", "goal", "team"], "money": ["bank", "price", "oil"]}
ROWS = [
    (f"the {WORDS[label][i % 3]} {WORDS[label][i % 2]} n{i}", label) for i in range(60) for label in ("sport", "money")
]
COLUMNS = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}


def zipped(name, data):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, data)
    return stream.getvalue()


FILES = {
    "a.csv": csv_bytes(ROWS),
    "a.tsv": csv_bytes(ROWS, delimiter="\t"),
    "a.jsonl": jsonl_bytes(ROWS),
    "array.json": json.dumps([{"text": text, "label": label} for text, label in ROWS]).encode(),
    "a.parquet": parquet_bytes(COLUMNS),
    "a.txt": "".join(f"__label__{label} {text}\n" for text, label in ROWS).encode(),
    "a.csv.gz": gzip.compress(csv_bytes(ROWS)),
    "a.csv.zst": pa.compress(csv_bytes(ROWS), "zstd", asbytes=True),
    "a.zip": zipped("inside.csv", csv_bytes(ROWS)),
    "utf16.csv": csv_bytes(ROWS).decode().encode("utf-16"),
    "a folder/новости & 100%25.csv": csv_bytes(ROWS),
    "set/train.csv": csv_bytes(ROWS),
    "set/test.jsonl": jsonl_bytes(ROWS[:9]),
    "deeper/set/train.parquet": parquet_bytes(COLUMNS),
    "twice/train.csv": csv_bytes(ROWS),
    "twice/train.jsonl": jsonl_bytes(ROWS),
    "wide.csv": csv_bytes([*ROWS, ("one", "two", "three")]),
    "notes": b"the cup\nthe bank\n",
}
ALONE = [name for name in FILES if "/" not in name and name not in ("wide.csv", "notes")]


def local(name):
    """The path of a file of a test's own, as an address has it."""
    return name.replace("%25", "%")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    for name, data in FILES.items():
        write(folder / local(name), data)
    return folder


@pytest.fixture(scope="module")
def s3():
    pytest.importorskip("moto", reason="moto is not installed")
    with s3_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": endpoint}.items():
            patch.setenv(name, value)
        system, _ = pa.fs.FileSystem.from_uri("s3://news/?allow_bucket_creation=true")
        system.create_dir("news")
        for name, data in FILES.items():
            with system.open_output_stream(f"news/{local(name)}", compression=None) as file:
                file.write(data)
        yield endpoint


@pytest.fixture
def keys(s3, monkeypatch):
    """The way to the server, in the environment."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3}.items():
        monkeypatch.setenv(name, value)


def content(dataset):
    return {split: rows_of(examples) for split, examples in dataset.splits.items()}, dataset.task


@each_size
@pytest.mark.parametrize("name", [*ALONE, "a folder/новости & 100%25.csv", "set", "set/", "deeper"])
def test_a_file_or_folder_on_a_server_is_the_one_here(name, limits, folder, keys):
    found = read_dataset(f"s3://news/{name}", limits=limits)
    assert content(found) == content(read_dataset(folder / local(name), limits=limits))
    assert found.name.startswith("s3://news/")
    assert not list(cache_folder().glob("*")) if cache_folder().exists() else True


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt", "notes"])
def test_texts_to_predict_come_in_the_same_order(name, folder, keys):
    options = {"columns": "text"} if name == "notes" else {}
    assert list(read_texts(f"s3://news/{name}", **options)) == list(read_texts(folder / name, **options))


def test_the_model_has_the_same_bits_and_gives_the_same_answers(folder, keys, tmp_path):
    config = rubrica.make_config(model={"name": "bag"}, training={"epochs": 3})
    rubrica.train("s3://news/set", config=config).save(tmp_path / "far")
    rubrica.train(folder / "set", config=config).save(tmp_path / "near")
    far, near = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("far", "near"))
    assert far == near
    answers = [
        subprocess.run(
            [sys.executable, "-m", "rubrica", "predict", tmp_path / "far", file], check=True, capture_output=True
        ).stdout
        for file in (*(f"s3://news/{name}" for name in ("a.csv", "a.parquet", "notes")), folder / "a.csv")
    ]
    assert answers[0] == answers[1] == answers[3] != b""
    assert answers[2].count(b"\n") == 2


def test_answers_are_written_here_and_a_prediction_goes_on(folder, keys, tmp_path, monkeypatch):
    place = place_of("s3://news/a.csv")
    assert place.stamp() == place_of("s3://news/a.csv").stamp() != place_of("s3://news/a.txt").stamp()
    config = rubrica.make_config(model={"name": "bag"}, training={"epochs": 1})
    model = rubrica.train(folder / "a.csv", config=config)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=r"s3://news/out\.jsonl: addresses are read, but nothing is written to them"):
        answer_file(model, [(["a"], None)], "s3://news/out.jsonl", None)
    assert not list(tmp_path.iterdir())


FAULTS = {
    "wide.csv": r"^s3://news/wide\.csv line 122: 3 columns, expected 2",
    "none.csv": r"^s3://news/none\.csv: no such file or folder; check the spelling$",
    "none/": r"^s3://news/none/: no such file or folder",
    "twice": r"^s3://news/twice: several files for the train split \(train\.csv, train\.jsonl\)",
    "notes": r"^s3://news/notes: no suffix that says the format",
    "a.csv?colour=red": r"^s3://news/a\.csv: cannot be read \(.*'colour'\); check the network, .*AWS_ACCESS_KEY_ID",
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_the_address(name, keys):
    with pytest.raises(DataError, match=FAULTS[name]):
        read_dataset(f"s3://news/{name}")


def test_a_folder_is_no_file_of_texts(keys):
    with pytest.raises(DataError, match="s3://news/set: a folder, expected one file"):
        read_texts("s3://news/set")


def test_the_way_to_a_server_may_stand_in_the_address_and_its_secrets_are_not_shown(s3, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    host = s3.removeprefix("http://")
    address = f"s3://key:se%2Fcret@news/a.csv?endpoint_override={host}&scheme=http&region=us-east-1"
    assert read_dataset(address).name == name_of(address) == "s3://news/a.csv"
    with pytest.raises(DataError) as caught:
        read_dataset(address, label_column="none")
    assert "cret" not in str(caught.value)
    assert (
        name_of("abfs://box@account.dfs.core.windows.net/a.csv?x=1") == "abfs://box@account.dfs.core.windows.net/a.csv"
    )


def test_a_server_that_is_not_there(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(DataError, match=r"^s3://news/a\.csv: cannot be read \(.*connect.*\); check the network"):
        read_dataset("s3://news/a.csv?anonymous=true")
    for address in (f"http://127.0.0.1:{closed_port()}/a.csv", "https://host.invalid/a.csv"):
        with pytest.raises(DataError, match=r"cannot be read .*; check the address, the network"):
            read_dataset(address)


def test_a_server_that_refuses():
    with stand_in(lambda path: 403) as address:
        with pytest.raises(DataError, match=r"/a\.csv: cannot be read \(HTTP Error 403: Forbidden\); check .* who may"):
            read_dataset(f"{address}/a.csv")
        host = address.removeprefix("http://")
        with pytest.raises(
            DataError, match=r"^s3://news/a\.csv: cannot be read \(.*ACCESS_DENIED.*the key \(AWS_ACCESS"
        ):
            read_dataset(f"s3://a:b@news/a.csv?endpoint_override={host}&scheme=http")


def test_a_server_that_says_nothing(monkeypatch):
    monkeypatch.setattr(storage, "_SILENCE", 0.1)
    monkeypatch.setattr(storage, "_S3_SILENCE", 1.0)
    monkeypatch.setattr(storage, "_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DataError, match="timed out"):
            read_dataset(f"http://{address}/a.csv")
        with pytest.raises(DataError, match=r"no answer within 0\.5 seconds"):
            read_dataset(f"s3://news/a.csv?endpoint_override={address}&scheme=http&anonymous=true")


def test_the_web():
    contents = {f"/{name}": data for name, data in FILES.items()} | {"/%D0%B0%20b.csv": FILES["a.csv"]}
    with pages(contents) as address:
        for name in (*ALONE, "а b.csv", "%D0%B0%20b.csv", "a.csv?token=secret"):
            assert content(read_dataset(f"{address}/{name}"))[0]["train"] == ROWS, name
        with pytest.raises(DataError, match=r"/none\.csv: no such file or folder"):
            read_dataset(f"{address}/none.csv")
        with pytest.raises(DataError, match=r"^http://.*/wide\.csv line 122: 3 columns"):
            read_dataset(f"{address}/wide.csv?token=secret")
        assert place_of(f"{address}/a.csv").stamp() is None


def test_google_cloud_storage():
    """As far as reading a file goes: what it is, and its bytes."""
    facts = {"kind": "storage#object", "bucket": "news", "name": "a.csv", "size": str(len(FILES["a.csv"]))}
    facts |= {"updated": "2026-01-01T00:00:00Z", "generation": "1", "metageneration": "1"}

    def page_at(path):
        if not path.startswith("/storage/v1/b/news/o/a.csv"):
            return None
        page = FILES["a.csv"] if "alt=media" in path else json.dumps(facts).encode()
        return page, len(page)

    with stand_in(page_at) as address:
        query = f"?endpoint_override={address.removeprefix('http://')}&scheme=http"
        assert content(read_dataset(f"gs://anonymous@news/a.csv{query}"))[0]["train"] == ROWS
        with pytest.raises(DataError, match=r"gs://anonymous@news/b\.csv: "):
            read_dataset(f"gs://anonymous@news/b.csv{query}")


def test_a_file_that_breaks_off():
    with (
        stand_in(lambda path: (FILES["a.csv"], len(FILES["a.csv"]) + 5)) as address,
        pytest.raises(DataError, match=r"broke off after [\d,]+ of [\d,]+ bytes; run the command again"),
    ):
        read_dataset(f"{address}/a.csv")


def test_a_file_system_of_fsspec(folder):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for name in ("a.csv", "set/train.csv", "set/test.jsonl", "deeper/set/train.parquet"):
        memory.pipe(f"/box/{name}", FILES[name])
    for name in ("a.csv", "set", "deeper"):
        assert content(read_dataset(f"memory://box/{name}", limits=TINY)) == content(read_dataset(folder / name))
    with pytest.raises(DataError, match=r"memory://box/none\.csv: no such file or folder"):
        read_dataset("memory://box/none.csv")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (
            "floppy://me:secret@a/b.csv",
            r"^floppy://: no data can be read from such addresses; known are http, https, file",
        ),
        ("http://[/a.csv", "no address"),
        ("hdfs://127.0.0.1:1/a.csv", "cannot be read .*; check the network, and that JAVA_HOME"),
    ],
)
def test_addresses_that_cannot_be_read(address, problem):
    with pytest.raises(DataError, match=problem):
        read_dataset(address)


def test_what_is_an_address(folder):
    path = folder / "a.csv"
    assert place_of(f"file://{path}") == path
    assert content(read_dataset(f"file://{path}")) == content(read_dataset(path))
    assert place_of("c:/a.csv") == Path("c:/a.csv")
    assert place_of("owner/name") == Path("owner/name")
    assert isinstance(place_of("s3://a/b"), Address)
    with pytest.raises(DataError, match="pass an address as a string"):
        read_dataset(Path("s3://news/a.csv"))


MEMORY = """
import sys, threading, time
from rubrica.data.dataset import read_dataset
import pyarrow.csv

def anonymous():
    return next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("RssAnon"))

peak, before, done = 0, anonymous(), threading.Event()
def watch():
    global peak
    while not done.wait(0.02):
        peak = max(peak, anonymous())
watching = threading.Thread(target=watch)
watching.start()
rows = len(read_dataset(sys.argv[1]).splits["train"].texts)
done.set(); watching.join()
print(rows, peak - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say what memory is anonymous")
def test_memory_does_not_grow_with_the_file(tmp_path):
    block = csv_bytes([(f"{text} {'word ' * 30}", label) for text, label in ROWS * 200])
    header, rows = block[: block.index(b"\n") + 1], block[block.index(b"\n") + 1 :]
    peaks = []
    with folder_server(tmp_path) as address:
        for megabytes in (200, 400):
            count = -(-(megabytes << 20) // len(rows))
            with (tmp_path / "large.csv").open("wb") as file:
                file.write(header)
                for _ in range(count):
                    file.write(rows)
            command = [sys.executable, "-c", MEMORY, f"{address}/large.csv"]
            found, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            assert int(found) == count * len(ROWS) * 200
            peaks.append(int(peak))
    assert peaks[1] < peaks[0] + 40, peaks  # MB; a stretch of texts is in memory at a time
    assert peaks[1] < 300, peaks
