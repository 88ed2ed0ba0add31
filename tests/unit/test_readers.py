"""Every format against the same signal, every refusal, and whatever a hostile or broken file may hold.

`TRUTH` is a generated ECG in µV; other software wrote it in its own formats (tests/data/ecg/README.md).
"""

import io
import random
import re
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pyedflib
import pytest
import scipy.io
import soundfile
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.data import get_testdata_file

from config import LEADS
from ecg.leads import lead_name, millivolts
from ecg.readers import MAX_UPLOAD_BYTES, read_recording, read_uploaded, wfdb_records
from ecg.readers.channels import MAX_SIGNALS, PLAUSIBLE_QRS_MV, from_leads, typical_amplitude
from ecg.recording import Recording, RecordingError
from ptbxl.records import read_microvolts, record_path

DATA = Path(__file__).parents[1] / "data" / "ecg"
TRUTH = np.load(DATA / "truth.npz")["signal"]  # int16 (12, 5000) in µV at 500 Hz
TRUTH_MV = TRUTH / 1000
RATE = 500
STORED_LEADS = [lead for lead in LEADS if lead in ("I", "II") or lead.startswith("V")]
MUTANTS = 1000


def leads_of(signal_mv: np.ndarray = TRUTH_MV, names=LEADS) -> dict[str, np.ndarray]:
    """Named rows, in the order of names."""
    return {name: signal_mv[LEADS.index(name)] for name in names}


def upload(name: str) -> dict[str, bytes]:
    """A committed file as an upload."""
    return {name: (DATA / name).read_bytes()}


def zipped(files: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> dict[str, bytes]:
    """An upload of one archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return {"upload.zip": stream.getvalue()}


def npy(array: np.ndarray) -> bytes:
    """What numpy.save writes."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays) -> dict[str, bytes]:
    """An upload of what numpy.savez_compressed writes."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return {"signal.npz": stream.getvalue()}


def table(names=LEADS, rows: int = 1000, delimiter: str = ",", before: str = "", unit: str = " (mV)") -> bytes:
    """A CSV file of the first rows of the truth."""
    header = delimiter.join(f"{name}{unit}" for name in names)
    lines = (
        delimiter.join(f"{value:.3f}" for value in row) for row in TRUTH_MV[[LEADS.index(n) for n in names], :rows].T
    )
    return "\n".join([before + header, *lines, ""]).encode()


@cache
def wfdb_record(code: str = "16", names=LEADS, samples: int = 5000, gain: float = 1000) -> dict[str, bytes]:
    """A record of the truth as wfdb writes it."""
    with tempfile.TemporaryDirectory() as folder:
        wfdb.wrsamp(
            "truth",
            fs=RATE,
            units=["mV"] * len(names),
            sig_name=list(names),
            p_signal=np.stack(list(leads_of(names=names).values()), axis=1)[:samples],
            fmt=[code] * len(names),
            adc_gain=[gain] * len(names),
            baseline=[0] * len(names),
            write_dir=folder,
        )
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@cache
def dicom_ecg() -> bytes:
    """A Mortara cart's 12-lead ECG out of pydicom's test data."""
    return Path(get_testdata_file("waveform_ecg.dcm")).read_bytes()


def edf(
    path: Path, signals: dict[str, np.ndarray], unit: str = "uV", rates: dict[str, int] | None = None, **options
) -> bytes:
    """An EDF file as edflib writes it; one µV a step."""
    with pyedflib.EdfWriter(str(path), len(signals), **options) as writer:
        writer.setSignalHeaders(
            [
                {
                    "label": label,
                    "dimension": unit,
                    "sample_frequency": (rates or {}).get(label, RATE),
                    "physical_min": -32768,
                    "physical_max": 32767,
                    "digital_min": -32768,
                    "digital_max": 32767,
                }
                for label in signals
            ]
        )
        writer.writeSamples([np.ascontiguousarray(values, float) for values in signals.values()])
    return path.read_bytes()


def assert_is_truth(recording: Recording, tolerance_mv: float, step: int = 1) -> None:
    """All twelve leads are the truth's, to the rounding of the format."""
    assert recording.signal.dtype == np.float32
    assert recording.present.all()
    assert recording.sampling_rate == RATE / step
    np.testing.assert_allclose(recording.signal, TRUTH_MV[:, ::step], atol=tolerance_mv)


def refused(files: dict[str, bytes], message: str, **arguments) -> None:
    """The upload is refused with a message that matches."""
    with pytest.raises(RecordingError, match=message):
        read_uploaded(files, **arguments)


# -- Leads and units --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize(
    "label", ["{}", " lead {} ", "Lead_{}", "ECG {}", "EKG-{}", "ECG Lead {}", "MDC_ECG_LEAD_{}", "{} (Einthoven)"]
)
def test_a_lead_is_known_by_its_usual_labels_in_any_case(lead, label):
    for spelled in (lead, lead.upper(), lead.lower()):
        assert lead_name(label.format(spelled)) == lead


@pytest.mark.parametrize(
    "label", ["-aVR", "Lead -aVR", "aVR-", "aVR (-)", "V7", "V3R", "MLII", "C3", "1", "", "ECG", "II_2", "VR"]
)
def test_what_is_no_standard_lead_is_not_taken_for_one(label):
    assert lead_name(label) is None


