"""The server: what it predicts, what it refuses and how, and what it logs."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from api import main
from config import DEFAULT_OUT, LEADS, RESEARCH_ONLY, SUPERCLASSES
from ecg.readers import read_recording
from ecg.readers.channels import from_leads
from ecg.statements import CODES, SUBCLASSES
from files import sha256
from inference.diagnoser import Diagnoser
from serving.settings import read_settings
from tests.support.server import JSON, assert_problem, client_with, prediction_of, with_lead

# --------------------------------------------------------------------------- predictions


def test_a_prediction_is_the_diagnosers_own(client, artifacts, ecg):
    response = client.post("/predict", json=ecg).json()
    expected = Diagnoser.load(artifacts).diagnose(from_leads(ecg["leads"], 100, "mV"))
    assert response["probabilities"] == expected.probabilities
    assert response["thresholds"] == expected.thresholds
    assert response["predicted_classes"] == list(expected.predicted_classes)
    for task in ("mi_vs_norm", "norm_vs_abnormal"):
        assert response[task] == vars(getattr(expected, task))
    assert response["uncertain"] == bool(response["uncertain_because"]) == expected.uncertain
    assert response["quality"]["severity"] == expected.quality.severity
    assert response["model"] == expected.model
    assert response["intervals"] is None and response["disclaimer"] == RESEARCH_ONLY
    assert response["headline"] == list(expected.headline) and response["rhythm"] == asdict(expected.rhythm)
    assert [one["code"] for one in response["statements"]] == list(CODES)
    assert [one["name"] for one in response["subclasses"]] == list(SUBCLASSES)
    for name in ("statements", "subclasses"):
        assert response[name] == json.loads(json.dumps([asdict(one) for one in getattr(expected, name)]))


def test_units_and_order_and_derived_leads_change_no_prediction(client, ecg):
    expected = prediction_of(client.post("/predict", json=ecg))["probabilities"]
    microvolts = {name: [1000 * value for value in samples] for name, samples in ecg["leads"].items()}
    reversed_leads = dict(reversed(microvolts.items()))
    for lead in ("III", "aVR", "aVL", "aVF"):
        del reversed_leads[lead]
    response = prediction_of(client.post("/predict", json={**ecg, "units": "uV", "leads": reversed_leads}))
    assert response["probabilities"] == pytest.approx(expected, abs=2e-3)  # the leads sent were rounded
    assert any("derived" in warning for warning in response["warnings"])


def asserted_in(prediction):
    """The statements and subclasses that are said of the recording."""
    return [one for name in ("statements", "subclasses") for one in prediction[name] if one["asserted"]]


def test_only_what_is_asserted_is_listed_when_asked_for(ecg):
    listed = ("statements", "subclasses")
    with client_with(DEFAULT_OUT) as client:  # what a network of a few generated ECGs asserts is chance
        everything = prediction_of(client.post("/predict?statements=all", json=ecg))
        assert everything == prediction_of(client.post("/predict", json=ecg))
        asserted = prediction_of(client.post("/predict?statements=asserted", json=ecg))
        assert asserted["statements"] + asserted["subclasses"] == asserted_in(everything) != []
        assert [asserted[name] for name in asserted if name not in listed] == [
            everything[name] for name in everything if name not in listed
        ]
        response = client.post("/predict/batch?statements=asserted", json={"recordings": [ecg]})
        (of_batch,) = response.json()["results"]
        assert of_batch["statements"] == asserted["statements"]
        assert_problem(client.post("/predict?statements=some", json=ecg), 422, "statements", "asserted")


def test_nothing_is_asserted_of_an_unusable_recording(client, ecg):
    response = prediction_of(client.post("/predict", json={**ecg, "units": "V"}))
    assert not response["quality"]["usable"] and asserted_in(response) == []
    assert len(response["statements"]) == len(CODES) and not response["rhythm"]["certain"]
    assert response["rhythm"]["sentence"] == response["headline"][0]


def test_a_network_without_statements_is_served(without_statements, ecg):
    with client_with(without_statements) as client:
        response = prediction_of(client.post("/predict", json=ecg))
        facts = client.get("/model").json()
    assert response["statements"] == response["subclasses"] == [] and response["rhythm"] is None
    assert response["headline"] and any("rhythm" in sentence for sentence in response["not_assessed"])
    assert facts["statements"] == facts["subclasses"] == []


@pytest.mark.parametrize("ends", [(".hea", ".dat"), (".dat", ".hea")])
def test_a_wfdb_upload_is_read_like_the_file(client, artifacts, ends):
    record = artifacts / "examples" / "normal"
    files = [record.with_suffix(end) for end in ends]
    response = client.post("/predict/file", files=[("files", (path.name, path.read_bytes())) for path in files])
    expected = Diagnoser.load(artifacts).diagnose(read_recording(record.with_suffix(".hea")))
    assert response.json()["probabilities"] == expected.probabilities


def test_a_file_that_does_not_say_takes_rate_and_units_from_the_query(client, ecg):
    rows = zip(*ecg["leads"].values(), strict=True)
    table = "\n".join([",".join(LEADS), *(",".join(map(str, row)) for row in rows)]).encode()
    upload = {"files": ("ecg.csv", table)}
    response = client.post("/predict/file?sampling_rate=100&units=mV", files=upload)
    assert prediction_of(response)["probabilities"] == prediction_of(client.post("/predict", json=ecg))["probabilities"]
    assert_problem(client.post("/predict/file", files=upload), 422, "rate")


def test_one_fault_gives_one_warning_however_many_leads_have_it(client, ecg):
    trembling = np.random.default_rng(0).normal(0, 0.1, 1000).tolist()
    leads = {
        name: [value + (noise if name != "V3" else 0) for value, noise in zip(samples, trembling, strict=True)]
        for name, samples in ecg["leads"].items()
    }
    response = client.post("/predict", json={**ecg, "leads": leads}).json()
    per_lead = [flag for flag in response["quality"]["flags"] if flag["name"] == "muscle noise"]
    assert len(per_lead) > 6
    (warning,) = [warning for warning in response["warnings"] if "trembles" in warning]
    assert all(flag["lead"] in warning for flag in per_lead) and "V3" not in warning
    in_volts = client.post("/predict", json={**ecg, "units": "V"}).json()
    assert len([warning for warning in in_volts["warnings"] if "unit" in warning]) == 1


def test_intervals_come_when_asked_for(client, ecg):
    found = client.post("/predict?intervals=true", json=ecg).json()["intervals"]
    values = {name: value for name, value in found.items() if name != "reasons"}
    assert 40 < values["heart_rate"] < 150
    assert {name for name, value in values.items() if value is None} == set(found["reasons"])


def test_a_batch_has_one_prediction_or_one_problem_each_in_order(client, ecg):
    short = {**ecg, "leads": {name: samples[:300] for name, samples in ecg["leads"].items()}}
    louder = {**ecg, "leads": {name: [2 * value for value in samples] for name, samples in ecg["leads"].items()}}
    given = [ecg, short, {"nonsense": 1}, 7, louder, None]
    results = client.post("/predict/batch", json={"recordings": given}).json()["results"]
    assert [result.get("status", 200) for result in results] == [200, 422, 422, 422, 200, 422]
    for recording, result in zip(given[::4], results[::4], strict=True):
        result.pop("request_id")
        assert result == prediction_of(client.post("/predict", json=recording))
    assert "5 s are needed" in results[1]["detail"] and "nonsense" in results[2]["detail"]


def test_the_model_tells_what_it_is(client, artifacts):
    facts = client.get("/model").json()
    assert list(facts["classes"]) == list(SUPERCLASSES)
    thresholds = json.loads((artifacts / "multilabel_thresholds.json").read_text())["thresholds"]
    assert facts["thresholds"]["multilabel"] == thresholds
    statements = json.loads((artifacts / "multilabel_thresholds.json").read_text())["statements"]
    assert {one["code"]: (one["threshold"], one["validated"]) for one in facts["statements"]} == {
        code: (entry["threshold"], entry["validated"]) for code, entry in statements.items()
    }
    assert len(facts["subclasses"]) == len(SUBCLASSES)
    assert facts["input"]["leads"] == list(LEADS)
    assert facts["files"]["multilabel_best.onnx"] == sha256(artifacts / "multilabel_best.onnx")
    assert facts["networks"]["multilabel"]["trained_on_synthetic_data"]
    assert list(facts["metrics"]) == ["multilabel_val"], "metrics of another checkpoint are not shown"


def test_the_model_shows_released_test_results_of_the_checkpoint_being_served_only(own_artifacts):
    metrics = json.loads((own_artifacts / "multilabel_metrics_val.json").read_text()) | {"fold": 10}
    for number, checkpoint in ((1, "of earlier weights"), (2, metrics["checkpoint_sha256"])):
        path = own_artifacts / "test_results" / f"release{number}" / "multilabel_metrics_test.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({**metrics, "checkpoint_sha256": checkpoint, "n": number}))
    with client_with(own_artifacts) as client:
        shown = client.get("/model").json()["metrics"]
    assert (shown["multilabel_test"]["fold"], shown["multilabel_test"]["n"]) == (10, 2)


# --------------------------------------------------------------------------- refusals


BAD_SAMPLES = {
    "a string": ([*range(999), "1.0"], "V2"),
    "a boolean": ([*range(999), True], "V2"),
    "nested": ([[0.1] * 1000], "V2"),
    "an object": ({"0": 1}, "V2"),
    "ragged": ([0.1] * 999, "equally many"),
    "empty": ([], "equally many"),
    "huge": ([0.1] * 999 + [1e300], "V2"),
    "beyond any unit": ([0.1] * 999 + [2e9], "beyond"),
    "a long gap": ([0.1] * 900 + [None] * 100, "V2"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_bad_samples_are_refused_with_a_sentence(client, ecg, case):
    samples, word = BAD_SAMPLES[case]
    assert_problem(client.post("/predict", json=with_lead(ecg, samples)), 422, word)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "0x10", "1,", ""])
def test_what_is_no_json_number_is_refused(client, ecg, literal):
    body = json.dumps(with_lead(ecg, ["here"])).replace('"here"', literal) if literal else "{"
    assert_problem(client.post("/predict", content=body, headers=JSON), 422)


BAD_BODIES = {
    "nothing": b"",
    "no UTF-8": b'{"units": "\xff"}',
    "half a surrogate": b'{"sampling_rate": 100, "units": "mV", "leads": {"\\ud800": [1]}}',
    "deep": b"[" * 200_000,
    "deep inside": b'{"sampling_rate": 100, "units": "mV", "leads": {"I": ' + b"[" * 200_000,
    "deep aside": b'{"x": ' + b'{"x": ' * 200_000,
    "no unit": b'{"sampling_rate": 100, "units": "adu", "leads": {"I": [1]}}',
    "no lead of ours": b'{"sampling_rate": 100, "units": "mV", "leads": {"EEG": [1]}}',
    "a field too many": b'{"sampling_rate": 100, "units": "mV", "leads": {"I": [1]}, "patient": "Doe"}',
}


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize("case", BAD_BODIES)
def test_bad_bodies_are_refused_with_a_sentence(client, case, path):
    assert_problem(client.post(path, content=BAD_BODIES[case], headers=JSON), 422)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/predict", {}),
        ("/predict", {**JSON, "Content-Encoding": "br"}),
        ("/predict", {**JSON, "Content-Encoding": "gzip, gzip"}),
        ("/predict/batch", {"Content-Type": "multipart/form-data; boundary=x"}),
        ("/predict/file", JSON),
    ],
)
def test_another_content_type_is_415(client, path, headers):
    assert_problem(client.post(path, content=b"{}", headers=headers), 415, "send")


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"recording": ("a.npy", b"x")}, "recording"),
        ([("files", ("a.dat", b"x")), ("files", ("a.dat", b"y"))], "two files"),
        ({"files": ("ecg.dat", b"\x00" * 100)}, "ecg.dat"),
        ({"files": ("../../etc/passwd", b"root:x:0")}, "header row"),
        ({"files": ("ecg.edf", b"")}, "ecg.edf"),
    ],
)
def test_bad_uploads_get_the_readers_message(client, files, word):
    assert_problem(client.post("/predict/file", files=files), 422, word)


@pytest.mark.parametrize("body", [b"", b"--x--\r\n", b"--x\r\nno headers", b"garbage"])
def test_a_broken_multipart_body_is_refused(client, body):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_problem(client.post("/predict/file", content=body, headers=headers), 422)


def test_other_paths_methods_and_parameters(client, ecg):
    assert_problem(client.get("/nowhere"), 404, "/docs")
    response = client.get("/predict")
    assert_problem(response, 405)
    assert response.headers["allow"] == "POST"
    assert_problem(client.post("/predict?intervals=perhaps", json=ecg), 422, "intervals")
    assert_problem(client.post("/predict/file?sampling_rate=-1", files={"files": b"x"}), 422, "sampling_rate")


@settings(max_examples=40)
@given(
    samples=st.lists(st.one_of(st.none(), st.floats(-5, 5), st.integers(), st.just(1e308)), min_size=1, max_size=4),
    length=st.integers(490, 1100),
    rate=st.one_of(st.floats(50, 60_000), st.integers(100, 1000)),
    intervals=st.booleans(),
)
def test_no_numbers_bring_it_down(client, samples, length, rate, intervals):
    one = (samples * length)[:length]
    leads = {lead: one if lead != "V6" else [0.5] * length for lead in LEADS}
    body = {"sampling_rate": rate, "units": "mV", "leads": leads}
    response = client.post(f"/predict?intervals={intervals}", json=body)
    if response.status_code != 200:
        assert_problem(response, 422)
    else:
        assert all(0 <= p <= 1 for p in response.json()["probabilities"].values())


# --------------------------------------------------------------------------- bugs and keys


BODIES = {
    "/predict": lambda ecg: {"json": ecg},
    "/predict/file": lambda ecg: {"files": {"files": ("ecg.edf", b"0")}},
    "/predict/batch": lambda ecg: {"json": {"recordings": [ecg]}},
}


@pytest.mark.parametrize("error", [TypeError, MemoryError])
@pytest.mark.parametrize("path", BODIES)
def test_a_bug_is_a_logged_500_without_the_ecg(artifacts, ecg, capsys, monkeypatch, path, error):
    def fail(*arguments, **options):
        raise error("Jane Doe")

    for name in ("recording_from_json", "read_uploaded"):
        monkeypatch.setattr(f"serving.routes.{name}", fail)
    with client_with(artifacts) as client:
        response = client.post(path, **BODIES[path](ecg), headers={"X-Request-ID": "r1"})
        if path == "/predict/batch":
            assert response.json()["results"][0]["status"] == 500
        else:
            assert_problem(response, 500, "request_id")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (logged,) = [line for line in lines if "exc_info" in line]
    assert logged["level"] == "ERROR" and logged["request_id"] == "r1"
    assert logged["exc_info"][0] == error.__name__ and any("test_api.py" in frame for frame in logged["exc_info"])
    assert "Jane" not in json.dumps(lines)


def test_the_api_key_guards_predictions_and_nothing_else(artifacts, ecg):
    with client_with(artifacts, api_key=SecretStr("sésame")) as client:
        for path in BODIES:
            assert_problem(client.post(path, json=ecg), 401, "X-API-Key")
        assert_problem(client.get("/model", headers={"X-API-Key": "sesame"}), 401)
        assert client.get("/model", headers={"X-API-Key": "sésame".encode()}).status_code == 200
        assert {client.get(path).status_code for path in ("/health", "/ready", "/metrics", "/docs")} == {200}


def test_other_sites_may_ask_only_where_they_are_listed(client, artifacts):
    preflight = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.get("/health", headers=preflight).headers
    with client_with(artifacts, cors_origins=["https://example.org"]) as open_client:
        allowed = open_client.options("/predict", headers=preflight)
        assert allowed.headers["access-control-allow-origin"] == "https://example.org"
        other = open_client.get("/health", headers={"Origin": "https://example.com"})
        assert "access-control-allow-origin" not in other.headers


# --------------------------------------------------------------------------- traces


@pytest.mark.parametrize("given", ["abc-123", "", "x" * 65, "a b", 'a"b'])
def test_a_request_id_is_kept_if_it_is_a_plain_word(client, ecg, given):
    response = client.post("/predict", json=ecg, headers={"X-Request-ID": given})
    returned = response.headers["x-request-id"]
    assert returned == response.json()["request_id"]
    assert (returned == given) == (given == "abc-123") and returned


def test_logs_are_json_lines_without_anything_of_the_patient(artifacts, ecg, capsys):
    with client_with(artifacts) as client:
        client.post("/predict", json=with_lead(ecg, ["Jane Doe"]), headers={"X-Request-ID": "r1"})
        client.post("/predict/file?units=JaneDoe", files={"files": ("JaneDoe.edf", b"Jane Doe")})
        broken = {"files": ("JaneDoe.npy", b"\x93NUMPY\x01\x00Jane Doe")}
        client.post("/predict/file", files=broken, headers={"X-Request-ID": "r2"})
        client.get("/JaneDoe")
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("/predict", 422), ("/predict/file", 422), ("/predict/file", 422), ("unknown", 404),
    ]  # fmt: skip
    assert requests[0]["request_id"] == "r1" and requests[0]["milliseconds"] > 0
    assert [line["request_id"] for line in lines if "refused a file" in line["message"]] == ["r2"]
    assert "Jane" not in printed


def test_metrics_count_requests_recordings_and_classes(artifacts, ecg):
    with client_with(artifacts) as client:
        predicted = client.post("/predict", json=ecg).json()["predicted_classes"]
        client.post("/predict", json=with_lead(ecg, []))
        text = client.get("/metrics").text
    assert 'ecg_recordings_total{outcome="answered"} 1.0' in text
    assert 'ecg_recordings_total{outcome="refused"} 1.0' in text
    assert "ecg_diagnosis_seconds_count 1.0" in text
    for name in SUPERCLASSES:
        assert f'ecg_predicted_classes_total{{superclass="{name}"}} {float(name in predicted)}' in text
    assert 'http_requests_total{handler="/predict",method="POST",status="2xx"} 1.0' in text


def test_settings_come_from_the_environment_and_mistakes_are_explained(monkeypatch, capsys):
    monkeypatch.setenv("HMT_WORKERS", "3")
    monkeypatch.setenv("HMT_CORS_ORIGINS", '["https://example.org"]')
    assert (read_settings().workers, read_settings().cors_origins) == (3, ["https://example.org"])
    monkeypatch.setenv("HMT_WORKERS", "many")
    with pytest.raises(SystemExit, match="workers"):
        read_settings()
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0 and "8000" in capsys.readouterr().out
