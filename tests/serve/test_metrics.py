"""What /metrics tells is what was asked and answered."""

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from rubrica import load
from rubrica.serve.metrics import Metrics
from rubrica.serve.models import Model, training_shares
from serving import ONE, TEXTS, ask, predict, serving


def read(server):
    """Each sample of the page: its name with its labels, and its number."""
    page = ask(server, "GET", "/metrics")[2]
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}


def total(samples, name, **labels):
    return sum(value for key, value in samples.items() if key[0] == name and set(labels.items()) <= set(key[1:]))


def test_the_counters_add_up(tmp_path):
    with serving(f"news={ONE}", folder=tmp_path) as server:
        predict(server, TEXTS)
        for _ in range(30):
            predict(server, "the cup goal")
        predict(server, TEXTS, parameters={"top_k": 3})
        ask(server, "POST", "/v1/classify", {"input": TEXTS})
        ask(server, "POST", "/predict", b"no JSON")
        ask(server, "GET", "/no/such/path")
        samples = read(server)
    count = 3 * len(TEXTS) + 30
    assert total(samples, "rubrica_requests_total", route="/predict", status="200") == 32
    assert total(samples, "rubrica_requests_total", route="/predict", status="400") == 1
    assert total(samples, "rubrica_requests_total", route="other", status="404") == 1
    assert total(samples, "rubrica_requests_total") == 35
    assert total(samples, "rubrica_request_seconds_count") == 35
    assert total(samples, "rubrica_batch_texts_sum") == count
    assert total(samples, "rubrica_answers_total", model="news") == count
    labels = load(ONE).predict(TEXTS)
    assert total(samples, "rubrica_answers_total", label="Business") == 3 * labels.count("Business")
    assert total(samples, "rubrica_queue_texts") == 0
    assert total(samples, "rubrica_model", model="news") == 1


def test_drift_is_how_far_the_shares_of_the_labels_are_from_those_of_the_training():
    classifier = load(ONE)
    shares = np.array([0.5, 0.3, 0.2])
    metrics, model = Metrics(), Model("news", ONE, classifier, shares, 1)
    first, second, third = classifier.labels
    metrics.tell_answers(model, [[first]] * 100)
    assert b"rubrica_label_drift{" not in metrics.page()  # too few to say
    answers = [[first]] * 5 + [[second]] * 3 + [[third]] * 2
    for _ in range(5000):
        metrics.tell_answers(model, answers)
    assert drift(metrics) < 0.01
    for _ in range(5000):
        metrics.tell_answers(model, [[third]] * 10)
    assert 0.75 < drift(metrics) < 0.81  # all are the third label, which has a share of 0.2


def drift(metrics):
    return float(metrics.page().decode().partition('rubrica_label_drift{model="news"} ')[2].split()[0])


def test_the_shares_of_the_training_are_those_of_the_held_out_texts():
    rows = [{"label": "a", "texts": 30}, {"label": "b", "texts": 10}]
    shares = training_shares({"validation": {"per_class": rows}}, ["b", "a", "c"])
    np.testing.assert_allclose(shares, [0.25, 0.75, 0])
    assert training_shares({}, ["a"]) is None
