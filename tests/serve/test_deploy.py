"""What deploy/ holds fits the server. No image is built: the steps of the Dockerfile run in a clean environment."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from rubrica import load
from serving import ONE, TEXTS, ask, predict, serving

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
yaml = pytest.importorskip("yaml")


def lines_of(name):
    """The instructions of the Dockerfile by their name, each with its continued lines."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)


def test_the_dashboard_asks_for_counters_that_the_server_has(server):
    for text in TEXTS:
        predict(server, text, model="one")
    known = set(re.findall(r"^(rubrica_\w+)", ask(server, "GET", "/metrics")[2], re.MULTILINE))
    panels = json.loads((DEPLOY / "grafana" / "rubrica.json").read_text())["panels"]
    asked = {
        name for panel in panels for target in panel["targets"] for name in re.findall(r"rubrica_\w+", target["expr"])
    }
    late = {"rubrica_label_drift", "rubrica_unanswered_total"}  # told when there is something to tell
    assert asked - late <= known
    from rubrica.serve import metrics

    assert all(name.removesuffix("_total") in Path(metrics.__file__).read_text() for name in late)
    assert len({panel["id"] for panel in panels}) == len(panels) > 5


def test_compose_names_files_that_exist():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    assert [path for path in mounted if path.startswith("./") and not (ROOT / path).is_file()] == []
    assert (ROOT / services["rubrica"]["build"]["dockerfile"]).is_file()
    port = services["rubrica"]["ports"][0].rpartition(":")[2]
    assert lines_of("EXPOSE") == [port]
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"rubrica:{port}"]}]
    source = yaml.safe_load((DEPLOY / "grafana" / "datasource.yaml").read_text())["datasources"][0]
    assert (
        source["uid"] == json.loads((DEPLOY / "grafana" / "rubrica.json").read_text())["panels"][0]["datasource"]["uid"]
    )
    provider = yaml.safe_load((DEPLOY / "grafana" / "dashboards.yaml").read_text())["providers"][0]
    assert any(
        volume.split(":")[1].startswith(provider["options"]["path"]) for volume in services["grafana"]["volumes"]
    )


def test_kserve_asks_what_the_server_answers(tmp_path):
    (container,) = yaml.safe_load((DEPLOY / "kserve.yaml").read_text())["spec"]["predictor"]["containers"]
    assert [str(container["ports"][0]["containerPort"])] == lines_of("EXPOSE")
    arguments = [argument.replace("/mnt/models", str(ONE)) for argument in container["args"]]
    with serving(*arguments, folder=tmp_path) as server:
        for probe in ("readinessProbe", "livenessProbe"):
            assert ask(server, "GET", container[probe]["httpGet"]["path"])[0] == 200
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": TEXTS[:1]}
        assert ask(server, "POST", "/v2/models/news/infer", {"inputs": [tensor]})[0] == 200


def copied(folder):
    """The repository as the build sees it: what the .dockerignore leaves."""
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert rules[0] == "*"
    ignored = shutil.ignore_patterns(*(rule.removeprefix("**/") for rule in rules if rule.startswith("**/")))
    for rule in rules:
        source = ROOT / rule[1:]
        if rule[0] == "!" and source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=ignored)
        elif rule[0] == "!":
            shutil.copy(source, folder)
    return folder


@pytest.mark.slow
def test_the_steps_of_the_dockerfile_in_a_clean_environment():
    if not shutil.which("g++"):
        pytest.skip("no g++")
    with tempfile.TemporaryDirectory() as name:  # where another user may read, as pytest's own folders are not
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "source").mkdir()
        copied(folder / "source")
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        environment = os.environ | {"PATH": f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}"}
        environment.pop("PYTHONPATH", None)
        steps = [step for step in lines_of("RUN") if "pip" in step]
        assert len(steps) == 2
        for step in steps:
            if "install" in step:
                shutil.copy(ROOT / "constraints.txt", folder / "wheels")
            step = step.replace("/source", f"{folder}/source").replace("/wheels", f"{folder}/wheels")
            subprocess.run(step, shell=True, env=environment, check=True, stdout=subprocess.DEVNULL)
        torch = subprocess.run([folder / "venv" / "bin" / "python", "-c", "import torch"], capture_output=True)
        assert b"No module named 'torch'" in torch.stderr
        shutil.copytree(ONE, folder / "model")
        check_server(folder, environment)


def check_server(folder, environment):
    """The entry point, for a user who owns nothing: it answers, is healthy, and ends with 0."""
    entry, health = (
        json.loads(line[line.index("[") :]) for name in ("ENTRYPOINT", "HEALTHCHECK") for line in lines_of(name)
    )
    user = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*user, *entry, f"news={folder}/model", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        ready = json.loads(process.stderr.readline())
        port = ready["address"].rpartition(":")[2]
        subprocess.run([part.replace("8000", port) for part in health], env=environment, check=True)
        server = SimpleNamespace(port=int(port))
        assert [pair["label"] for (pair,) in predict(server, TEXTS)] == load(ONE).predict(TEXTS)
        env = json.loads(subprocess.check_output(["rubrica", "info", "--env", "--json"], env=environment))
        assert env["kernels"].startswith("native")
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0
