"""The server does what its OpenAPI document says."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from pydantic import SecretStr
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from api import create_app
from serving.settings import Settings


def test_the_examples_work_when_pasted(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/predict", "/predict/batch"):
        example = paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
        shown = paths[path]["post"]["responses"]["200"]["content"]["application/json"]["examples"]["asserted"]["value"]
        response = client.post(f"{path}?statements=asserted", json=example).json()
        first, first_shown = (content if path == "/predict" else content["results"][0] for content in (response, shown))
        assert list(first) == list(first_shown) and "probabilities" in first


PATHS = (
    ("POST", "/predict"), ("POST", "/predict/file"), ("POST", "/predict/batch"), ("POST", "/predict/files"),
    ("GET", "/model"), ("GET", "/health"), ("GET", "/ready"),
)  # fmt: skip


@pytest.fixture(scope="module")
def document(artifacts):
    app = create_app(Settings(artifacts=artifacts, api_key=SecretStr("open sesame")))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def test_the_document_describes_every_path_and_asks_for_a_key_only_where_one_is_needed(client, document):
    assert document.raw_schema["paths"]["/predict"]["post"]["security"] == [{"APIKeyHeader": []}]
    assert "security" not in client.get("/openapi.json").text
    operations = {result.ok().label for result in document.get_all_operations()}
    assert operations == {" ".join(path) for path in PATHS}


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [(*path, GenerationMode.POSITIVE) for path in PATHS]
    + [(*path, GenerationMode.NEGATIVE) for path in PATHS if path[0] == "POST"],  # the others take nothing
)
def test_the_server_does_what_its_document_says(document, method, path, mode):
    # well-formed numbers need not be an ECG, and a batch has a result for each recording
    left_out = [positive_data_acceptance] + [negative_data_rejection] * (path == "/predict/batch")

    @settings(max_examples=15, suppress_health_check=list(HealthCheck))
    @given(case=document[path][method].as_strategy(generation_mode=mode))
    def agrees(case):
        case.call_and_validate(headers={"X-API-Key": "open sesame"}, excluded_checks=left_out)

    agrees()
