"""Write what the server itself determines: its responses to examples and tables of fields in docs/api.md, and the
example of a prediction in the OpenAPI document (serving/example_prediction.json).

    python -m tools.make_api_guide             # rewrite what differs
    python -m tools.make_api_guide --check     # write nothing; exit 1 if anything differs

The guide marks an example with <!-- example:NAME --> and a table with <!-- fields:SCHEMA -->, each up to <!-- end -->.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path

import requests

from config import DEFAULT_OUT, PROJECT
from evaluation.tables import markdown_table
from files import write_text
from serving.openapi import EXAMPLE_PREDICTION, EXAMPLE_QUERY, example_recording
from tools.server_process import ready_server

GUIDE = PROJECT / "docs" / "api.md"
MARKED = re.compile(r"(<!-- (example|fields):(\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
JSON_BODY = {"Content-Type": "application/json"}
OF_UNUSABLE = ("headline", "predicted_classes", "mi_vs_norm", "uncertain_because", "quality", "warnings")
OF_FILE = ("headline", "probabilities", "predicted_classes", "request_id", "files")
OF_STATEMENT = "AFIB"  # shown of all that are listed by default
TOLERANCE = 1e-3  # of numbers, between machines


def responses(url: str, artifacts: Path) -> dict[str, object]:
    """The examples: name to the JSON of a response."""

    def sent(path: str, **content) -> dict:
        return requests.post(url + path, timeout=60, **content).json()

    examples = artifacts / "examples"
    ecg = (examples / "anterior_infarction.json").read_bytes()
    record = [("files", (name, (examples / name).read_bytes())) for name in ("normal.hea", "normal.dat")]
    note = ("files", ("notes.txt", b"Monday: no ECG today\n"))
    several = sent("/predict/files", files=[*record, note])["results"]
    unusable = sent("/predict", data=ecg.replace(b'"mV"', b'"V"'), headers=JSON_BODY)
    prediction = sent("/predict", data=ecg, headers=JSON_BODY)
    statements = [one for one in prediction["statements"] if one["code"] == OF_STATEMENT]
    return {
        "prediction": sent("/predict?intervals=true&statements=asserted", data=ecg, headers=JSON_BODY),
        "statement": statements[0] if statements else {},
        "unusable": {name: unusable[name] for name in OF_UNUSABLE},
        "files": {"results": [{name: several[0][name] for name in OF_FILE}, several[1]]},
        "problem": sent("/predict?interval=true", data=ecg, headers=JSON_BODY),
    }


def field_table(document: dict, name: str) -> str:
    """The fields of one schema of the OpenAPI document."""
    fields = document["components"]["schemas"][name]["properties"]
    rows = [[f"`{field}`", type_of(schema), schema.get("description", "")] for field, schema in fields.items()]
    return markdown_table(["field", "type", ""], rows)


def type_of(schema: dict) -> str:
    if "anyOf" in schema:
        return " or ".join(type_of(choice) for choice in schema["anyOf"])
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[-1]
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"text to {type_of(schema['additionalProperties'])}"
    names = {"string": "text", "boolean": "true or false", "integer": "whole number"}
    return names.get(schema.get("type"), schema.get("type", "any"))


def expected_guide(text: str, examples: dict, document: dict) -> str:
    """The guide with every marked part as it must be; an example that differs by rounding alone is left as it is."""

    def part(match: re.Match) -> str:
        before, kind, name, inside, after = match.groups()
        if kind == "fields":
            return f"{before}{field_table(document, name)}\n{after}"
        found = inside.strip().removeprefix("```json").removesuffix("```")
        if found and agree(json.loads(found), examples[name]):
            return match[0]
        return f"{before}```json\n{json.dumps(examples[name], indent=1, ensure_ascii=False)}\n```\n{after}"

    return MARKED.sub(part, text)


def agree(written: object, sent: object) -> bool:
    """Whether two responses are the same but for rounding and the request id."""
    if isinstance(written, dict) and isinstance(sent, dict):
        return written.keys() == sent.keys() and all(
            name == "request_id" or agree(value, sent[name]) for name, value in written.items()
        )
    if isinstance(written, list) and isinstance(sent, list):
        return len(written) == len(sent) and all(map(agree, written, sent))
    if isinstance(written, float) and isinstance(sent, float):
        return math.isclose(written, sent, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return written == sent


def expected_prediction(text: str, url: str) -> str:
    """The prediction for the OpenAPI document's example of a request, as `expected_guide`."""
    sent = requests.post(f"{url}/predict?{EXAMPLE_QUERY}", json=example_recording(), timeout=60).json()
    return text if agree(json.loads(text), sent) else json.dumps(sent, indent=1, ensure_ascii=False) + "\n"


def up_to_date(artifacts: Path = DEFAULT_OUT) -> dict[Path, tuple[str, str]]:
    """What is in each file and what must be, with the networks of a directory."""
    guide, prediction = GUIDE.read_text(encoding="utf-8"), EXAMPLE_PREDICTION.read_text(encoding="utf-8")
    with ready_server(artifacts) as server:
        document = requests.get(f"{server.url}/openapi.json", timeout=60).json()
        return {
            GUIDE: (guide, expected_guide(guide, responses(server.url, artifacts), document)),
            EXAMPLE_PREDICTION: (prediction, expected_prediction(prediction, server.url)),
        }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    check = parser.parse_args(argv).check
    different = {path: expected for path, (found, expected) in up_to_date().items() if found != expected}
    if not check:
        for path, expected in different.items():
            write_text(path, expected)
    for path in different:
        print(f"{path.relative_to(PROJECT)} {'differs' if check else 'rewritten'}")
    if not different:
        print("docs/api.md is up to date")
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main())
