"""The OpenAPI document's request bodies, which the routes decode themselves, its examples, and the page /docs."""

import json
from pathlib import Path

import msgspec
import numpy as np
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from config import LEADS
from ecg.preprocessing import MINIMUM_DURATION_S
from ecg.synthetic.patients import example_cases
from ecg.synthetic.simulation import synthesise
from serving.json_recordings import RecordingIn

RECORDING = {"$ref": "#/components/schemas/Recording"}
EXAMPLE_QUERY = "statements=asserted"  # with which the examples were sent
# what was predicted of `example_recording`; python -m tools.make_api_guide writes it
EXAMPLE_PREDICTION = Path(__file__).with_name("example_prediction.json")


def document_requests(app: FastAPI, max_batch: int) -> None:
    """Add the request bodies, and what is sent for their examples, to what FastAPI generates."""
    generated = app.openapi

    def openapi() -> dict:
        if app.openapi_schema is None:
            document = generated()
            document["components"]["schemas"]["Recording"] = recording_schema()
            for path, body in request_bodies(max_batch).items():
                document["paths"][path]["post"]["requestBody"] = body
            for path, example in response_examples().items():
                content = document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]
                content["examples"] = {"asserted": {"summary": f"with ?{EXAMPLE_QUERY}", "value": example}}
        return app.openapi_schema

    app.openapi = openapi


def recording_schema() -> dict:
    schema = msgspec.json.schema_components([RecordingIn])[1]["RecordingIn"]
    return {**schema, "title": "Recording"}


def request_bodies(max_batch: int) -> dict[str, dict]:
    """OpenAPI request body of each POST path, with an example that works when pasted."""
    example = example_recording()
    batch = {"type": "array", "items": RECORDING, "maxItems": max_batch}
    files = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "minItems": 1,
        "description": "each file in a part of its own, with its file name",
    }
    contents = {
        "/predict": ("application/json", RECORDING, {"example": example}),
        "/predict/batch": ("application/json", object_of("recordings", batch), {"example": {"recordings": [example]}}),
        "/predict/file": ("multipart/form-data", object_of("files", files), {}),
        "/predict/files": ("multipart/form-data", object_of("files", files), {}),
    }
    return {
        path: {"required": True, "content": {media_type: {"schema": schema, **more}}}
        for path, (media_type, schema, more) in contents.items()
    }


def response_examples() -> dict[str, dict]:
    """What the server sent for the requests' examples."""
    prediction = json.loads(EXAMPLE_PREDICTION.read_text(encoding="utf-8"))
    return {"/predict": prediction, "/predict/batch": {"results": [prediction]}}


def example_recording() -> dict:
    """As short as is allowed, with as few leads as are needed."""
    recording, _ = synthesise(example_cases()["MI"], 100, np.random.default_rng(0))
    samples = recording.signal[:, : round(MINIMUM_DURATION_S * 100)].astype(float).round(2).tolist()
    leads = dict(zip(LEADS, samples, strict=True))
    return {"sampling_rate": 100, "units": "mV", "leads": {name: leads[name] for name in ("I", "II", *LEADS[6:])}}


def object_of(name: str, schema: dict) -> dict:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def add_docs_page(app: FastAPI) -> None:
    """Serve /docs with scripts and styles from an installed package, so that it needs no other host.

    Addresses are relative, so that it also works behind a proxy that adds a path.
    """

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url="docs/assets/swagger-ui-bundle.js",
            swagger_css_url="docs/assets/swagger-ui.css",
            swagger_favicon_url="docs/assets/favicon-32x32.png",
            swagger_ui_parameters={"validatorUrl": None},  # by default it asks a public validator
        )

    app.mount("/docs/assets", StaticFiles(packages=[("fastapi_swagger", "resources")]))