@pytest.mark.parametrize(
    ("unit", "factor"), [("uV", 1e-3), ("µV", 1e-3), ("μV", 1e-3), ("MV", 1), ("Volts", 1e3), ("nV", 1e-6)]
)
def test_units_are_understood_in_their_usual_spellings(unit, factor):
    assert millivolts(unit) == factor
    recording = from_leads({lead: row / factor for lead, row in leads_of().items()}, RATE, unit)
    np.testing.assert_allclose(recording.signal, TRUTH_MV, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("unit", ["", "adu", "counts", "mmHg", "s", None])
def test_what_is_no_voltage_is_refused(unit):
    with pytest.raises(RecordingError, match="no voltage"):
        from_leads(leads_of(), RATE, unit)


@given(st.permutations(LEADS), st.sampled_from([str.upper, str.lower, "Lead {}".format]))
@settings(max_examples=20)
def test_leads_are_put_in_order_by_name(order, spell):
    recording = from_leads({spell(lead): TRUTH_MV[LEADS.index(lead)] for lead in order}, RATE, "mV")
    assert_is_truth(recording, 1e-6)
    assert recording.notes == ()


@given(
    st.lists(st.sampled_from(LEADS[3:6]), unique=True),
    st.sampled_from([("I", "II"), ("I", "III"), ("II", "III"), ("I", "II", "III")]),
    hnp.arrays(np.int16, (2, 60), elements=st.integers(-5000, 5000)),
)
def test_two_of_three_limb_leads_give_all_six(augmented, bipolar, microvolts):
    one, two = microvolts.astype(float)
    limb = dict(zip(LEADS, (one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2), strict=False))
    recording = from_leads({lead: limb[lead] for lead in (*bipolar, *augmented)}, RATE, "uV")
    np.testing.assert_allclose(recording.signal[:6], np.stack(list(limb.values())) / 1000, atol=2e-6)
    np.testing.assert_array_equal(recording.present, [True] * 6 + [False] * 6)
    derived = [note for note in recording.notes if note.startswith("derived")]
    assert (
        all(lead in derived[0] for lead in set(LEADS[:6]) - {*bipolar, *augmented}) if derived else len(augmented) == 3
    )


def test_leads_that_cannot_be_derived_are_marked_missing():
    recording = from_leads(leads_of(names=("II", "aVF", "V5")), RATE, "mV")
    assert [lead for lead, there in zip(LEADS, recording.present, strict=True) if there] == ["II", "aVF", "V5"]
    assert not recording.signal[~recording.present].any()
    assert "missing leads: I, III, aVR, aVL, V1, V2, V3, V4, V6" in recording.notes


def test_other_channels_are_left_out_and_named():
    recording = from_leads(leads_of() | {"SpO2": np.ones(5000)}, RATE, "mV")
    assert_is_truth(recording, 1e-6)
    assert any("SpO2" in note for note in recording.notes)


@pytest.mark.parametrize(
    ("leads", "message"),
    [
        ({}, "no channel is named"),
        ({"X": [1.0] * 500}, "no channel is named .* found X"),
        (leads_of() | {"Lead V1": TRUTH_MV[6]}, "V1 is there twice"),
        (leads_of() | {"V6": TRUTH_MV[11, :-1]}, "equally many"),
        ({"I": []}, "no samples"),
        ({"I": [[1.0, 2.0]]}, "flat list"),
        ({"I": [1.0, [2.0]]}, "flat list"),
        ({"I": ["high", "low"]}, "flat list"),
        ({"I": [10**400]}, "flat list"),
        ({"I": [1e300, -1e300] * 300}, "lead I has amplitudes beyond"),
        ({f"V{number}": [0.0] for number in range(MAX_SIGNALS + 1)}, "at most 64"),
    ],
)
def test_leads_that_make_no_recording_are_refused(leads, message):
    with pytest.raises(RecordingError, match=message):
        from_leads(leads, RATE, "mV")


@pytest.mark.parametrize("rate", [0, -500, 1, 1e9, float("nan"), float("inf"), None, "500", True, [500]])
def test_an_absurd_sampling_rate_is_refused(rate):
    with pytest.raises(RecordingError, match="sampling rate"):
        from_leads(leads_of(), rate, "mV")


def test_more_than_an_hour_is_refused_and_an_hour_is_kept_whole():
    hour = np.zeros(3600 * 100, np.float32)
    assert from_leads({"I": hour}, 100, "mV").duration == 3600
    with pytest.raises(RecordingError, match="at most 3600 s"):
        from_leads({"I": np.zeros(3601 * 100)}, 100, "mV")


# -- Gaps and amplitudes ----------------------------------------------------------------------------------------------


@given(st.integers(0, 4999), st.integers(1, 100), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_gap_of_up_to_200_ms_is_interpolated_and_reported(start, length, hole):
    values = np.linspace(-1, 1, 5000)
    broken = values.copy()
    broken[start : start + length] = hole
    recording = from_leads(leads_of() | {"V2": broken}, RATE, "mV")
    inside = slice(1, -1) if start == 0 or start + length >= 5000 else slice(None)
    filled = recording.signal[LEADS.index("V2")]
    kept = np.isfinite(broken)
    np.testing.assert_allclose(filled[kept], values[kept], atol=1e-6)
    if inside == slice(None):
        np.testing.assert_allclose(filled, values, atol=1e-6)
    assert np.isfinite(filled).all()
    assert any(note.startswith("lead V2: 1 gap") for note in recording.notes)


def test_a_longer_gap_is_refused_with_its_place():
    broken = TRUTH_MV[7].copy()
    broken[1000:1101] = np.nan
    with pytest.raises(RecordingError, match=r"lead V2 has no samples for 0\.20 s from 2\.00 s"):
        from_leads(leads_of() | {"V2": broken}, RATE, "mV")


def test_null_in_a_list_is_a_missing_sample():
    recording = from_leads({"II": [0.0, None, 1.0] + [0.5] * 500}, RATE, "mV")
    assert recording.signal[1, 1] == 0.5


def test_a_lead_without_any_sample_counts_as_missing_and_is_derived_where_possible():
    nothing = np.full(5000, np.nan)
    recording = from_leads(leads_of() | {"III": nothing, "V4": nothing}, RATE, "mV")
    np.testing.assert_allclose(recording.signal[2], TRUTH_MV[1] - TRUTH_MV[0], atol=1e-6)
    assert [lead for lead, there in zip(LEADS, recording.present, strict=True) if not there] == ["V4"]
    with pytest.raises(RecordingError, match="no lead has any samples"):
        from_leads({"I": nothing}, RATE, "mV")


@pytest.mark.parametrize(("factor", "plausible"), [(1000, False), (0.001, False), (0, False), (1, True), (0.2, True)])
def test_an_absurd_amplitude_is_kept_and_reported(factor, plausible):
    recording = from_leads(leads_of(TRUTH_MV * factor), RATE, "mV")
    np.testing.assert_allclose(recording.signal, TRUTH_MV * factor, rtol=1e-5, atol=1e-6)
    assert any("check the units" in note for note in recording.notes) != plausible


@given(hnp.arrays(float, (2, 700), elements=st.floats(-5, 5)), st.floats(-100, 100))
def test_the_amplitude_does_not_depend_on_the_baseline(signal, baseline):
    assert typical_amplitude(signal + baseline, 100) == pytest.approx(typical_amplitude(signal, 100), abs=1e-9)


# -- Formats that other software wrote --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tolerance_mv"),
    [
        ("biosig.edf", 1e-4),  # 16 bits over each lead's own range
        ("biosig_aecg.xml", 1.1e-3),  # whole µV; a derived lead adds two roundings
        ("ecgdatakit.scp", 1.1e-3),
        ("ecgdatakit_muse.xml", 7.4e-3),  # 4.88 µV a step
        ("truth.npz", 1e-6),
    ],
)
def test_files_of_other_software_hold_the_truth(name, tolerance_mv):
    assert_is_truth(read_uploaded(upload(name)), tolerance_mv)
    assert_is_truth(read_recording(DATA / name), tolerance_mv)
    if not name.endswith(".npz"):
        assert_is_truth(read_uploaded(zipped(upload(name))), tolerance_mv)


def test_a_format_is_known_by_content_not_by_name():
    for name in ("biosig.edf", "ecgdatakit.scp", "biosig_aecg.xml"):
        assert_is_truth(read_uploaded({"noname": (DATA / name).read_bytes()}), 2e-3)


def test_the_csv_of_biosig_needs_the_rate_it_lacks():
    assert_is_truth(read_uploaded(upload("biosig.csv"), sampling_rate=100), 1e-6, step=5)
    refused(upload("biosig.csv"), "sampling rate is not in the file; give it as sampling_rate=")


def test_a_cart_s_dicom_is_read_with_its_sensitivity():
    """Expected values: pydicom's own conversion, 1.25 µV a count, of the rhythm group."""
    recording = read_uploaded({"ecg": dicom_ecg()})
    dataset = pydicom.dcmread(io.BytesIO(dicom_ecg()))
    np.testing.assert_allclose(recording.signal, dataset.waveform_array(0).T / 1000, atol=1e-6)
    assert (recording.sampling_rate, recording.duration) == (1000, 10)
    assert recording.present.all()
    assert any("RHYTHM" in note for note in recording.notes)
    assert PLAUSIBLE_QRS_MV[0] < typical_amplitude(recording.signal, 1000) < PLAUSIBLE_QRS_MV[1]


@pytest.mark.parametrize("sampling_rate", [100, 500])
def test_ptb_xl_is_read_as_its_own_reader_reads_it(real, sampling_rate):
    there = [i for i in real.table.index[:500] if record_path(real, i, sampling_rate).with_suffix(".hea").is_file()]
    assert there
    for ecg_id in there[:5]:
        path = record_path(real, ecg_id, sampling_rate)
        microvolts, rate = read_microvolts(path)
        recording = read_recording([path.with_suffix(".hea"), path.with_suffix(".dat")])
        np.testing.assert_allclose(recording.signal, microvolts / 1000, atol=1e-6)
        assert recording.sampling_rate == rate == sampling_rate
        assert recording.present.all()
        assert not any("derived" in note or "missing" in note for note in recording.notes)


# -- WFDB -------------------------------------------------------------------------------------------------------------


def signal_file(code: str, counts: np.ndarray) -> bytes:
    """Counts ``(samples, leads)`` in a WFDB signal format, by its specification rather than by wfdb."""
    if code == "516":
        stream = io.BytesIO()
        soundfile.write(stream, counts.astype(np.int16), 8000, format="FLAC", subtype="PCM_16")
        return stream.getvalue()
    if code == "212":
        low, high = (counts.reshape(-1, 2) & 0xFFF).T
        return np.stack([low & 0xFF, low >> 8 | high >> 8 << 4, high & 0xFF], axis=1).astype(np.uint8).tobytes()
    width = {"16": 2, "24": 3, "32": 4}[code]
    return counts.astype("<i4")[..., None].view(np.uint8)[..., :width].tobytes()


@pytest.mark.parametrize(
    ("code", "gain", "names"),
    [
        ("16", 1000, LEADS),
        ("24", 1000, LEADS),
        ("32", 1000, LEADS),
        ("212", 400, LEADS),
        ("516", 1000, STORED_LEADS),  # FLAC has eight channels at most
    ],
)
def test_wfdb_formats(code, gain, names):
    counts = np.round(np.stack(list(leads_of(names=names).values()), axis=1) * gain).astype(int)
    header = f"r {len(names)} 500 5000\n" + "".join(f"r.dat {code} {gain}(0)/mV 16 0 0 0 0 {name}\n" for name in names)
    assert_is_truth(read_uploaded({"r.hea": header.encode(), "r.dat": signal_file(code, counts)}), 1.1 / gain)


def test_16_bit_files_read_as_wfdb_reads_them(tmp_path):
    header = (
        "r 5 500/1000(3) 400\n"
        "a.dat 16 812.5(-7)/mV 16 3 0 0 0 V1\n"
        "a.dat 16 1e3/mV 16 -9 0 0 0 I\n"
        "b.dat 16+24 200/uV 16 5 0 0 0 II\n"
        "b.dat 16+24 1000(0)/mV 16 5 0 0 0 V2\n"
        "b.dat 16+24 1000 12 0 0 0 0 V3\n"
    )
    rng = np.random.default_rng(0)
    files = {"r.hea": header.encode()}
    for name, columns, offset in (("a.dat", 2, 0), ("b.dat", 3, 24)):
        counts = rng.integers(-2000, 2000, (400, columns), dtype=np.int16)
        counts[rng.integers(0, 400, 5), 0] = -32768
        files[name] = bytes(offset) + counts.tobytes()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    theirs = wfdb.rdrecord(str(tmp_path / "r"))
    ours = wfdb_records.read("r.hea", files)
    np.testing.assert_array_equal(np.stack(ours.values, axis=1), theirs.p_signal)
    assert list(ours.names) == theirs.sig_name
    assert (list(ours.units), ours.sampling_rate) == (theirs.units, theirs.fs)


def test_the_mark_of_a_missing_sample_is_a_gap():
    counts = TRUTH.T.copy()
    counts[50:60, 6] = -32768
    recording = read_uploaded(dict(wfdb_record()) | {"truth.dat": counts.tobytes()})
    assert any(note.startswith("lead V1: 1 gap(s) of up to 20 ms") for note in recording.notes)
    np.testing.assert_allclose(recording.signal[:6], TRUTH_MV[:6], atol=1e-6)


def test_a_header_without_gains_is_refused(tmp_path):
    refused({"r.hea": b"r 1 500 5000\nr.dat 16\n", "r.dat": bytes(10000)}, "no gain above zero")
    broken = tmp_path / "r.hea"
    broken.write_bytes(b"r 1 500 5000\nr.dat 16 1e/mV 16 0 0 0 0 I\n")
    with pytest.raises(RecordingError, match="damaged"):
        read_recording(broken)


def test_a_pair_may_be_an_archive_or_a_header_beside_its_signals(tmp_path):
    record = wfdb_record()
    assert_is_truth(read_uploaded(zipped({f"folder/{name}": content for name, content in record.items()})), 1e-6)
    for name, content in record.items():
        (tmp_path / name).write_bytes(content)
    assert_is_truth(read_recording(tmp_path / "truth.hea"), 1e-6)
    assert_is_truth(read_recording([str(tmp_path / name) for name in record]), 1e-6)


def test_matlab_files_of_the_challenges():
    """As the PhysioNet Challenges 2020 and 2021 keep them: ``val`` in MATLAB v4, format 16 from byte 24 on."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"val": TRUTH}, format="4")
    header = "A0001 12 500 5000 12-May-2020 12:33:59\n" + "".join(
        f"A0001.mat 16+24 1000/mV 16 0 {TRUTH[row, 0]} 0 0 {lead}\n" for row, lead in enumerate(LEADS)
    )
    header += "#Age: 74\n#Sex: Male\n#Dx: 59118001\n"
    assert_is_truth(read_uploaded({"A0001.hea": header.encode(), "A0001.mat": stream.getvalue()}), 1e-6)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_sign_of_micro_survives_in_a_header(encoding):
    record = dict(wfdb_record())
    header = record["truth.hea"].decode().replace("1000(0)/mV", "1(0)/µV")
    assert_is_truth(read_uploaded(record | {"truth.hea": header.encode(encoding)}), 1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("truth.dat", "../truth.dat", "only plain names"),
        ("truth.dat", "/etc/passwd", "only plain names"),
        ("truth.dat", "http://host/truth.dat", "only plain names"),
        ("truth.dat", "other.dat", r"truth\.hea needs other\.dat"),
        ("truth.dat", "~", "only plain names"),
        (" 5000", " 1000000000", "too much"),
        (" 5000", " 5001", "cut short"),
        (" 5000", "", "does not give the sampling rate and the number of samples"),
        (" 12 500", " 100000 500", "declares 100000 signals"),
        (" 12 500", " 13 500", "declares 13 signals"),
        (" 12 500", " 12 0", "sampling rate"),
        ("1000(0)", "0(0)", "no gain above zero"),
        ("1000(0)", "-1000(0)", "no gain above zero"),
        (" 16 1000", " 16x1000000000 1000", "several samples a frame"),
        (" 16 1000", " 16:7 1000", "skew"),
        (" 16 1000", " 16+99999999 1000", "cut short"),
        (" 16 1000", " 311 1000", "format 311 is not read"),
        (" 16 1000", " 516 1000", "not a FLAC file|damaged"),
        ("/mV", "/mmHg", "no voltage"),
    ],
)
def test_a_header_that_is_unsafe_or_lies_is_refused(old, new, message):
    record = wfdb_record()
    header = record["truth.hea"].decode()
    assert old in header
    refused(dict(record) | {"truth.hea": header.replace(old, new).encode()}, message)


def test_a_header_beside_other_files_reads_none_of_them(tmp_path):
    outside = tmp_path / "secret.dat"
    outside.write_bytes(wfdb_record()["truth.dat"])
    folder = tmp_path / "upload"
    folder.mkdir()
    for name in ("../secret.dat", str(outside), "..\\secret.dat"):
        (folder / "truth.hea").write_bytes(wfdb_record()["truth.hea"].replace(b"truth.dat", name.encode()))
        with pytest.raises(RecordingError, match="only plain names"):
            read_recording(folder / "truth.hea")


def test_a_signal_file_cannot_take_the_place_of_the_checked_header():
    record = wfdb_record()
    for name in ("record.hea", "record", "0.dat"):
        header = record["truth.hea"].replace(b"truth.dat", name.encode())
        assert_is_truth(read_uploaded({"truth.hea": header, name: record["truth.dat"]}), 1e-6)


def test_records_of_segments_and_several_records_are_refused():
    refused({"r.hea": b"r/2 12 500 5000\nr1 2500\nr2 2500\n"}, "several segments")
    record = wfdb_record()
    refused(dict(record) | {"copy.hea": record["truth.hea"]}, "one recording at a time")


def test_a_signal_file_alone_asks_for_its_header():
    refused({"truth.dat": wfdb_record()["truth.dat"]}, "needs its .hea")


# -- CSV, TSV, NPY, NPZ -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "unit", "arguments"),
    [
        ("# sampling_rate: 500\n# units: mV\n", "", {}),
        ("# fs=0.5 kHz\n#Units = mV\n", "", {}),
        ("#Sampling Frequency (Hz): 500.0\n", " [mV]", {}),
        ("", "_mV", {"sampling_rate": 500}),
        ("", "", {"sampling_rate": 500, "units": "mV"}),
        ("\ufeff", " (mV)", {"sampling_rate": 500, "units": "mV"}),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_that_say_or_are_told_rate_and_units(before, unit, arguments, delimiter):
    recording = read_uploaded({"t": table(delimiter=delimiter, before=before, unit=unit)}, **arguments)
    np.testing.assert_allclose(recording.signal, TRUTH_MV[:, :1000], atol=1e-6)
    assert recording.sampling_rate == RATE


@pytest.mark.parametrize(("name", "factor"), [("time_s", 1), ("Time (ms)", 1000), ("seconds", 1), ("t [us]", 1e6)])
def test_a_time_column_gives_the_rate(name, factor):
    lines = table(unit="_mV").decode().splitlines()
    rows = [f"{round(index / RATE * factor, 4)},{line}" for index, line in enumerate(lines[1:])]
    recording = read_uploaded({"t.csv": "\n".join([f"{name},{lines[0]}", *rows]).encode()})
    assert recording.sampling_rate == RATE
    np.testing.assert_allclose(recording.signal, TRUTH_MV[:, :1000], atol=1e-6)
    missing = [*rows[:300], *rows[320:]]
    refused({"t.csv": "\n".join([f"{name},{lines[0]}", *missing]).encode()}, "uneven")
    refused({"t.csv": "\n".join([f"time,{lines[0]}", *rows]).encode()}, "sampling rate is not in the file")


def test_decimal_commas_windows_lines_and_utf_16():
    text = table(delimiter=";", before="# fs: 500\n").decode().replace(".", ",").replace("\n", "\r\n")
    for content in (text.encode(), text.encode("utf-16")):
        np.testing.assert_allclose(read_uploaded({"t": content}).signal, TRUTH_MV[:, :1000], atol=1e-6)


def test_a_spreadsheet_s_micro_in_latin_1():
    lines = table(unit=" (µV)", before="# fs: 500\n").decode().encode("latin-1")
    recording = read_uploaded({"t": lines})
    np.testing.assert_allclose(recording.signal, TRUTH_MV[:, :1000] / 1000, atol=1e-9)


def test_empty_cells_are_gaps_and_other_columns_are_named():
    lines = table(before="# fs: 500\n", names=("I", "II")).decode().splitlines()
    lines[10] = "," + lines[10].split(",")[1]
    recording = read_uploaded({"t": "\n".join(lines).encode()})
    assert any(note.startswith("lead I: 1 gap(s) of up to 2 ms") for note in recording.notes)
    other = read_uploaded({"t": table(names=("I", "II"), before="# fs: 500\n").replace(b"II (mV)", b"pulse")})
    assert any("pulse" in note for note in other.notes)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (table(), {}, "sampling rate is not in the file"),
        (table(unit=""), {"sampling_rate": 500}, "unit of I is not in the file"),
        (table(), {"sampling_rate": 500, "units": "uV"}, "unit of I is mV in the file and uV by request"),
        (table(before="# fs: 250\n"), {"sampling_rate": 500}, "250.0 in the file and 500 by request"),
        (table().split(b"\n", 1)[1], {"sampling_rate": 500, "units": "mV"}, "no column is named like a lead"),
        (table(), {"sampling_rate": "fast"}, "sampling rate"),
        (table().replace(b"0.0", b"zero"), {"sampling_rate": 500}, "something else than numbers"),
        (b"I (mV)\n", {"sampling_rate": 500}, "no columns|no samples|damaged|numbers"),
        (b"hello, world\n", {}, "no column is named like a lead"),
        (b"I," * 1_000_000, {}, "no header row"),
        (b"# " * 1_000_000, {}, "no header row"),
        (b"<html></html>", {}, "XML, but neither"),
        (b"", {}, "no format known here"),
    ],
)
def test_tables_that_leave_something_open_are_refused(content, arguments, message):
    refused({"t.csv": content}, message, **arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int16, ">f4", ">i2", np.int64])
@pytest.mark.parametrize("transposed", [False, True])
def test_bare_arrays(dtype, transposed):
    array = TRUTH.astype(dtype)
    recording = read_uploaded({"x": npy(array.T if transposed else array)}, sampling_rate=500, units="uV")
    np.testing.assert_allclose(recording.signal, array.astype(np.float64) / 1000, atol=1e-6)
    assert any("not named" in note for note in recording.notes)


def test_archives_of_arrays_name_their_leads():
    recording = read_uploaded(npz(signal=TRUTH[::-1].T, sampling_rate=500.0, leads=LEADS[::-1], units=["uV"] * 12))
    assert_is_truth(recording, 1e-6)
    partly = npz(signal=TRUTH_MV[:2], leads=["I", "II"])
    assert read_uploaded(partly, sampling_rate=500, units="mV").present.sum() == 6
    refused(partly, "sampling rate is not in the file")
    refused(npz(signal=TRUTH, sampling_rate=250, units="uV"), "250 in the file and 500 by request", sampling_rate=500)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((12, 12)), "which side"),
        (np.zeros((8, 5000)), "which side"),
        (np.zeros(5000), "shape"),
        (np.zeros((12, 0)), "claims the shape"),
        (np.array([{"a": 1}] * 12, dtype=object), "object is not read"),
        (np.zeros((12, 500), complex), "complex128 is not read"),
        (np.zeros(12, [("I", float)]), "is not read"),
        (np.full((12, 500), "a"), "must be numbers"),
    ],
)
def test_arrays_that_are_no_recording_are_refused(array, message):
    refused({"x.npy": npy(array)}, message, sampling_rate=500, units="mV")


def test_an_array_that_lies_about_its_shape_costs_nothing():
    content = npy(np.zeros((12, 500)))
    refused(
        {"x": content.replace(b"(12, 500), }     ", b"(12, 50000000), }")},
        "claims the shape",
        sampling_rate=500,
        units="mV",
    )
    refused({"x": content[:-8]}, "claims the shape", sampling_rate=500, units="mV")


def test_nothing_is_ever_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    stream = io.BytesIO()
    np.save(stream, np.array([Trap()], dtype=object), allow_pickle=True)
    refused({"x.npy": stream.getvalue()}, "object is not read", sampling_rate=500, units="mV")
    refused(npz(signal=TRUTH, units=np.array([Trap()], dtype=object)), "object is not read", sampling_rate=500)
    assert not (tmp_path / "sprung").exists()


# -- EDF --------------------------------------------------------------------------------------------------------------


def test_edf_plus_with_annotations_and_other_signals(tmp_path):
    content = edf(
        tmp_path / "x.edf",
        leads_of(TRUTH) | {"Resp": TRUTH[0, ::20]},
        rates={"Resp": 25},
        file_type=pyedflib.FILETYPE_EDFPLUS,
    )
    recording = read_uploaded({"x": content})
    assert_is_truth(recording, 1e-6)
    assert any("Resp" in note for note in recording.notes)


def test_edf_with_the_sign_of_micro(tmp_path):
    content = edf(tmp_path / "x.edf", leads_of(TRUTH), file_type=pyedflib.FILETYPE_EDF)
    assert_is_truth(read_uploaded({"x": content.replace(b"uV ", "µV ".encode("latin-1"))}), 1e-6)


@pytest.mark.parametrize(
    ("start", "new", "message"),
    [
        (192, b"EDF+D", "interrupted"),
        (236, b"-1      ", "not finished"),
        (236, b"99999999", "cut short"),
        (244, b"0       ", "not finished"),
        (244, b"nan     ", "not finished|sampling rate"),
        (244, b"1e-9    ", "sampling rate"),
        (252, b"9999", "at most 64|1 to 64"),
        (252, b"0   ", "1 to 64"),
        (252, b"  IV", "damaged"),
        (256 + 12 * 104, b"784     ", "damaged"),  # the first lead's physical minimum, now its maximum
        (256 + 12 * 216, b"1000000 ", "cut short"),
        (256 + 12 * 216, b"-500    ", "cut short"),
        (256 + 12 * 96, b"mmHg    ", "no voltage"),
        (256, b"Lead II ", "II is there twice"),
    ],
)
def test_an_edf_header_that_lies_is_refused(start, new, message):
    content = bytearray((DATA / "biosig.edf").read_bytes())
    content[start : start + len(new)] = new
    refused({"x.edf": bytes(content)}, message)


def test_leads_of_different_rates_are_refused(tmp_path):
    content = edf(tmp_path / "x.edf", {"I": TRUTH[0], "II": TRUTH[1, ::2]}, rates={"II": 250})
    refused({"x.edf": content}, "different sampling rates")


# -- DICOM ------------------------------------------------------------------------------------------------------------


def changed_dicom(change) -> dict[str, bytes]:
    """The cart's ECG with something changed."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_ecg()))
    change(dataset)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return {"x.dcm": stream.getvalue()}


def channels(dataset):
    return dataset.WaveformSequence[0].ChannelDefinitionSequence


def test_a_general_ecg_with_its_own_baseline_unit_and_padding():
    def change(dataset):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.GeneralECGWaveformStorage
        group = dataset.WaveformSequence[0]
        group.add_new("WaveformPaddingValue", "OW", struct.pack("<h", -32000))
        samples = np.frombuffer(group.WaveformData, "<i2").reshape(-1, 12).copy()
        samples[100:110, 3] = -32000
        group.WaveformData = samples.tobytes()
        first = channels(dataset)[0]
        first.ChannelSensitivity, first.ChannelSensitivityCorrectionFactor, first.ChannelBaseline = (
            "0.00125",
            "2",
            "0.5",
        )
        first.ChannelSensitivityUnitsSequence[0].CodeValue = "mV"
        first.ChannelSourceSequence[0].CodeMeaning = "Ableitung Eins"

    before, after = read_uploaded({"x": dicom_ecg()}), read_uploaded(changed_dicom(change))
    np.testing.assert_allclose(after.signal[0], 2 * before.signal[0] + 0.5, atol=1e-5)
    np.testing.assert_array_equal(after.signal[4:], before.signal[4:])
    assert any(note.startswith("lead aVR: 1 gap(s) of up to 10 ms") for note in after.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: delattr(d, "WaveformSequence"), "no waveforms"),
        (lambda d: delattr(channels(d)[0], "ChannelSensitivity"), "no sensitivity"),
        (lambda d: setattr(channels(d)[0], "ChannelSensitivity", "0"), "no sensitivity"),
        (lambda d: delattr(channels(d)[0], "ChannelSensitivityUnitsSequence"), "no sensitivity or unit"),
        (lambda d: setattr(d.WaveformSequence[0], "NumberOfWaveformSamples", 4_000_000_000), "too much"),
        (lambda d: setattr(d.WaveformSequence[0], "NumberOfWaveformSamples", 20_000), "damaged"),
        (lambda d: setattr(d.WaveformSequence[0], "NumberOfWaveformChannels", 11), "declares 11 channels"),
        (lambda d: setattr(d.WaveformSequence[0], "SamplingFrequency", "0"), "sampling rate"),
        (lambda d: setattr(d.WaveformSequence[0], "WaveformSampleInterpretation", "MB"), "type MB"),
        (lambda d: d.WaveformSequence[0].ChannelDefinitionSequence.extend(list(channels(d)) * 6), "at most 64"),
    ],
)
def test_a_dicom_that_lies_or_lacks_its_calibration_is_refused(change, message):
    refused(changed_dicom(change), message)


