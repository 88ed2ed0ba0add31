"""The shipped predictions are what the shipped network says of PTB-XL's own files."""

import numpy as np

from config import DEFAULT_OUT
from dataset import PTBXLDataset
from ecg.preprocessing import model_input
from ecg.windows import predict_probabilities
from models.checkpoint import load_checkpoint, logits_function
from ptbxl.records import read_recording


def test_the_shipped_network_reads_real_files_as_it_was_evaluated(real):
    checkpoint = load_checkpoint(DEFAULT_OUT / "multilabel_best.pth")
    split = PTBXLDataset(real, "val", input_scale=checkpoint.input_scale)
    logits_of = logits_function(checkpoint.network())
    with np.load(DEFAULT_OUT / "predictions" / "hmt_ecgnet_multilabel_val.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["ecg_id"], split.ecg_ids)
        assert np.array_equal(arrays["targets"], split.targets)
        for row in range(0, len(split), 55):
            recording = read_recording(real, split.ecg_ids[row])
            signal = model_input(recording, checkpoint.input_scale)[None]
            alone = predict_probabilities(logits_of, signal, checkpoint.window_s, checkpoint.stride_s)[0]
            np.testing.assert_allclose(alone, arrays["probabilities"][row], atol=1e-4)
