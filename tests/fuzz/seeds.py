"""Writes the first inputs of each corpus, each form of a file in few bytes: `PYTHONPATH=tests python -m fuzz.seeds`.

Run it again where a format has changed. It leaves the other inputs of a corpus alone: they once broke a reader.
"""

import bz2
import gzip
import io
import json
import lzma
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from fuzz.readers import CORPUS, MODELS
from made_checkpoints import FAMILIES, stopped_run
from made_fasttext import FASTTEXT, made_fasttext
from rubrica.artifact.fasttext_file import write_fasttext
from rubrica.artifact.folder import save_artifact
from rubrica.models.config import make_config
from rubrica.vectors.stored import save_vectors
from rubrica.vectors.word_vectors import Vectors

MOST_BYTES = 4000  # of an input: what `run.py` makes is no longer


def put(reader, name, content):
    assert len(content) <= MOST_BYTES, (reader, name, len(content))
    (CORPUS / reader).mkdir(parents=True, exist_ok=True)
    (CORPUS / reader / name).write_bytes(content)


def zipped(name, content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def packed(content, inside):
    return {
        "gz": gzip.compress(content, mtime=0),
        "bz2": bz2.compress(content),
        "xz": lzma.compress(content),
        "zst": pa.compress(content, "zstd", asbytes=True),
        "zip": zipped(inside, content),
    }


def tables():
    rows = 'text,label\n"two ""lost"" hours,\nall lost",bad\nфильм,good\n,"bad"\n'
    put("csv", "quotes.csv", rows.encode())
    put("csv", "tabs.tsv", b'label\ttext\na\tb "c\nd\te\n')
    put("csv", "excel.csv", "sep=;\r\ntext;label\r\na;b\r\nc;d\r\n".encode("utf-16"))
    put("csv", "mark.csv", b"\xef\xbb\xbflabel|text|0\r1|x|2\r2|y|3\r")
    put("csv", "lists.csv", b"text,labels\na,x|y\nb,x\nc,\n")
    put("csv", "wrong.csv", b"text,label\na,b,c\nd\n\xff,e\nf,g\n")
    for name, content in packed(b"text,label\na,b\n", "a.csv").items():
        put("csv", f"packed.{name}", content)
    put("json", "lines.jsonl", b'{"text":"a \\u00e9","label":1}\n\n{"text":"b","label":"x"}\n{"label":2,"text":null}\n')
    put("json", "array.json", b'[{"text":"a","label":["x","y"]},\n{"text":"b","label":[]}]')
    put("json", "columns.json", b'{"text":["a","b"],"label":[true,false]}')
    put("json", "pandas.json", b'{"text":{"0":"a","1":"b"},"label":{"0":1.5,"1":2e3}}')
    put("json", "data.json", b'{"data":[\n{"text":"a","label":0},\n{"text":"b","label":1}]}')
    put("json", "scores.jsonl", b'{"text":"a","label":{"x":0.25,"y":0.75}}\n{"text":"b","label":{"y":1,"z":null}}\n')
    put("json", "wrong.jsonl", b'{"text":"a","label":"x"}\n{"text":"\\ud800","label":"x"}\n[]\n{"text":1,"text":2}\n{')
    put("lines", "labels.txt", "__label__a one text\n\n__label__b __label__c другой\tтекст\r\n".encode())
    put("lines", "plain.txt", b"no label\n__label__ \n__label__a\n\x00\n")


def vectors():
    made = Vectors(["the", "Ωmega", "oil"], np.array([[1, 2], [-0.5, 1e-9], [0, 3]], np.float32), "made")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("v.txt", "v.bin"):
            save_vectors(made, Path(folder) / name)
        text, binary = ((Path(folder) / name).read_bytes() for name in ("v.txt", "v.bin"))
    put("vectors", "header.vec", text)
    put("vectors", "word2vec.bin", binary)
    put("vectors", "glove.txt", b". 0.1 -2\n. . 3 1e5\nnull 7 8 \n")
    put("vectors", "tabs.txt", text.replace(b" ", b"\t"))
    put("vectors", "aligned.txt", b"a   1.0  2.5\nbb  3.0  4.5\n")
    for name, content in packed(text, "v.txt").items():
        put("vectors", f"packed.{name}", content)
    put("vectors", "model2vec-model.safetensors", b"model2vec/model.safetensors\n" + model2vec())
    tokens = {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [{"id": 2, "content": "[PAD]"}]}
    put("vectors", "model2vec-tokenizer.json", b"model2vec/tokenizer.json\n" + json.dumps(tokens).encode())
    unigram = {"model": {"vocab": [["a", -1.5], ["b", -2], ["c", 0]]}}
    put("vectors", "model2vec-unigram.json", b"model2vec/tokenizer.json\n" + json.dumps(unigram).encode())


def model2vec():
    from safetensors.numpy import save

    matrix = np.array([[1, 2], [3, 4]], np.float32)
    return save({"embeddings": matrix, "mapping": np.array([0, 1, 1]), "weights": np.ones(3, np.float32)})


def fasttext_files():
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in FASTTEXT.items():
            write_fasttext(*made_fasttext(**settings), Path(folder) / name)
            put("fasttext", name, (Path(folder) / name).read_bytes())


def folders():
    wanted = [(model, "config.json") for model in MODELS] + [
        ("bag", name) for name in ("manifest.json", "metrics.json", "metrics.jsonl", "model.safetensors", "vocab.txt")
    ]
    with tempfile.TemporaryDirectory() as folder:
        for model, make in MODELS.items():
            save_artifact(make(), Path(folder) / model)
        for model, name in wanted:
            content = (Path(folder) / model / name).read_bytes()
            put("model", f"{model}-{name}", f"{model}/{name}\n".encode() + content)
        for family in FAMILIES:
            run = stopped_run(family, Path(folder) / "runs")
            for path in sorted(run.rglob("*.*")):
                content, name = path.read_bytes(), path.relative_to(run).as_posix()
                if path.name == "checkpoint.json":
                    content = json.dumps(json.loads(content) | {"run": "this run"}).encode()
                content = f"{family}/{name}\n".encode() + content
                if len(content) <= MOST_BYTES:
                    put("checkpoint", f"{family}-{name.replace('/', '-')}", content)


def recipes():
    put("recipe", "gru.toml", b'[data]\nlowercase = true\n[model]\nname = "gru"\nhidden_size = 8\n[training]\nlr=1e-2')
    put("recipe", "bag.toml", b'[model]\nname="bag"\nloss="hs"\nword_ngrams=2\n[training]\nepochs=3\nx = 1979-05-27')
    put("recipe", "kim.toml", b'model = {name = "cnn", kernel_sizes = [3, 4]}\nbeside = {C = 0.5}\n')
    for name in ("linear", "drnn"):
        config = json.dumps(make_config(model={"name": name}).to_dict(), separators=(",", ":"))
        put("recipe", f"{name}.json", config.encode())


if __name__ == "__main__":
    for write in (tables, vectors, fasttext_files, folders, recipes):
        write()