def test_deflated_and_big_endian_dicom_are_refused():
    def deflate(dataset):
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian

    refused(changed_dicom(deflate), "deflated")
    dataset = pydicom.dcmread(io.BytesIO(dicom_ecg()))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    refused({"x": stream.getvalue()}, "big-endian")


def test_a_dicom_of_a_million_items_is_refused_at_once():
    start = dicom_ecg().index(b"\x08\x00\x05\x00")
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 500_000
    content = dicom_ecg()[:start] + b"\x00\x54\x00\x01SQ\0\0" + struct.pack("<I", len(items)) + items
    refused({"x": content}, "more than 10000 items")
    refused({"x": content + bytes(2_000_000)}, "at most 5 MB")


# -- XML and SCP-ECG --------------------------------------------------------------------------------------------------


def changed_text(name: str, old: str, new: str) -> dict[str, bytes]:
    """A committed text file with every ``old`` replaced."""
    text = (DATA / name).read_text()
    assert old in text
    return {name: text.replace(old, new).encode()}


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("biosig_aecg.xml", 'unit="uV"', 'unit="adu"', "no amplitude unit|no voltage"),
        ("biosig_aecg.xml", "MDC_ECG_LEAD_", "MDC_ECG_LEAD_X", "no lead is named"),
        ("biosig_aecg.xml", "<increment", "<decrement", "not a readable"),
        ("biosig_aecg.xml", "</AnnotatedECG>", "", "not a readable"),
        ("ecgdatakit_muse.xml", ">4.88<", ">0<", "scale of zero"),
        ("ecgdatakit_muse.xml", "MICROVOLTS", "FURLONGS", "no amplitude unit"),
        ("ecgdatakit_muse.xml", "<SampleBase>500<", "<SampleBase>0<", "SampleBase"),
        ("ecgdatakit_muse.xml", "<SampleExponent>0<", "<SampleExponent>300<", "sampling rate|not a readable"),
        ("ecgdatakit_muse.xml", "<LeadID>V6<", "<LeadID>V5<", "ignored|there twice|V5"),
    ],
)
def test_xml_that_leaves_out_what_matters_is_refused(name, old, new, message):
    if new == "<LeadID>V5<":  # the library renames the second: it is left out, and said so
        recording = read_uploaded(changed_text(name, old, new))
        assert not recording.present[LEADS.index("V6")]
        assert any("V5_2" in note for note in recording.notes)
        return
    refused(changed_text(name, old, new), message)


