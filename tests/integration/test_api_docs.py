"""The OpenAPI document, the page /docs and docs/api.md: every field described, nothing fetched from elsewhere.

That the guide's examples and tables are what the server sends is checked by `make report-check`.
"""

import json
import re
from dataclasses import fields

import pytest

from config import PROJECT
from ecg.beats import MINIMUM_RATE
from inference.diagnosis import Diagnosis
from serving import schemas
from serving.settings import Settings
from tests.support.server import client_with
from tools.make_api_guide import agree

API_MD = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def response_fields(document):
    """(schema, field) to what is said of it, of everything the server sends."""
    sent = {name: schema for name, schema in document["components"]["schemas"].items() if name != "Recording"}
    return {
        (name, field): description
        for name, schema in sent.items()
        for field, description in schema.get("properties", {}).items()
    }


def test_every_field_of_every_response_is_described_in_the_document(document):
    found = response_fields(document)
    assert ("Prediction", "not_assessed") in found and ("QualityOut", "usable") in found
    assert [field for field, described in found.items() if not described.get("description")] == []


def test_every_field_and_every_setting_is_in_the_guide(document):
    named = set(re.findall(r"`(\w+)`", API_MD))
    assert {field for _, field in response_fields(document)} - named == set()
    assert {f"HMT_{name.upper()}" for name in Settings.model_fields} - named == set()
    assert [path for path in document["paths"] if path not in API_MD] == []


def test_an_example_that_differs_by_more_than_rounding_is_written_anew():
    assert agree({"p": 0.5, "request_id": "a", "l": [1]}, {"p": 0.5001, "request_id": "b", "l": [1]})
    for other in ({"p": 0.51, "l": [1]}, {"p": 0.5, "l": [2]}, {"p": 0.5, "l": []}, {"p": 0.5}, {"p": None, "l": [1]}):
        assert not agree({"p": 0.5, "l": [1]}, other)


def test_the_diagnosis_is_sent_but_for_its_timing():
    found = {field.name for field in fields(Diagnosis)} - {"milliseconds"} | {"headline"}
    assert found <= set(schemas.Prediction.model_fields)


def test_one_schema_describes_a_recording_wherever_one_is_sent(document):
    recording = document["components"]["schemas"]["Recording"]
    assert recording["properties"]["sampling_rate"]["minimum"] == MINIMUM_RATE
    reference = {"$ref": "#/components/schemas/Recording"}
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    batch = document["paths"]["/predict/batch"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == batch["properties"]["recordings"]["items"] == reference
    assert json.dumps(document).count('"Two of I, II, III are enough') <= 1


def test_the_least_sampling_rate_is_the_same_everywhere(client, document, ecg):
    parameters = document["paths"]["/predict/file"]["post"]["parameters"]
    (rate,) = [parameter for parameter in parameters if parameter["name"] == "sampling_rate"]
    assert MINIMUM_RATE in [choice.get("minimum") for choice in rate["schema"]["anyOf"]]
    assert client.get("/model").json()["input"]["sampling_rate_hz"][0] == MINIMUM_RATE
    assert f"{MINIMUM_RATE} Hz to 50 kHz" in API_MD
    slow = client.post("/predict", json={**ecg, "sampling_rate": MINIMUM_RATE - 1})
    table = "\n".join(["# sampling_rate: 99", "I (mV),II (mV)", *["0.1,0.2"] * 600]).encode()
    slow_file = client.post("/predict/file", files={"files": ("ecg.csv", table)})
    for response in (slow, slow_file):
        assert response.status_code == 422 and str(MINIMUM_RATE) in response.json()["detail"]


def test_the_docs_page_and_what_it_loads_come_from_this_server(client):
    page = client.get("/docs")
    assert page.status_code == 200
    assert re.findall(r"https?://|//[\w.-]+\.\w+/", page.text) == []
    links = re.findall(r"""(?:href|src)="([^"]+)"|url: ['"]([^'"]+)['"]""", page.text)
    loaded = ["/" + (link or url).lstrip("/") for link, url in links]
    assert {"/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css", "/openapi.json"} <= set(loaded)
    for path in loaded:
        response = client.get(path)
        assert response.status_code == 200 and len(response.content) > 500
    assert client.get("/redoc").status_code == 404


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_probes_are_not_in_the_log(artifacts, capsys, path):
    with client_with(artifacts) as client:
        client.get(path)
        client.get("/model")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["route"] for line in lines if line["message"] == "request"] == ["/model"]
