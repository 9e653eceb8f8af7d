"""Each route answers what the model itself answers."""

import json

import numpy as np
import pytest

from rubrica import explain, load
from serving import ONE, SEVERAL, TEXTS, ask, events, predict, serving, wait_for


@pytest.fixture(scope="module")
def models():
    return {"one": load(ONE), "several": load(SEVERAL)}


@pytest.mark.parametrize("name", ["one", "several"])
def test_predict_gives_what_the_model_gives(server, models, name):
    model, rows = models[name], predict(server, TEXTS, model=name)
    found = [[pair["label"] for pair in row] for row in rows]
    wanted = model.predict(TEXTS)
    assert found == [answer if isinstance(answer, list) else [answer] for answer in wanted]
    for row, probabilities in zip(rows, model.predict_proba(TEXTS).tolist(), strict=True):
        for pair in row:
            assert pair["score"] == pytest.approx(probabilities[model.labels.index(pair["label"])], abs=1e-6)


@pytest.mark.parametrize("name", ["one", "several"])
def test_top_k_gives_a_ranking(server, models, name):
    for k in (1, 2, 2.0, 99, 1e300):
        rows = predict(server, TEXTS, model=name, parameters={"top_k": k})
        assert [[pair["label"] for pair in row] for row in rows] == models[name].predict(TEXTS, k=int(min(k, 99)))
        for row in rows:
            assert row == sorted(row, key=lambda pair: -pair["score"])


def test_one_text_is_answered_like_a_list_of_one(server):
    assert predict(server, TEXTS[0], model="one") == predict(server, TEXTS[:1], model="one")
    assert predict(server, [], model="one") == []


def test_classify_has_the_shape_of_vllm(server, models):
    status, _, answer = ask(server, "POST", "/v1/classify", {"model": "one", "input": TEXTS})
    assert status == 200
    assert answer["object"] == "list"
    assert answer["model"] == "one"
    assert answer["usage"]["prompt_tokens"] == sum(len(text.split()) for text in TEXTS)
    np.testing.assert_allclose([row["probs"] for row in answer["data"]], models["one"].predict_proba(TEXTS), atol=1e-6)
    assert [row["label"] for row in answer["data"]] == models["one"].predict(TEXTS)
    assert {(row["num_classes"], "labels" in row) for row in answer["data"]} == {(3, False)}
    assert [row["index"] for row in answer["data"]] == list(range(len(TEXTS)))


def test_classify_names_all_labels_of_a_text_that_may_have_several(server, models):
    _, _, answer = ask(server, "POST", "/v1/classify", {"model": "several", "input": TEXTS})
    wanted = models["several"].predict(TEXTS)
    assert [row.get("labels", []) for row in answer["data"]] == wanted
    assert [row["label"] for row in answer["data"]] == [labels[0] if labels else None for labels in wanted]


def test_the_open_inference_protocol(server, models):
    assert ask(server, "GET", "/v2")[2]["models"] == ["one", "several"]
    assert ask(server, "GET", "/v2/health/live")[2] == {"live": True}
    assert ask(server, "GET", "/v2/health/ready")[2] == {"ready": True}
    assert ask(server, "GET", "/v2/models/one/ready")[2] == {"name": "one", "ready": True}
    about = ask(server, "GET", "/v2/models/one")[2]
    assert about["labels"] == models["one"].labels
    assert about["outputs"][1] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(TEXTS)], "data": TEXTS}
    status, _, answer = ask(server, "POST", "/v2/models/one/infer", {"id": "mine", "inputs": [tensor]})
    assert status == 200
    assert (answer["model_name"], answer["id"]) == ("one", "mine")
    labels, probabilities = answer["outputs"]
    assert labels["data"] == models["one"].predict(TEXTS)
    found = np.reshape(probabilities["data"], probabilities["shape"])
    np.testing.assert_allclose(found, models["one"].predict_proba(TEXTS), atol=1e-6)
    asked = {"inputs": [tensor], "outputs": [{"name": "label"}]}
    (labels,) = ask(server, "POST", "/v2/models/several/infer", asked)[2]["outputs"]
    assert [json.loads(data) for data in labels["data"]] == models["several"].predict(TEXTS)
    tensor["shape"] = [len(TEXTS) + 1]
    assert ask(server, "POST", "/v2/models/one/infer", {"inputs": [tensor]})[0] == 422


def test_explain_gives_what_explain_gives(server, models):
    body = {"inputs": TEXTS[0], "model": "several", "parameters": {"labels": ["Business"], "beliefs": True}}
    status, _, answer = ask(server, "POST", "/explain", body)
    assert status == 200
    wanted = explain(models["several"], TEXTS[0], labels=["Business"], beliefs=True).to_json()
    assert answer == json.loads(json.dumps(wanted))
    body["parameters"] = {"labels": ["no such label"]}
    assert ask(server, "POST", "/explain", body)[0] == 404
    body["parameters"] = {"method": "exact"}
    assert ask(server, "POST", "/explain", body)[0] == 409


def test_the_other_routes(server):
    assert ask(server, "GET", "/healthz")[2] == {"live": True}
    assert ask(server, "GET", "/readyz")[2] == {"ready": True}
    document = ask(server, "GET", "/openapi.json")[2]
    assert "http" not in json.dumps(document["paths"]).replace("no HTTP", "")  # nothing is loaded from elsewhere
    assert ask(server, "GET", "/docs")[0] == 404
    status, headers, _ = ask(server, "GET", "/predict")
    assert (status, headers["allow"]) == (405, "POST")


def test_ids_and_traces_go_in_and_out(server):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"X-Request-Id": "from-the-client.1", "traceparent": trace}
    _, found, _ = ask(server, "POST", "/predict", {"inputs": "a secret text", "model": "one"}, headers)
    assert (found["x-request-id"], found["traceparent"]) == ("from-the-client.1", trace)
    _, found, _ = ask(server, "GET", "/healthz", headers={"X-Request-Id": "no good\tid", "traceparent": "00-xyz"})
    assert found["x-request-id"] != "no good\tid"
    assert "traceparent" not in found
    for _ in range(100):
        lines = [line for line in events(server, "request") if line["id"] == "from-the-client.1"]
        if lines:
            break
        wait_for(server, "request", len(events(server, "request")) + 1)
    assert lines[0].items() >= {"path": "/predict", "status": 200, "texts": 1, "model": "one"}.items()
    assert lines[0]["traceparent"] == trace
    assert "secret" not in server.log.read_text()


def test_abstaining(tmp_path, models):
    with serving(ONE, "--abstain-below", "0.9", folder=tmp_path) as server:
        rows = predict(server, TEXTS)
        wanted = models["one"].predict(TEXTS, abstain_below=0.9)
        assert None in wanted
        assert [row[0]["label"] for row in rows] == wanted
        highest = models["one"].predict_proba(TEXTS).max(axis=1)
        np.testing.assert_allclose([row[0]["score"] for row in rows], highest, atol=1e-6)
        page = ask(server, "GET", "/metrics")[2]
        assert f'rubrica_unanswered_total{{model="{ONE.name}"}} {wanted.count(None)}.0' in page
