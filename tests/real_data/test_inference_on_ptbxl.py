"""The shipped networks on PTB-XL: one recording has one result, whatever file it comes in."""

import time

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from api import create_app
from config import DEFAULT_OUT, LEADS
from dataset import PTBXLDataset
from ecg.readers import read_uploaded
from inference.diagnoser import Diagnoser
from ptbxl.records import read_recording
from serving.settings import Settings


@pytest.fixture(scope="module")
def shipped():
    return Diagnoser.load(DEFAULT_OUT)


def as_csv(recording):
    table = pd.DataFrame(recording.signal.T.astype(float), columns=LEADS)
    return {"ecg.csv": table.to_csv(index=False).encode()}, {"sampling_rate": recording.sampling_rate, "units": "mV"}


def as_npy(recording, path):
    np.save(path, recording.signal)
    return {"ecg.npy": path.read_bytes()}, {"sampling_rate": recording.sampling_rate, "units": "mV"}


def as_request(recording):
    leads = {lead: row.tolist() for lead, row in zip(LEADS, recording.signal, strict=True)}
    return {"sampling_rate": recording.sampling_rate, "units": "mV", "leads": leads}


def test_evaluation_wfdb_csv_npy_and_the_server_agree(real, shipped, tmp_path):
    """200 ECGs of fold 9, to 1e-4."""
    split = PTBXLDataset(real, "val", "multilabel", 1.0)
    with np.load(DEFAULT_OUT / "predictions" / "hmt_ecgnet_multilabel_val.npz", allow_pickle=False) as arrays:
        expected = dict(zip(arrays["ecg_id"].tolist(), arrays["probabilities"], strict=True))
    decisions = shipped.decisions["multilabel"]
    with TestClient(create_app(Settings(artifacts=DEFAULT_OUT))) as server:
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
                found = shipped.probabilities(read_uploaded(content, **arguments))["multilabel"]
                np.testing.assert_allclose(found, expected[ecg_id], atol=1e-4, err_msg=f"{ecg_id} {list(content)}")
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