def test_an_aecg_keeps_a_rate_that_is_no_whole_number():
    step = re.search(r'<increment value="([^"]+)" unit="([^"]+)"', (DATA / "biosig_aecg.xml").read_text())
    recording = read_uploaded(changed_text("biosig_aecg.xml", step[0], '<increment value="0.0039" unit="s"'))
    assert recording.sampling_rate == pytest.approx(1 / 0.0039)


@pytest.mark.parametrize("root", ["AnnotatedECG", "RestingECG"])
def test_billion_laughs_and_outside_entities_are_refused(root, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("12 13 14")
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    for entities, use in ((f'<!ENTITY l0 "ha">{laughs}', "&l9;"), (f'<!ENTITY x SYSTEM "{secret.as_uri()}">', "&x;")):
        content = f'<?xml version="1.0"?><!DOCTYPE {root} [{entities}]><{root}>{use}</{root}>'
        refused({"x.xml": content.encode()}, "entity|entities")


def test_xml_of_a_million_tags_or_of_endless_depth_is_refused():
    refused({"x.xml": b"<AnnotatedECG>" + b"<a/>" * 1_000_000}, "more than 200000 tags")
    refused({"x.xml": b"<AnnotatedECG " + b"a=''" * 1_000_000}, "more than 200000 tags or attributes")
    refused({"x.xml": b"<AnnotatedECG>" + b"<component>" * 100_000}, "not a readable")


def scp_section(content: bytes, number: int) -> int:
    """Where the body of a section starts."""
    for position in range(22, 150, 10):
        section, length, index = struct.unpack_from("<HII", content, position)
        if section == number and length:
            return index - 1 + 16
    raise AssertionError(number)


@pytest.mark.parametrize(
    ("section", "offset", "new", "message"),
    [
        (3, 0, b"\xff", "255 leads; 1 to 64"),
        (3, 6, b"\xff\xff\xff\x7f", "do not start and end together"),
        (3, 2, b"\x02", "do not start and end together"),
        (6, 0, b"\0\0", "no amplitude unit"),
        (6, 2, b"\0\0", "not a readable SCP-ECG file"),
    ],
)
def test_an_scp_record_that_lies_is_refused(section, offset, new, message):
    content = bytearray((DATA / "ecgdatakit.scp").read_bytes())
    start = scp_section(content, section) + offset
    content[start : start + len(new)] = new
    refused({"x.scp": bytes(content)}, message)


def test_a_wrong_checksum_is_reported():
    content = bytearray((DATA / "ecgdatakit.scp").read_bytes())
    content[0] ^= 1
    recording = read_uploaded({"x.scp": bytes(content)})
    assert any("CRC" in note for note in recording.notes)


def test_an_scp_record_of_impossible_length_costs_nothing():
    content = bytearray((DATA / "ecgdatakit.scp").read_bytes())
    leads = scp_section(content, 3)
    for lead in range(8):
        struct.pack_into("<I", content, leads + 2 + 9 * lead + 4, 4_000_000_000)
    refused({"x.scp": bytes(content)}, "not those of a resting ECG")
    refused({"x.scp": bytes(content) + bytes(2_000_000)}, "at most 1 MB")


# -- Uploads and archives ---------------------------------------------------------------------------------------------


def test_several_or_no_files_are_refused():
    refused({}, "one recording at a time")
    refused(upload("biosig.edf") | upload("biosig.csv"), "one recording at a time: .* found biosig.edf, biosig.csv")
    refused({"a/x.edf": b"1", "b/x.edf": b"2"}, "same name")


def test_an_upload_is_bounded():
    refused({"x": bytes(MAX_UPLOAD_BYTES + 1)}, "at most 20 MB")


def test_paths_that_cannot_be_read_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.edf", "a\0b"):
        with pytest.raises(RecordingError, match="cannot be read"):
            read_recording(path)
    with pytest.raises(RecordingError, match="one recording at a time"):
        read_recording([])
    large = tmp_path / "large"
    with open(large, "wb") as file:
        file.truncate(MAX_UPLOAD_BYTES * 100)
    with pytest.raises(RecordingError, match="too large"):
        read_recording(large)


def test_a_file_that_declares_another_rate_or_unit_than_asked_is_refused():
    refused(upload("biosig.edf"), "says 500 Hz, not 250 Hz", sampling_rate=250)
    refused(upload("biosig.edf"), "declares its units", units="mV")
    assert_is_truth(read_uploaded(upload("biosig.edf"), sampling_rate=500, units="uV"), 1e-4)


def test_what_macos_adds_to_an_archive_is_left_out():
    files = dict(wfdb_record()) | {"__MACOSX/._truth.hea": b"x", ".DS_Store": b"y", "folder/": b""}
    assert_is_truth(read_uploaded(zipped(files)), 1e-6)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"../truth.csv": b"I\n"}, "leads out"),
        ({"/etc/truth.csv": b"I\n"}, "leads out"),
        ({"C:\\truth.csv": b"I\n"}, "leads out"),
        ({"a.csv": b"0" * 10_000_000}, "more than 100 times its size"),
        ({str(number): b"" for number in range(101)}, "more than 100 files"),
        ({"a/x.csv": b"1", "b/x.csv": b"2"}, "two files called"),
        ({"inner.zip": zipped({"a": b"1"})["upload.zip"]}, "another archive"),
        ({"a.csv": table(), "b.csv": table()}, "one recording at a time"),
        ({}, "one recording at a time"),
    ],
)
def test_archives_that_are_no_single_recording_are_refused(files, message):
    refused(zipped(files), message)


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr("ecg.readers.archive.MAX_UNPACKED_BYTES", 1_000_000)
    refused(zipped({str(number): wfdb_record()["truth.dat"] for number in range(9)}), "unpacks to more than 1 MB")


