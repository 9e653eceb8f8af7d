"""Requests a second and their latency: rubrica serve beside a plain FastAPI handler that calls the same model.

Claims: with 64 connections that send single texts, three times the requests a second of the plain handler, and a lower
99th percentile; 10,000 requests/s on two cores with the load generator beside it; with requests of 256 texts, half of
the texts a second that the model labels in the same process.

Expected before measuring: uvicorn without a framework takes 30 us a request, the model and a batch's share of the
threads 10, checks, counters and the log 20; so 12,000 requests/s where a core is free, and with the load generator on
the other core one worker is enough. FastAPI adds pydantic and a thread for each request: 300 us, 2,500 requests/s.
Of 256 texts JSON takes a fifth, and answers as objects another: 0.6 of the model alone.

The texts are AG News's test texts. The model is a bag trained on AG News. The sides run in turn, each for some seconds.
The load generator is wrk (Debian's package), or where there is none one in Python, which takes more of the processor
than the server does and so measures itself.

    pip install -c constraints.txt '.[bench]'
    python benchmarks/serve.py ../shared/data/ag_news [SECONDS]
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from results import write_result
from rubrica.data.dataset import read_dataset
from rubrica.models.config import load_recipe
from rubrica.predict.classifier import load

ROUNDS, CONNECTIONS, MANY = 5, 64, 256

WRK = """
local bodies, i = {}, 0
for line in io.lines(os.getenv("BODIES")) do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function() i = i % #bodies + 1; return wrk.format(nil, nil, nil, bodies[i]) end
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.read + summary.errors.write  -- slow answers are in the percentiles
  print(string.format('{"requests": %d, "seconds": %f, "bad": %d, "p50_ms": %f, "p99_ms": %f}', summary.requests,
    summary.duration / 1e6, bad, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


def plain(folder, port):
    """The server that one writes first."""
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    model, app = load(folder), FastAPI()

    class Body(BaseModel):
        inputs: str | list[str]

    @app.post("/predict")
    def predict(body: Body):
        texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
        rows = model.predict_proba(texts)
        best = rows.argmax(axis=1).tolist()
        return [[{"label": model.labels[i], "score": float(row[i])}] for row, i in zip(rows, best, strict=True)]

    uvicorn.run(app, port=port, log_level="critical", access_log=False)


def load_by_python(port, bodies, connections, seconds):
    """As wrk: each connection sends a request when it has its answer."""
    found, ended = [], time.perf_counter() + seconds
    head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
    requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]

    async def ask(place):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < ended:
            began = time.perf_counter()
            writer.write(requests[(place := place + connections) % len(requests)])
            answer = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length")]
            await reader.readexactly(int(lengths[0].partition(b":")[2]))
            found.append((time.perf_counter() - began, b" 200 " in answer[:15]))
        writer.close()

    async def ask_all():
        await asyncio.gather(*map(ask, range(connections)))

    asyncio.run(ask_all())
    times = sorted(took * 1000 for took, _ in found)
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    bad = sum(not good for _, good in found)
    return {"requests": len(found), "seconds": seconds, "bad": bad, "p50_ms": p50, "p99_ms": p99}


def measure(port, bodies, connections, seconds, folder):
    """What a load generator finds: requests, seconds, failures and milliseconds."""
    if not shutil.which("wrk"):
        return load_by_python(port, bodies, connections, seconds)
    (folder / "bodies").write_bytes(b"\n".join(bodies) + b"\n")
    (folder / "load.lua").write_text(WRK)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", folder / "load.lua"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/predict"], capture_output=True, text=True, check=True,
        env=os.environ | {"BODIES": str(folder / "bodies")},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def start(*command):
    """A server, when it answers."""
    from rubrica.data.reachable import is_reachable

    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    while not is_reachable(f"http://127.0.0.1:{command[-1]}", 0.5):
        if process.poll() is not None:
            sys.exit(f"{command[0]} ended with {process.returncode}")
        time.sleep(0.05)
    return process


def run_beside(servers, bodies, connections, seconds, folder):
    """Each server's rates and percentiles, measured in turn."""
    found = {name: [] for name in servers}
    for i in range(ROUNDS + 1):
        for name, port in servers.items():
            one = measure(port, bodies, connections, seconds, folder)
            if one["bad"]:
                raise SystemExit(f"{name}: {one['bad']} requests failed")
            if i:  # the first round warms up
                found[name].append(one)
    return found


def summary(rows, texts=1):
    rates = [row["requests"] / row["seconds"] * texts for row in rows]
    return {
        "per_second": median(rates), "least": min(rates), "most": max(rates),
        "p50_ms": median(row["p50_ms"] for row in rows), "p99_ms": median(row["p99_ms"] for row in rows),
    }  # fmt: skip


def in_process(folder, batches, seconds):
    """Texts a second of the model alone, in a process that serves nothing."""
    model, count, began = load(folder), 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for batch in batches:
            model.predict(batch)
            count += len(batch)
    return count / (time.perf_counter() - began)


def main():
    data, seconds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    from rubrica.learning.train import train

    dataset = read_dataset(data)
    texts = dataset.splits["test"].texts[:4096]
    batches = [texts[first : first + MANY] for first in range(0, len(texts), MANY)]
    ours = [sys.executable, "-m", "rubrica", "serve"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train(dataset, config=load_recipe("bag"), out=folder / "bag")
        commands = {
            "plain FastAPI": [sys.executable, __file__, "--plain", folder / "bag", 8731],
            "rubrica serve": [*ours, folder / "bag", "--port", 8732],
            "rubrica serve --workers 2": [*ours, folder / "bag", "--workers", 2, "--port", 8733],
        }
        processes = [start(*command) for command in commands.values()]
        ports = {name: command[-1] for name, command in commands.items()}
        try:
            one_text = [json.dumps({"inputs": text}).encode() for text in texts]
            single = run_beside(ports, one_text, CONNECTIONS, seconds, folder)
            many = [json.dumps({"inputs": batch}).encode() for batch in batches]
            large = run_beside(ports, many, 4, seconds, folder)
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
                process.wait()
        alone = [in_process(folder / "bag", batches, seconds) for _ in range(ROUNDS)]
    result = {
        "load_generator": "wrk" if shutil.which("wrk") else "python",
        "single": {name: summary(rows) for name, rows in single.items()},
        "batches_of_256": {name: summary(rows, MANY) for name, rows in large.items()},
        "in_process": {"per_second": median(alone), "least": min(alone), "most": max(alone)},
        "times_plain": summary(single["rubrica serve"])["per_second"] / summary(single["plain FastAPI"])["per_second"],
        "share_of_in_process": {
            name: summary(rows, MANY)["per_second"] / median(alone) for name, rows in large.items()
        },
    }
    write_result("serve", result)


if __name__ == "__main__":
    plain(sys.argv[2], int(sys.argv[3])) if sys.argv[1:2] == ["--plain"] else main()
