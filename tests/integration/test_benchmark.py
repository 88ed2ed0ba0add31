"""tools.benchmark from end to end, quickly, and the tables made of what it writes."""

import json
import shutil

import pytest

from config import DEFAULT_OUT
from tools import benchmark_archive
from tools.benchmark import __main__ as benchmark
from tools.benchmark import networks
from tools.documents import tables


def test_one_run_measures_everything_and_the_tables_show_it(demo_data, tmp_path, monkeypatch, capsys):
    assert benchmark.main(["--quick", "--data", str(demo_data), "--out", str(tmp_path)]) == 0
    assert "SYNTHETIC" in capsys.readouterr().out
    content = json.loads((tmp_path / "benchmark_inference.json").read_text())
    rows = {row["name"]: row for row in content["networks"]["rows"]}
    assert {"ours", "ours_and_mi", "tiny", "resnet1d"} <= set(rows)
    assert rows["ours"]["aim"] == 10 and rows["tiny"]["aim"] == 16
    assert rows["tiny"]["parameters"] < rows["ours"]["parameters"] < rows["ours_and_mi"]["parameters"]
    for name in ("parameters", "multiply_accumulates", "onnx_bytes"):
        assert rows["tiny"][name] < rows["ours"][name] < rows["resnet1d"][name]
    for row in rows.values():
        assert 0 < content["memory"][row["name"]]["networks_mb"] < content["memory"][row["name"]]["peak_mb"]
        for backend in ("onnx", "pytorch"):
            one = row[backend]
            assert 0 < one["p50_ms"] <= one["p95_ms"] and one["batch"]["per_s"] > 0 and one["share_of_peak"] > 0
    assert rows["resnet1d"]["onnx"]["times_faster"] == 1
    assert sum(row["share"] for row in content["operators"]["operators"]) == pytest.approx(1)
    parts = {row["part"]: row["share"] for row in content["operators"]["parts"]}
    assert sum(parts.values()) == pytest.approx(1) and "trunk" in parts
    assert content["quick"] and content["data_path"]["synthetic"] and set(content["server_ms"]) >= {"json", "wfdb"}
    assert set(content["load_average"]) == {"networks", "memory", "operators", "training", "data_path", "server_ms"}
    assert {row["model"] for row in json.loads((tmp_path / "benchmark.json").read_text())["networks"]} == {
        "hmt_ecgnet",
        "resnet1d",
    }
    monkeypatch.setattr(tables, "read_artifact", lambda name: json.loads((tmp_path / name).read_text()))
    written = tables.document_tables()
    assert "1/1.0" in written["inference_networks"]() and "A quick run" in written["inference_networks"]()
    assert "Conv" in written["inference_operators"]()
    assert "SYNTHETIC" in written["data_path"]() and "WFDB upload" in written["server_in_the_run"]()


def test_the_reference_is_exported_once(tmp_path, monkeypatch):
    exported = []
    monkeypatch.setattr(networks, "export_network", lambda path, *rest: exported.append(path) or path.touch())
    shutil.copy(DEFAULT_OUT / networks.REFERENCE_CHECKPOINT, tmp_path)
    first = networks.exported_reference(tmp_path / networks.REFERENCE_CHECKPOINT, tmp_path / "made")
    again = networks.exported_reference(tmp_path / networks.REFERENCE_CHECKPOINT, tmp_path / "made")
    assert first == again and exported == [first]


def test_without_the_reference_it_says_so(demo_data, tmp_path, capsys):
    shutil.copytree(DEFAULT_OUT / "examples", tmp_path / "artifacts" / "examples")
    arguments = [
        "--quick",
        "--data",
        str(demo_data),
        "--artifacts",
        str(tmp_path / "artifacts"),
        "--out",
        str(tmp_path),
    ]
    assert benchmark.main(arguments) == 1
    assert "resnet_baseline.pth" in capsys.readouterr().err
    assert not (tmp_path / "benchmark_inference.json").exists()


def test_archives_are_measured_with_both_networks(demo_data, tmp_path, monkeypatch, capsys):
    arguments = ["--ecgs", "24", "--rounds", "1", "--partition-size", "8", "--data", str(demo_data)]
    assert benchmark_archive.main([*arguments, "--out", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "benchmark_archive.json").read_text())
    measured = {(row["job"], row["workers"]) for row in content["rates"]}
    assert measured == {(job, workers) for job in content["aims"] for workers in (1, 2)} and len(measured) == 8
    assert all(row["ecgs_per_s"] > 0 and row["result_bytes"] > 0 for row in content["rates"])
    assert content["networks"] == 2 and content["parts_ms"]["networks"] > 0
    monkeypatch.setattr(tables, "read_artifact", lambda name: content)
    written = tables.document_tables()
    assert "tiny, without quality" in written["archive_rates"]() and "networks" in written["archive_parts"]()
    assert "100,000,000" in written["archive_on_paper"]()
