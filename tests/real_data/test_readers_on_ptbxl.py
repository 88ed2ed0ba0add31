"""PTB-XL's own files through the readers that uploads go through."""

import numpy as np
import pytest

from ecg.readers import read_recording
from ptbxl.records import read_record, record_path


@pytest.mark.parametrize("sampling_rate", [100, 500])
def test_an_upload_of_a_record_is_read_as_training_reads_it(real, sampling_rate):
    there = [i for i in real.table.index[:500] if record_path(real, i, sampling_rate).with_suffix(".hea").is_file()]
    assert there
    for ecg_id in there[:5]:
        path = record_path(real, ecg_id, sampling_rate)
        training, recording = read_record(path), read_recording(path.with_suffix(".hea"))
        np.testing.assert_allclose(recording.signal, training.signal, atol=1e-6)
        assert recording.sampling_rate == training.sampling_rate == sampling_rate
        assert recording.present.all()
        assert not any("derived" in note or "missing" in note for note in recording.notes)
