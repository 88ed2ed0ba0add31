"""The one door to the networks: same answers whatever the file, nothing served that is not what was exported."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import onnx
import pandas as pd
import pytest
import wfdb
from fastapi.testclient import TestClient

import predict
from api import create_app
from config import LEADS, PROJECT, SUPERCLASSES
from dataset import PTBXLDataset
from ecg.readers import read_recording as read_file
from ecg.readers import read_uploaded
from ecg.recording import Recording, RecordingError
from export_onnx import export_all
from files import sha256
from inference.backends import InferenceError
from inference.diagnoser import Diagnoser
from ptbxl.index import read_index
from ptbxl.records import read_recording
from serving.settings import Settings

SHIPPED = PROJECT / "artifacts"


@pytest.fixture(scope="module")
def diagnoser(served):
    return Diagnoser.load(served)


@pytest.fixture(scope="module")
def shipped():
    return Diagnoser.load(SHIPPED)


@pytest.fixture
def own_served(served, tmp_path):
    """A copy of the artifacts that the test may damage."""
    return shutil.copytree(served, tmp_path / "served")


def some(directory, count=5):
    index = read_index(directory)
    return [read_recording(index, ecg_id, 500) for ecg_id in index.table.index[:count]]


def in_order(diagnosis):
    return [*diagnosis.probabilities.values(), diagnosis.mi_vs_norm.probability, diagnosis.norm_vs_abnormal.probability]


# --------------------------------------------------------------------------- parity


def test_onnx_and_pytorch_agree(served, diagnoser, demo_data):
    pytorch = Diagnoser.load(served, backend="pytorch")
    for recording in some(demo_data):
        np.testing.assert_allclose(
            in_order(pytorch.diagnose(recording)), in_order(diagnoser.diagnose(recording)), atol=1e-4
        )


def test_inference_needs_no_pytorch_on_onnx():
    code = "import sys, inference, predict; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


def as_csv(recording):
    table = pd.DataFrame(recording.signal.T.astype(float), columns=LEADS)
    return {"ecg.csv": table.to_csv(index=False).encode()}, {"sampling_rate": recording.sampling_rate, "units": "mV"}


def as_npy(recording, path):
    np.save(path, recording.signal)
    return {"ecg.npy": path.read_bytes()}, {"sampling_rate": recording.sampling_rate, "units": "mV"}


def as_request(recording):
    leads = {lead: row.tolist() for lead, row in zip(LEADS, recording.signal, strict=True)}
    return {"sampling_rate": recording.sampling_rate, "units": "mV", "leads": leads}


def test_a_recording_gets_one_answer_whatever_way_it_comes(real, shipped, tmp_path):
    """200 real ECGs of fold 9: evaluation, WFDB, CSV, NPY and the server agree to 1e-4."""
    split = PTBXLDataset(real, "val", "multilabel", 1.0)
    with np.load(SHIPPED / "predictions" / "hmt_ecgnet_multilabel_val.npz", allow_pickle=False) as arrays:
        expected = dict(zip(arrays["ecg_id"].tolist(), arrays["probabilities"], strict=True))
    decisions = shipped.decisions["multilabel"]
    with TestClient(create_app(Settings(artifacts=SHIPPED))) as server:
        while server.get("/ready").status_code != 200:
            time.sleep(0.2)
        for number in np.linspace(0, len(split) - 1, 200).astype(int):
            ecg_id = int(split.ecg_ids[number])
            path = real.directory / split.metadata["filename_lr"].iloc[number]
            files = {path.name + end: path.with_name(path.name + end).read_bytes() for end in (".hea", ".dat")}
            recording = read_uploaded(files)
            for content, arguments in (
                (files, {}),
                as_csv(recording),
                as_npy(recording, tmp_path / "ecg.npy"),
            ):
                answer = shipped.probabilities(read_uploaded(content, **arguments))["multilabel"]
                np.testing.assert_allclose(answer, expected[ecg_id], atol=1e-4, err_msg=f"{ecg_id} {list(content)}")
            served = server.post("/predict", json=as_request(recording)).json()
            calibrated = decisions.calibrate(expected[ecg_id][None].astype(float))[0]
            np.testing.assert_allclose(list(served["probabilities"].values()), calibrated, atol=1e-4)


def test_500_and_100_hz_of_the_same_ecg_agree(real, shipped):
    differences = []
    for ecg_id in real.table.index:
        if not (real.directory / (real.table.at[ecg_id, "filename_hr"] + ".hea")).is_file():
            continue
        slow, fast = (shipped.probabilities(read_recording(real, ecg_id, rate))["multilabel"] for rate in (100, 500))
        differences.append(np.abs(slow - fast))
    assert len(differences) >= 100
    assert np.mean(differences) < 0.02


def test_order_of_leads_and_units_change_nothing(diagnoser, demo_data):
    recording = some(demo_data, 1)[0]
    expected = in_order(diagnoser.diagnose(recording))
    table = pd.DataFrame(recording.signal.T.astype(float), columns=LEADS)
    shuffled = table[["V3", "aVF", "II", "V6", "I", "aVR", "V1", "III", "aVL", "V2", "V5", "V4"]]
    for changed, units in ((shuffled, "mV"), (shuffled * 1000, "uV"), (table / 1000, "V")):
        content = {"ecg.csv": changed.to_csv(index=False).encode()}
        same = read_uploaded(content, sampling_rate=recording.sampling_rate, units=units)
        np.testing.assert_allclose(in_order(diagnoser.diagnose(same)), expected, atol=1e-5)


def test_many_get_the_answers_each_would_get_alone_and_problems_in_their_place(diagnoser, demo_data):
    recordings = some(demo_data, 3)
    short = Recording(recordings[0].signal[:, :1000], 500, np.ones(12, bool))
    answers = diagnoser.diagnose_many([recordings[0], short, recordings[1]])
    assert isinstance(answers[1], RecordingError) and "2.0 s" in str(answers[1])
    for answer, recording in ((answers[0], recordings[0]), (answers[2], recordings[1])):
        np.testing.assert_allclose(in_order(answer), in_order(diagnoser.diagnose(recording)), atol=1e-6)


# --------------------------------------------------------------------------- answers


def test_a_diagnosis_is_whole_and_consistent(diagnoser, demo_data):
    for recording in some(demo_data):
        diagnosis = diagnoser.diagnose(recording)
        assert tuple(diagnosis.probabilities) == tuple(diagnosis.thresholds) == SUPERCLASSES
        over = [name for name, p in diagnosis.probabilities.items() if p >= diagnosis.thresholds[name]]
        assert list(diagnosis.predicted_classes) == over
        for answer in (diagnosis.mi_vs_norm, diagnosis.norm_vs_abnormal):
            assert answer.positive == (answer.probability >= answer.threshold)
        assert diagnosis.uncertain == bool(diagnosis.uncertain_because)
        assert diagnosis.milliseconds > 0 and diagnosis.quality is not None
        assert all(len(digest) == 64 for digest in diagnosis.model.values())


def test_a_missing_lead_is_refused_by_name(diagnoser, demo_data):
    recording = some(demo_data, 1)[0]
    present = np.ones(12, bool)
    present[7] = False
    with pytest.raises(RecordingError, match="lead V2 is missing"):
        diagnoser.diagnose(Recording(recording.signal, recording.sampling_rate, present))


def test_a_short_recording_is_flagged_and_a_very_short_one_refused(diagnoser, demo_data):
    recording = some(demo_data, 1)[0]
    flagged = diagnoser.diagnose(Recording(recording.signal[:, :3000], 500, recording.present))
    assert any("lasts 6.0 s" in warning for warning in flagged.warnings)
    with pytest.raises(RecordingError, match=r"4\.0 s"):
        diagnoser.diagnose(Recording(recording.signal[:, :2000], 500, recording.present))


def test_a_flat_recording_is_not_trusted(diagnoser):
    diagnosis = diagnoser.diagnose(Recording(np.zeros((12, 5000), np.float32), 500, np.ones(12, bool)))
    assert not diagnosis.quality.usable
    assert diagnosis.uncertain and any("quality" in reason for reason in diagnosis.uncertain_because)


def test_our_own_examples_are_named_for_what_they_show(shipped):
    """They were generated to be textbook cases; the shipped network should see them as such."""

    for name, superclass in (("normal", "NORM"), ("anterior_infarction", "MI"), ("left_bundle_branch_block", "CD")):
        diagnosis = shipped.diagnose(read_file(SHIPPED / "examples" / f"{name}.hea"))
        assert superclass in diagnosis.predicted_classes, name


# --------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("multilabel_best.onnx", lambda data: data[: len(data) // 2]),
        ("mi_best.onnx", lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]),
        ("multilabel_thresholds.json", lambda data: data.replace(b"0.", b"0.0", 1)),
        ("manifest.json", lambda data: b"{"),
        ("multilabel_best.onnx", lambda data: b""),
    ],
)
def test_a_damaged_file_is_never_served(own_served, name, damage):
    path = own_served / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InferenceError, match=name):
        Diagnoser.load(own_served)


def test_exchanged_files_are_noticed(own_served):
    a, b = own_served / "mi_best.onnx", own_served / "abnormal_best.onnx"
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    with pytest.raises(InferenceError, match="exchanged"):
        Diagnoser.load(own_served)
    manifest = json.loads((own_served / "manifest.json").read_text())
    manifest["files"].update({"mi_best.onnx": sha256(a), "abnormal_best.onnx": sha256(b)})
    (own_served / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InferenceError, match="answers task"):
        Diagnoser.load(own_served)


@pytest.mark.parametrize("name", ["multilabel_best.onnx", "manifest.json", "mi_vs_norm_thresholds.json"])
def test_a_missing_file_is_named(own_served, name):
    (own_served / name).unlink()
    with pytest.raises(InferenceError, match=name):
        Diagnoser.load(own_served)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("files", {}, "does not list multilabel_thresholds.json"),
        ("self_test", None, "no self-test"),
        ("self_test", {}, "no self-test"),
    ],
)
def test_a_manifest_that_vouches_for_nothing_is_refused(own_served, key, value, message):
    path = own_served / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(InferenceError, match=message):
        Diagnoser.load(own_served)


def test_thresholds_of_another_network_are_refused(own_served):
    path = own_served / "multilabel_thresholds.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "checkpoint_sha256": "0" * 64}))
    manifest = json.loads((own_served / "manifest.json").read_text())
    manifest["files"][path.name] = sha256(path)
    (own_served / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InferenceError, match="another checkpoint"):
        Diagnoser.load(own_served)


def test_a_wrong_answer_to_the_known_ecg_stops_the_start(own_served):
    manifest = json.loads((own_served / "manifest.json").read_text())
    manifest["self_test"]["MI"] += 0.1
    (own_served / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InferenceError, match="self-test failed: MI"):
        Diagnoser.load(own_served)


def test_export_without_thresholds_says_what_to_run(own_served):
    (own_served / "norm_vs_abnormal_thresholds.json").unlink()
    with pytest.raises(InferenceError, match=r"threshold_search\.py"):
        export_all(own_served)


def test_the_shipped_onnx_files_belong_to_the_shipped_checkpoints(shipped):
    for task, name in (("multilabel", "multilabel_best.pth"), ("mi_vs_norm", "mi_best.pth")):
        if task in shipped.networks:
            assert shipped.networks[task].checkpoint_sha256 == sha256(SHIPPED / name)
            assert not shipped.networks[task].synthetic


def test_exported_averages_keep_a_last_sample_without_partner(served):
    model = onnx.load(served / "multilabel_best.onnx")
    pools = [node for node in model.graph.node if node.op_type == "AveragePool"]
    assert pools
    for node in pools:
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        assert (given["ceil_mode"], given["pads"], given["count_include_pad"]) == (0, [0, 0, 0, 1], 0)


# --------------------------------------------------------------------------- predict.py


@pytest.fixture
def files(demo_data, tmp_path):
    """A directory of three good recordings, in two formats, and one that is none."""
    directory = tmp_path / "ecgs"
    (directory / "ward").mkdir(parents=True)
    first, second, third = some(demo_data, 3)
    for name, recording in (("one", first), ("two", second)):
        wfdb.wrsamp(
            name,
            fs=500,
            units=["mV"] * 12,
            sig_name=list(LEADS),
            p_signal=recording.signal.T.astype(float),
            fmt=["16"] * 12,
            write_dir=str(directory / "ward"),
        )
    table = pd.DataFrame(third.signal.T.astype(float), columns=[f"{lead} (mV)" for lead in LEADS])
    table.insert(0, "time (s)", np.arange(len(table)) / 500)
    table.to_csv(directory / "three.csv", index=False)
    (directory / "letter.txt").write_text("Dear colleague")
    return directory


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_a_directory_is_scored_and_the_bad_file_listed(files, served, tmp_path, suffix, capsys):
    out = tmp_path / f"results{suffix}"
    assert predict.main([str(files), "--artifacts", str(served), "--out", str(out)]) == 2
    table = predict.READERS[suffix](out).set_index("file")
    assert len(table) == 4
    letter = table.loc[str(files / "letter.txt")]
    assert isinstance(letter["error"], str) and letter["error"]
    good = table.drop(str(files / "letter.txt"))
    assert good["error"].isna().all() and good["p_MI"].between(0, 1).all()
    assert "letter.txt" in capsys.readouterr().err


def test_a_second_run_goes_on_where_the_first_stopped(files, served, tmp_path, capsys, monkeypatch):
    out = tmp_path / "results.csv"
    arguments = ["--artifacts", str(served), "--out", str(out)]
    assert predict.main([str(files / "ward"), *arguments]) == 0
    (files / "letter.txt").unlink()
    seen = []
    original = predict.diagnose_file
    monkeypatch.setattr(
        predict, "diagnose_file", lambda d, path, *rest: (seen.append(path), original(d, path, *rest))[1]
    )
    assert predict.main([str(files), *arguments]) == 0
    assert seen == [files / "three.csv"]
    assert len(pd.read_csv(out)) == 3
    assert "2 of 3 files" in capsys.readouterr().out


def test_one_file_is_printed(files, served, capsys):
    assert predict.main([str(files / "ward" / "one.dat"), "--artifacts", str(served)]) == 0
    printed = capsys.readouterr().out
    assert "one.hea" in printed and "not for clinical use" in printed


def test_wrong_arguments_are_one_sentence(files, served, tmp_path, capsys):
    assert predict.main([str(files), "--artifacts", str(served), "--out", str(tmp_path / "results.xlsx")]) == 1
    assert predict.main([str(tmp_path / "nowhere"), "--artifacts", str(served)]) == 1
    assert predict.main([str(files), "--artifacts", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3 and all(line.startswith("error:") for line in lines)
