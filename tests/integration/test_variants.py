"""Smaller variants of exported networks: what is stored, that they decide alike, and which are kept."""

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest

from config import BASELINE_NAMES, DEFAULT_OUT
from files import sha256
from inference.export import compact
from tests.support.ecgs import demo_recordings
from tools import measure_variants
from tools.documents import tables
from tools.measure_variants import with_float16_weights


@pytest.fixture(scope="module")
def measured(served, demo_data, tmp_path_factory):
    """A directory with the variants of a network trained on the generated data."""
    out = tmp_path_factory.mktemp("variants")
    shutil.copy(served / "multilabel_best.onnx", out)
    shutil.copy(DEFAULT_OUT / BASELINE_NAMES["resnet1d"], out)
    arguments = ["--data", str(demo_data), "--out", str(out), "--records", "32", "--rounds", "3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure_variants, "MOST_LOST", 0.2)  # the validation set has a dozen recordings
        assert measure_variants.main(arguments) == 0
    return out


def outputs_of(path, signals):
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"signals": signals}), strict=True))


def test_variants_are_smaller_and_answer_nearly_the_same(measured, demo_data, monkeypatch):
    content = json.loads((measured / "variants.json").read_text())
    rows = {row["variant"]: row for row in content["variants"] if row["network"] == "multilabel_best"}
    assert set(rows) == {"float32", "fp16", "int8"} and content["synthetic"]
    monkeypatch.setattr(tables, "read_artifact", lambda name: content)
    assert "multilabel_best_int8.onnx" in tables.document_tables()["variants"]()
    assert rows["fp16"]["bytes"] < 0.6 * rows["float32"]["bytes"]
    assert rows["int8"]["bytes"] < 0.4 * rows["float32"]["bytes"]
    signals = np.stack([one.signal[:, ::5] for one in demo_recordings(demo_data, 6)]).astype(np.float32)
    expected = outputs_of(measured / "multilabel_best.onnx", signals)
    for variant, tolerance in (("fp16", 0.01), ("int8", 0.2)):
        path = measured / f"multilabel_best_{variant}.onnx"
        assert rows[variant]["kept"] and rows[variant]["sha256"] == sha256(path)
        given = outputs_of(path, signals)
        assert list(given) == list(expected)
        np.testing.assert_allclose(given["probabilities"], expected["probabilities"], atol=tolerance)
        facts = json.loads(onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map["hmt_ecgnet"])
        assert facts["variant"] == variant and facts["leads"]


def test_only_the_trunk_is_quantised(measured):
    graph = onnx.load(measured / "multilabel_best_int8.onnx").graph
    stored = {one.data_type for one in graph.initializer if len(one.dims) == 4}
    assert onnx.TensorProto.INT8 in stored
    doubles = [one for one in graph.initializer if one.data_type == onnx.TensorProto.DOUBLE]
    assert any(one.dims[-1] > 90 for one in doubles)  # calibration and thresholds


def test_a_variant_that_loses_too_much_is_dropped(measured, demo_data, tmp_path, monkeypatch):
    shutil.copy(measured / "multilabel_best.onnx", tmp_path)
    shutil.copy(DEFAULT_OUT / BASELINE_NAMES["resnet1d"], tmp_path)
    (tmp_path / "multilabel_best_int8.onnx").write_bytes(b"of an earlier run")
    found = iter([{"super": 0.9, "all": 0.9}, {"super": 0.8985, "all": 0.899}, {"super": 0.9, "all": 0.8979}])
    monkeypatch.setattr(measure_variants, "macro_aurocs", lambda path, val: next(found))
    arguments = ["--data", str(demo_data), "--out", str(tmp_path), "--records", "8", "--rounds", "1"]
    assert measure_variants.main(arguments) == 0
    rows = json.loads((tmp_path / "variants.json").read_text())["variants"]
    assert [(row["variant"], row["kept"]) for row in rows[:3]] == [("float32", True), ("fp16", True), ("int8", False)]
    assert rows[2]["latency_ms"] is None
    assert rows[3]["network"] == "resnet1d" and rows[3]["latency_ms"]["p50"] > rows[0]["latency_ms"]["p50"] > 0
    assert (tmp_path / "multilabel_best_fp16.onnx").is_file()
    assert not (tmp_path / "multilabel_best_int8.onnx").exists()


def test_compact_names_change_nothing(measured, demo_data):
    model = onnx.load(measured / "multilabel_best.onnx")
    signals = np.stack([one.signal[:, ::5] for one in demo_recordings(demo_data, 2)]).astype(np.float32)
    expected = outputs_of(measured / "multilabel_best.onnx", signals)
    given = outputs_of(compact(with_float16_weights(model)).SerializeToString(), signals)
    for name, values in outputs_of(compact(model).SerializeToString(), signals).items():
        np.testing.assert_array_equal(values, expected[name])
    np.testing.assert_allclose(given["probabilities"], expected["probabilities"], atol=0.01)
