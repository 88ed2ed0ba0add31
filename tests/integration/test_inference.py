"""The networks: one recording has one result, and nothing is loaded that is not what was exported."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

import export_onnx
import threshold_search
from config import BINARY_TASKS, DEFAULT_OUT, LEADS, PROJECT, SUPERCLASSES, TASK_CLASSES
from ecg.preprocessing import model_input
from ecg.readers import read_recording, read_uploaded
from ecg.recording import RecordingError
from ecg.stretches import predict_probabilities
from export_onnx import export_all, write_manifest
from files import sha256
from inference import InferenceError
from inference.backends import BACKENDS, load_network
from inference.decisions import task_probabilities
from inference.diagnoser import Diagnoser
from tests.support.ecgs import demo_recordings, generated
from tests.support.manifests import edit_json, list_again


@pytest.fixture(scope="module")
def diagnoser(served):
    return Diagnoser.load(served)


@pytest.fixture(scope="module")
def shipped():
    return Diagnoser.load(DEFAULT_OUT)


def in_order(diagnosis):
    return [*diagnosis.probabilities.values(), diagnosis.mi_vs_norm.probability, diagnosis.norm_vs_abnormal.probability]


# --------------------------------------------------------------------------- results


def test_onnx_and_pytorch_agree(served, diagnoser, demo_data):
    pytorch = Diagnoser.load(served, backend="pytorch")
    for recording in demo_recordings(demo_data, 5):
        np.testing.assert_allclose(
            in_order(pytorch.diagnose(recording)), in_order(diagnoser.diagnose(recording)), atol=1e-4
        )


def test_diagnosing_on_onnx_imports_neither_pytorch_nor_scikit_learn():
    code = (
        "import sys, inference.decisions, predict; from inference.diagnoser import Diagnoser;"
        f"Diagnoser.load({str(DEFAULT_OUT)!r}); assert not {{'torch', 'sklearn', 'captum'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


def test_pytorch_keeps_to_its_threads_and_leaves_those_of_others_alone(served):
    network = load_network(served / "multilabel_best.pth", "pytorch", threads=3)
    in_use, before = [], torch.get_num_threads()
    hook = torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: in_use.append(torch.get_num_threads()))
    try:
        network.probabilities_of(np.zeros((1, 12, 1000), np.float32))
    finally:
        hook.remove()
    assert set(in_use) == {3} != {before}
    assert torch.get_num_threads() == before


def test_order_of_leads_and_units_change_nothing(diagnoser, demo_data):
    recording = demo_recordings(demo_data, 1)[0]
    expected = in_order(diagnoser.diagnose(recording))
    table = pd.DataFrame(recording.signal.T.astype(float), columns=LEADS)
    shuffled = table[["V3", "aVF", "II", "V6", "I", "aVR", "V1", "III", "aVL", "V2", "V5", "V4"]]
    for changed, units in ((shuffled, "mV"), (shuffled * 1000, "uV"), (table / 1000, "V")):
        content = {"ecg.csv": changed.to_csv(index=False).encode()}
        same = read_uploaded(content, sampling_rate=recording.sampling_rate, units=units)
        np.testing.assert_allclose(in_order(diagnoser.diagnose(same)), expected, atol=1e-5)


def test_a_diagnosis_is_whole_and_consistent(diagnoser, demo_data):
    for recording in demo_recordings(demo_data, 5):
        diagnosis = diagnoser.diagnose(recording)
        assert tuple(diagnosis.probabilities) == tuple(diagnosis.thresholds) == SUPERCLASSES
        over = [name for name, p in diagnosis.probabilities.items() if p >= diagnosis.thresholds[name]]
        assert list(diagnosis.predicted_classes) == ([name for name in over if name != "NORM"] or over)
        for binary in (diagnosis.mi_vs_norm, diagnosis.norm_vs_abnormal):
            positive = binary.probability >= binary.threshold
            assert binary.positive == (None if binary.withheld_because else positive)
        assert diagnosis.rhythm.certain or any("rhythm" in sentence.lower() for sentence in diagnosis.not_assessed)
        assert diagnosis.uncertain == bool(diagnosis.uncertain_because)
        assert diagnosis.milliseconds > 0 and diagnosis.quality is not None
        assert all(len(digest) == 64 for digest in diagnosis.model.values())


def test_a_missing_lead_or_too_short_a_recording_is_refused_and_a_short_one_flagged(diagnoser, demo_data):
    whole = demo_recordings(demo_data, 1)[0]
    with pytest.raises(RecordingError, match="lead V2 is missing"):
        diagnoser.diagnose(replace(whole, present=np.arange(12) != LEADS.index("V2")))
    with pytest.raises(RecordingError, match=r"4\.0 s"):
        diagnoser.diagnose(replace(whole, signal=whole.signal[:, :2000]))
    flagged = diagnoser.diagnose(replace(whole, signal=whole.signal[:, :3000]))
    assert any("lasts 6.0 s" in warning for warning in flagged.warnings)


def in_other_units(recording):
    return replace(recording, signal=recording.signal * 1000)


def flat(recording):
    return replace(recording, signal=np.zeros_like(recording.signal))


@pytest.mark.parametrize("change", [flat, in_other_units])
def test_no_class_is_asserted_for_an_unusable_recording(shipped, change):
    good = read_recording(DEFAULT_OUT / "examples" / "anterior_infarction.hea")
    diagnosis = shipped.diagnose(change(good))
    assert not diagnosis.quality.usable and diagnosis.predicted_classes == ()
    assert len(diagnosis.uncertain_because) == 1 and "quality" in diagnosis.uncertain_because[0]
    for binary in (diagnosis.mi_vs_norm, diagnosis.norm_vs_abnormal):
        assert binary.positive is None and "quality" in binary.withheld_because and 0 <= binary.probability <= 1
    assert tuple(diagnosis.probabilities) == SUPERCLASSES
    unchecked = shipped.diagnose(change(good), quality=False)
    assert unchecked.predicted_classes and "quality was not assessed" in unchecked.not_assessed[-1]


def test_mi_against_norm_is_withheld_beside_a_bundle_branch_block(shipped):
    diagnosis = shipped.diagnose(read_recording(DEFAULT_OUT / "examples" / "left_bundle_branch_block.hea"))
    assert "CD" in diagnosis.predicted_classes
    assert diagnosis.mi_vs_norm.positive is None and "CD" in diagnosis.mi_vs_norm.withheld_because
    assert shipped.diagnose(read_recording(DEFAULT_OUT / "examples" / "normal.hea")).mi_vs_norm.positive is False


def test_fibrillation_never_stands_as_a_certain_normal_ecg(shipped):
    diagnoses = [shipped.diagnose(generated(seed, rhythm="AFIB", heart_rate=75)[0]) for seed in range(12)]
    assert all(diagnosis.uncertain or "NORM" not in diagnosis.predicted_classes for diagnosis in diagnoses)


# --------------------------------------------------------------------------- files


DAMAGED = [
    ("multilabel_best.onnx", lambda data: data[: len(data) // 2]),
    ("multilabel_best.onnx", lambda data: b""),
    ("multilabel_best.onnx", None),
    ("mi_best.onnx", lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]),
    ("multilabel_thresholds.json", lambda data: data.replace(b"0.", b"0.0", 1)),
    ("norm_vs_abnormal_thresholds.json", lambda data: data.replace(b"0.", b"0.0", 1)),
    ("mi_vs_norm_thresholds.json", None),
    ("manifest.json", lambda data: b"{"),
    ("manifest.json", None),
]


@pytest.mark.parametrize(
    ("backend", "name", "damage"),
    [("onnx", *case) for case in DAMAGED] + [("pytorch", *case) for case in DAMAGED if case[0].endswith(".json")],
)
def test_a_damaged_or_missing_file_is_named_and_nothing_is_used(own_served, backend, name, damage):
    path = own_served / name
    content = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage(content))
    with pytest.raises(InferenceError, match=name):
        Diagnoser.load(own_served, backend)


@pytest.mark.parametrize(
    ("name", "named"), [("multilabel_best.pth", "multilabel_best.pth"), ("mi_best.pth", "mi_vs_norm_thresholds")]
)
def test_a_missing_checkpoint_is_named_or_the_thresholds_that_need_it(own_served, name, named):
    (own_served / name).unlink()
    with pytest.raises(InferenceError, match=named):
        Diagnoser.load(own_served, "pytorch")


def test_exchanged_exports_are_noticed(own_served):
    shutil.copy(own_served / "mi_best.onnx", own_served / "abnormal_best.onnx")
    with pytest.raises(InferenceError, match="exchanged"):
        Diagnoser.load(own_served)
    list_again(own_served, "abnormal_best.onnx")
    with pytest.raises(InferenceError, match="trained for task"):
        Diagnoser.load(own_served)


@pytest.mark.parametrize("name", ["multilabel_best.pth", "mi_best.pth"])
def test_an_exchanged_checkpoint_is_noticed(own_served, name):
    path = own_served / name
    content = torch.load(path, weights_only=True)
    torch.save({**content, "epoch": content["epoch"] + 1}, path)
    with pytest.raises(InferenceError, match="tuned for another checkpoint"):
        Diagnoser.load(own_served, "pytorch")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(files={}), "does not list multilabel_thresholds.json"),
        (lambda manifest: manifest.update(self_test=None), "no self-test"),
        (lambda manifest: manifest.update(self_test={}), "no self-test"),
        (lambda manifest: manifest.update(self_test="x"), "damaged"),
        (lambda manifest: manifest["self_test"].update(MI=2.0), "self-test failed: MI"),
    ],
)
def test_an_incomplete_manifest_or_other_probabilities_stop_the_start(own_served, backend, change, message):
    edit_json(own_served / "manifest.json", change)
    with pytest.raises(InferenceError, match=message):
        Diagnoser.load(own_served, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_thresholds_of_another_network_are_refused(own_served, backend):
    path = own_served / "multilabel_thresholds.json"
    edit_json(path, lambda content: content.update(checkpoint_sha256="0" * 64))
    list_again(own_served, path.name)
    with pytest.raises(InferenceError, match="another checkpoint"):
        Diagnoser.load(own_served, backend)


# --------------------------------------------------------------------------- export


def test_a_binary_task_without_its_network_is_left_to_the_multilabel_one(own_served, demo_data):
    for name in ("mi_best.pth", "mi_best.onnx", "abnormal_best.pth", "abnormal_best.onnx"):
        (own_served / name).unlink()
    thresholds, other = own_served / "mi_vs_norm_thresholds.json", own_served / "norm_vs_abnormal_thresholds.json"
    multilabel = {"score": "multilabel", "checkpoint_sha256": sha256(own_served / "multilabel_best.pth")}
    edit_json(thresholds, lambda content: content.update(multilabel))
    kept = other.read_text()
    other.unlink()
    with pytest.raises(InferenceError, match=r"threshold_search\.py"):
        export_all(own_served)
    other.write_text(kept)
    edit_json(other, lambda content: content.update(multilabel))
    write_manifest(own_served, ["multilabel_best.onnx", *(f"{task}_thresholds.json" for task in TASK_CLASSES)])
    diagnoser = Diagnoser.load(own_served)
    assert list(diagnoser.networks) == ["multilabel"]
    found = diagnoser.probabilities(demo_recordings(demo_data, 1)[0])
    network = diagnoser.networks["multilabel"]
    signal = model_input(demo_recordings(demo_data, 1)[0], 1.0)[None]
    outputs = predict_probabilities(network.probabilities_of, signal)
    for task in BINARY_TASKS:
        np.testing.assert_allclose(found[task], task_probabilities(network.outputs, outputs, task)[0], atol=1e-6)


def test_the_shipped_onnx_files_belong_to_the_shipped_checkpoints(shipped):
    for task, name in (("multilabel", "multilabel_best.pth"), ("mi_vs_norm", "mi_best.pth")):
        if task in shipped.networks:
            assert shipped.networks[task].checkpoint_sha256 == sha256(DEFAULT_OUT / name)
            assert not shipped.networks[task].synthetic


def test_exported_averages_keep_a_last_sample_without_partner(served):
    model = onnx.load(served / "multilabel_best.onnx")
    pools = [node for node in model.graph.node if node.op_type == "AveragePool"]
    attributes = [{a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} for node in pools]
    halves = [given for given in attributes if given["kernel_shape"] == [1, 2]]
    assert halves
    for given in halves:
        assert (given["ceil_mode"], given["pads"], given["count_include_pad"]) == (0, [0, 0, 0, 1], 0)


def test_a_multilabel_network_alone_can_be_exported_and_used(trained, demo_data, tmp_path, capsys):
    for name in ("multilabel_best.pth", "multilabel_thresholds.json"):
        shutil.copy(trained[0] / name, tmp_path / name)
    for task in BINARY_TASKS:
        assert threshold_search.main(["--data", str(demo_data), "--out", str(tmp_path), "--task", task]) == 0
    assert "only the multi-label network" in capsys.readouterr().out
    assert export_onnx.main(["--out", str(tmp_path)]) == 0
    diagnoser = Diagnoser.load(tmp_path)
    assert {decisions.score for decisions in diagnoser.decisions.values()} == {"multilabel"}
    answer = diagnoser.diagnose(demo_recordings(demo_data, 1)[0]).mi_vs_norm
    assert answer.threshold == diagnoser.decisions["mi_vs_norm"].thresholds[0] and 0 <= answer.probability <= 1


def test_exported_networks_read_recordings_together_to_the_same_last_bit(served):
    diagnoser = Diagnoser.load(served)
    recordings = [generated(seed, 100, heart_rate=50 + 7 * seed)[0] for seed in range(11)]
    recordings += [replace(one, signal=one.signal[:, :777]) for one in recordings[:3]]
    assert all(network.batch_size > 1 for network in diagnoser.networks.values())
    for recording, together in zip(recordings, diagnoser.diagnose_many(recordings), strict=True):
        alone = diagnoser.diagnose(recording)
        assert in_order(alone) == in_order(together)
        assert [one.probability for one in alone.statements] == [one.probability for one in together.statements]
