"""The shipped networks on PTB-XL: one recording has one result, whatever file it comes in."""

import numpy as np
import pandas as pd
import pytest

from config import DEFAULT_OUT, LEADS
from dataset import PTBXLDataset
from ecg.readers import read_uploaded
from inference.diagnoser import Diagnoser
from ptbxl.records import read_recording
from tests.support.ecg_files import npy
from tests.support.server import client_with


@pytest.fixture(scope="module")
def shipped():
    return Diagnoser.load(DEFAULT_OUT)


def as_csv(recording):
    return {"ecg.csv": pd.DataFrame(recording.signal.T.astype(float), columns=LEADS).to_csv(index=False).encode()}


def as_request(recording):
    leads = {lead: row.tolist() for lead, row in zip(LEADS, recording.signal, strict=True)}
    return {"sampling_rate": recording.sampling_rate, "units": "mV", "leads": leads}


def test_evaluation_wfdb_csv_npy_and_the_server_agree(real, shipped):
    """200 ECGs of fold 9, to 1e-4."""
    split = PTBXLDataset(real, "val", "multilabel", 1.0)
    with np.load(DEFAULT_OUT / "predictions" / "hmt_ecgnet_multilabel_val.npz", allow_pickle=False) as arrays:
        expected = dict(zip(arrays["ecg_id"].tolist(), arrays["probabilities"], strict=True))
    decisions = shipped.decisions["multilabel"]
    with client_with(DEFAULT_OUT) as server:
        for number in np.linspace(0, len(split) - 1, 200).astype(int):
            ecg_id = int(split.ecg_ids[number])
            path = real.directory / split.metadata["filename_lr"].iloc[number]
            files = {path.name + end: path.with_name(path.name + end).read_bytes() for end in (".hea", ".dat")}
            recording = read_uploaded(files)
            for content in (files, as_csv(recording), {"ecg.npy": npy(recording.signal)}):
                found = shipped.probabilities(read_uploaded(content, recording.sampling_rate, "mV"))["multilabel"]
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
