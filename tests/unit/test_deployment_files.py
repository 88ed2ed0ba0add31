"""Dockerfiles, compose.yaml, the systemd unit and the monitoring: correct and in step with the documents."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient

from api import create_app
from config import PROJECT
from serving.settings import Settings
from tests.support import images

DOCKERFILES = [PROJECT / "Dockerfile", PROJECT / "Dockerfile.page"]
COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
GUIDE = (PROJECT / "docs" / "deploy.md").read_text()
MALLOC = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_")
each_dockerfile = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)


def unit_lines() -> list[str]:
    return (PROJECT / "deploy" / "hmt-ecgnet.service").read_text().splitlines()


def unit_value(name: str) -> str:
    (line,) = [line for line in unit_lines() if line.startswith(f"{name}=")]
    return line.partition("=")[2]


@each_dockerfile
def test_hadolint_finds_nothing(dockerfile):
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    done = subprocess.run([hadolint, "--no-color", str(dockerfile)], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN pip install numpy\n")
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert subprocess.run([hadolint, str(tmp_path / "Dockerfile")], capture_output=True).returncode == 1


@each_dockerfile
def test_every_source_of_a_copy_exists_and_is_not_ignored(dockerfile):
    sources = [source for row, _ in images.copies(dockerfile) for source in row]
    assert sources
    for source in sources:
        assert images.sources_of(source), f"{source} has no file in the build's context"


@each_dockerfile
def test_the_image_is_built_in_stages_and_runs_as_an_ordinary_user(dockerfile):
    rows = images.instructions(dockerfile)
    stages = [arguments for name, arguments in rows if name == "FROM"]
    assert len(stages) == 2 and all(re.match(r"python:3\.11-", stage) for stage in stages)
    assert int(images.arguments_of(dockerfile, "USER").split(":")[0]) > 0
    assert images.environment(dockerfile)["PYTHONDONTWRITEBYTECODE"] == "1"
    names = [name for name, _ in rows]
    assert names.index("USER") < names.index("CMD") and "HEALTHCHECK" in names


def test_the_server_gets_the_requirements_of_inference_alone():
    assert (["requirements-inference.txt"], "/") in images.copies(PROJECT / "Dockerfile")
    installs = [arguments for name, arguments in images.instructions(PROJECT / "Dockerfile") if "pip" in arguments]
    assert [re.findall(r"-r (\S+)", line) for line in installs] == [["/requirements-inference.txt"]]


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        "data/ptbxl/ptbxl_database.csv",
        "data/ptbxl/records100/00000/00001_lr.dat",
        "demo/data/ptbxl_database.csv",
        ".env",
        ".venv/bin/python",
        ".streamlit/secrets.toml",
        "artifacts/runs/one/log.json",
        "artifacts/analysis/private/ecg.png",
        "ecg/__pycache__/leads.cpython-311.pyc",
        "tests/data/ecg/README.md",
    ],
)
def test_recordings_history_and_secrets_stay_out_of_the_image(path):
    assert images.is_ignored(path)


def test_what_the_server_needs_is_not_ignored():
    for path in ("api.py", "ecg/readers/edf.py", "artifacts/manifest.json", "artifacts/examples/normal.dat"):
        assert not images.is_ignored(path)


def test_compose_builds_the_dockerfiles_that_are_there():
    built = {service["build"]["dockerfile"] for service in COMPOSE["services"].values()}
    assert built == {path.name for path in DOCKERFILES}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_service_is_locked_down(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"] and service["pids_limit"]
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"]), "only the proxy is open to others"
    port = service["ports"][0].rpartition(":")[2]
    assert images.arguments_of(PROJECT / service["build"]["dockerfile"], "EXPOSE") == port


def test_compose_and_unit_set_what_the_server_knows(monkeypatch):
    environment = COMPOSE["services"]["server"]["environment"]
    known = {f"HMT_{name.upper()}" for name in Settings.model_fields}
    assert set(environment) <= known
    assert environment["HMT_API_KEY"].startswith("${HMT_API_KEY:?"), "no server without a key by oversight"
    pairs = [
        pair for line in unit_lines() if line.startswith("Environment=") for pair in line.partition("=")[2].split()
    ]
    of_unit = dict(pair.split("=", 1) for pair in pairs)
    assert {name for name in of_unit if name.startswith("HMT_")} <= known
    for name in MALLOC:
        assert of_unit[name] == images.environment(PROJECT / "Dockerfile")[name]
        assert f"{name}={of_unit[name]}" in GUIDE
    for name, value in {**environment, **of_unit}.items():
        if name in known:
            monkeypatch.setenv(name, value)
    assert Settings().workers == 2


def test_there_is_time_for_requests_in_flight():
    limit_s = Settings().time_limit_s
    assert float(unit_value("TimeoutStopSec")) > limit_s
    assert float(COMPOSE["services"]["server"]["stop_grace_period"].removesuffix("s")) > limit_s
    assert images.arguments_of(PROJECT / "Dockerfile", "STOPSIGNAL") == "SIGTERM"


def test_the_unit_starts_what_the_guide_installs():
    command = unit_value("ExecStart")
    python, script = command.split()[:2]
    folder = Path(unit_value("WorkingDirectory"))
    assert Path(python).parent.parent.parent == folder and (PROJECT / script).is_file()
    assert f"`{command}`" in GUIDE
    assert f"{Path(python).parent / 'pip'} install -r {folder}/requirements-inference.txt" in GUIDE
    for name in ("DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet="):
        assert name in unit_lines()


def test_alerts_ask_for_metrics_that_the_server_has(tmp_path):
    groups = yaml.safe_load((PROJECT / "deploy" / "alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == 2
    with TestClient(create_app(Settings(artifacts=tmp_path))) as client:
        client.get("/ready")
        client.post("/predict", json={})
        shown = client.get("/metrics").text
    (job,) = yaml.safe_load((PROJECT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    for rule in rules:
        expression = rule["expr"]
        assert set(re.findall(r'job="([^"]*)"', expression)) == {job["job_name"]}
        assert rule["annotations"]["summary"] and rule["labels"]["severity"] and f"`{rule['alert']}`" in GUIDE
        metrics = set(re.findall(r"\b(\w+)\{job=", expression)) - {"up"}
        assert metrics and all(f"\n{metric}{{" in shown for metric in metrics)
        for handlers in re.findall(r'handler=~"([^"]*)"', expression):
            assert re.search(f'handler="(?:{handlers})"', shown)
    assert 'status="5xx"' in shown, "503 of a server that is not ready counts"


def test_the_proxy_lets_the_largest_batch_through_and_hides_the_metrics():
    text = (PROJECT / "deploy" / "nginx.conf").read_text()
    megabytes = int(re.search(r"client_max_body_size (\d+)m", text)[1])
    assert megabytes * 2**20 >= Settings().max_batch_bytes
    assert re.search(r"location = /metrics \{\s*return 404;", text)
    ports = {service["ports"][0].split(":")[1] for service in COMPOSE["services"].values()}
    assert set(re.findall(r"proxy_pass http://127\.0\.0\.1:(\d+);", text)) == ports
    assert text.count("{") == text.count("}")