def test_links_and_encrypted_members_are_refused():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        link = zipfile.ZipInfo("truth.dat")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("truth.hea", wfdb_record()["truth.hea"])
    refused({"x.zip": stream.getvalue()}, "a link or special file")
    content = bytearray(zipped({"truth.csv": table()})["upload.zip"])
    content[content.index(b"PK\x01\x02") + 8] |= 1
    refused({"x.zip": bytes(content)}, "encrypted")
    refused(zipped({"truth.csv": table()}, zipfile.ZIP_LZMA), "unusual way")


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for files in (wfdb_record(), upload("biosig.edf"), upload("ecgdatakit.scp"), upload("biosig_aecg.xml")):
        read_uploaded(dict(files))
        broken = {name: content[: len(content) // 2] for name, content in files.items()}
        with pytest.raises(RecordingError):
            read_uploaded(broken)
    assert list(tmp_path.iterdir()) == []


def test_training_does_not_need_the_readers_libraries():
    program = "import sys, ecg.recording; print([m for m in ('pydicom', 'pyedflib', 'ecgdatakit') if m in sys.modules])"
    root = Path(__file__).parents[2]
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"


# -- Broken and hostile bytes -----------------------------------------------------------------------------------------


def outcome(files: dict[str, bytes], **arguments) -> Recording | None:
    """A sound recording or a refusal; every other exception passes through."""
    try:
        recording = read_uploaded(files, **arguments)
    except RecordingError as error:
        assert 0 < len(str(error)) < 2000
        assert str(error).isprintable()
        return None
    assert recording.signal.dtype == np.float32
    assert np.isfinite(recording.signal).all()
    assert recording.present.any()
    assert not recording.signal[~recording.present].any()
    return recording


@cache
def seeds() -> list[dict[str, bytes]]:
    """One upload of each format, short where the format is slow to read."""
    names = ("I", "II", "V1", "V5")
    whole = [upload(name) for name in ("biosig.csv", "biosig.edf", "ecgdatakit_muse.xml", "truth.npz")]
    records = [wfdb_record(code, names, 600, 400) for code in ("16", "24", "212", "516")]
    short = TRUTH[:, :600]
    dataset = pydicom.dcmread(io.BytesIO(dicom_ecg()))
    del dataset.WaveformSequence[1:]
    group = dataset.WaveformSequence[0]
    group.WaveformData, group.NumberOfWaveformSamples = group.WaveformData[: 600 * 24], 600
    stream = io.BytesIO()
    dataset.save_as(stream)
    aecg = re.sub(
        r"<digits>([^<]*)</digits>",
        lambda match: f"<digits>{' '.join(match[1].split()[:600])}</digits>",
        (DATA / "biosig_aecg.xml").read_text(),
    )
    return [
        *whole,
        *(dict(record) for record in records),
        zipped(dict(records[0])),
        {"x.npy": npy(short)},
        {"x.dcm": stream.getvalue()},
        {"x.xml": aecg.encode()},
        {"x.scp": (DATA / "ecgdatakit.scp").read_bytes()},
        {"x.csv": table(rows=600, before="# fs: 500\n")},
    ]


TOKENS = [
    b"",
    b"0",
    b"-1",
    b"1e9",
    b"999999999",
    b"nan",
    b"\0",
    b"\xff\xff\xff\xff",
    b"\0\0\0\x80",
    b"../",
    b"\n",
    b"<",
    b" ",
]


def mutant(generator: random.Random) -> dict[str, bytes]:
    """A real upload with a few bytes, numbers, stretches or its end changed, headers more often than samples."""
    files = dict(generator.choice(seeds()))
    name = generator.choice(sorted(files))
    content = bytearray(files[name])
    for _ in range(generator.choice([1, 1, 2, 3, 8])):
        reach = generator.choice([64, 512, 4096, len(content)])
        place = generator.randrange(max(1, min(len(content), reach)))
        how = generator.randrange(6)
        if how == 0 and content:
            content[min(place, len(content) - 1)] ^= 1 << generator.randrange(8)
        elif how == 1:
            content[place : place + 1] = bytes([generator.randrange(256)])
        elif how == 2:
            content[place : place + generator.randrange(1, 9)] = generator.choice(TOKENS)
        elif how == 3:
            numbers = list(re.finditer(rb"\d+", bytes(content[:4096])))
            if numbers:
                found = generator.choice(numbers)
                content[found.start() : found.end()] = generator.choice(TOKENS)
        elif how == 4:
            source = generator.randrange(max(1, len(content)))
            content[place:place] = content[source : source + generator.choice([1, 4, 16, 256])]
        else:
            end = generator.choice([place, len(content) - 1, len(content) // 2])
            del content[place : max(place, end) if generator.random() < 0.5 else place + generator.randrange(1, 64)]
    return files | {name: bytes(content)}


def read_mutants(seed: int, count: int) -> int:
    """How many of ``count`` mutated uploads were still read; anything but a recording or a refusal is raised."""
    generator = random.Random(seed)
    read = 0
    for _ in range(count):
        arguments = generator.choice([{}, {"sampling_rate": 100, "units": "uV"}, {"sampling_rate": 500, "units": "mV"}])
        read += outcome(mutant(generator), **arguments) is not None
    return read


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_mutated_files_are_read_or_refused():
    assert 0 < read_mutants(seed=0, count=MUTANTS) < MUTANTS


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PK\3\4", b"\x93NUMPY\1\0", b"0       ", b"<AnnotatedECG>", b"I,II\n"]),
)
def test_arbitrary_bytes_are_read_or_refused(content, magic):
    outcome({"x": magic + content}, sampling_rate=500, units="mV")


@given(st.text(alphabet="0123456789 .x:+()/-~mVI\nrd", max_size=200))
def test_arbitrary_headers_are_read_or_refused(text):
    outcome({"r.hea": b"r 1 500 600\n" + text.encode(), "r.dat": bytes(1200)})


@given(
    st.dictionaries(st.text(max_size=8), st.lists(st.one_of(st.none(), st.floats(), st.text(max_size=3)), max_size=5))
)
def test_arbitrary_leads_are_read_or_refused(leads):
    try:
        recording = from_leads(leads | {"I": [0.0] * 5}, RATE, "mV")
    except RecordingError:
        return
    assert np.isfinite(recording.signal).all()
