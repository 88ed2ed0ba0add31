"""WFDB records: formats, missing samples, checksums, and headers that are unsafe or lie."""

import io
from datetime import date

import numpy as np
import pytest
import scipy.io
import soundfile
import wfdb
from wfdb.io.header import parse_header_content, rx_record, rx_signal

from config import LEADS
from ecg.readers import read_recording, wfdb_records
from ecg.readers.wfdb_header import RECORD_LINE, SIGNAL_LINE, split_header
from ecg.recording import RecordingError
from tests.support.ecg_files import RATE, TRUTH, assert_is_truth, changed, leads_of, read, refused, wfdb_record

HEADER, SAMPLES = wfdb_record()["truth.hea"], wfdb_record()["truth.dat"]


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


@pytest.mark.parametrize(("code", "gain"), [("16", 1000), ("24", 1000), ("32", 1000), ("212", 400), ("516", 1000)])
def test_wfdb_formats(code, gain):
    names = LEADS[:2] + LEADS[6:] if code == "516" else LEADS  # FLAC has eight channels at most
    counts = np.round(np.stack(list(leads_of(names=names).values()), axis=1) * gain).astype(int)
    header = f"r {len(names)} 500 5000\n" + "".join(f"r.dat {code} {gain}(0)/mV 16 0 0 0 0 {name}\n" for name in names)
    assert_is_truth(read({"r.hea": header.encode(), "r.dat": signal_file(code, counts)}), 1.1 / gain)


def test_16_bit_files_and_their_mark_of_missing_samples_are_read_as_wfdb_reads_them(tmp_path):
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


def test_a_record_is_read_from_disk_by_its_header_or_all_its_files(tmp_path):
    for name, content in wfdb_record().items():
        (tmp_path / name).write_bytes(content)
    assert_is_truth(read_recording(tmp_path / "truth.hea"), 1e-6)
    assert_is_truth(read_recording([str(tmp_path / name) for name in wfdb_record()]), 1e-6)


def test_matlab_files_of_the_challenges():
    """As the PhysioNet Challenges 2020 and 2021 keep them: ``val`` in MATLAB v4, format 16 from byte 24 on."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"val": TRUTH}, format="4")
    header = "A0001 12 500 5000 12-May-2020 12:33:59\n" + "".join(
        f"A0001.mat 16+24 1000/mV 16 0 {TRUTH[row, 0]} 0 0 {lead}\n" for row, lead in enumerate(LEADS)
    )
    header += "#Age: 74\n#Sex: Male\n#Dx: 59118001\n"
    assert_is_truth(read({"A0001.hea": header.encode(), "A0001.mat": stream.getvalue()}), 1e-6)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_sign_of_micro_survives_in_a_header(encoding):
    header = changed(HEADER, b"1000(0)/mV", "1(0)/µV".encode(encoding))
    assert_is_truth(read({"truth.hea": header, "truth.dat": SAMPLES}), 1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("truth.dat", "../truth.dat", "only plain names"),
        ("truth.dat", "..\\truth.dat", "only plain names"),
        ("truth.dat", "/etc/passwd", "only plain names"),
        ("truth.dat", "http://host/truth.dat", "only plain names"),
        ("truth.dat", "~", "only plain names"),
        (" 5000", " 1000000000", "too much"),
        (" 5000", " 5001", "cut short"),
        (" 5000", "", "does not give the sampling rate and the number of samples"),
        (" 12 500", " 100000 500", "declares 100000 signals"),
        (" 12 500", " 13 500", "declares 13 signals"),
        (" 12 500", " 12 0", "sampling rate"),
        ("1000(0)", "1e", "damaged"),
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
def test_a_header_that_is_unsafe_or_lies_is_refused_in_an_upload_and_on_disk(old, new, message, tmp_path):
    header = changed(HEADER, old.encode(), new.encode())
    refused({"truth.hea": header, "truth.dat": SAMPLES}, message)
    folder = tmp_path / "upload"
    folder.mkdir()
    (folder / "truth.hea").write_bytes(header)
    for path in (folder / "truth.dat", tmp_path / "truth.dat"):
        path.write_bytes(SAMPLES)
    with pytest.raises(RecordingError, match=message):
        read_recording(folder / "truth.hea")


@pytest.mark.parametrize("name", ["record.hea", "record", "0.dat"])
def test_a_signal_file_cannot_take_the_place_of_the_checked_header(name):
    assert_is_truth(read({"truth.hea": changed(HEADER, b"truth.dat", name.encode()), name: SAMPLES}), 1e-6)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"r.hea": b"r/2 12 500 5000\nr1 2500\nr2 2500\n"}, "several segments"),
        ({"r.hea": b"r 1 500 5000\nr.dat 16\n", "r.dat": bytes(10000)}, "no gain above zero"),
        (wfdb_record() | {"copy.hea": HEADER}, "one recording at a time"),
        ({"truth.hea": HEADER}, r"truth\.hea needs truth\.dat"),
        ({"truth.dat": SAMPLES}, "needs its .hea"),
    ],
)
def test_files_that_are_no_single_record_are_refused(files, message):
    refused(files, message)


@pytest.mark.parametrize("code", ["16", "24"])
def test_checksums_are_verified_on_request(code):
    record = wfdb_record(code)
    altered = record | {"truth.dat": changed(record["truth.dat"], 0, bytes([record["truth.dat"][0] ^ 1]))}
    assert wfdb_records.read("truth.hea", record, verify_checksums=True).sampling_rate == RATE
    with pytest.raises(RecordingError, match="do not match the header's checksums"):
        wfdb_records.read("truth.hea", altered, verify_checksums=True)
    assert_is_truth(read(altered), 2e-3)


# -- Whom the recording is of -----------------------------------------------------------------------------------------


def with_comments(comments: str, first_line_end: str = "") -> dict[str, bytes]:
    """The record with comments at the end of its header, and something at the end of its first line."""
    files = wfdb_record()
    first, rest = files["truth.hea"].decode().rstrip("\n").split("\n", 1)
    return files | {"truth.hea": f"{first} {first_line_end}\n{rest}\n{comments}\n".encode()}


@pytest.mark.parametrize(
    ("comments", "age", "sex"),
    [
        ("#Age: 56\n#Sex: Female", 56, "female"),
        ("# Age: 74\n# Sex: Male\n# Dx: 426783006", 74, "male"),
        ("# <age>: 65 <sex>: F <diagnoses> coronary artery disease", 65, "female"),
        ("# age: 0.5\n# gender: m", 0.5, "male"),
        ("# Age: 300\n# Sex: Unknown", 300, ""),
        ("# Age: NaN\n# Sex: NaN", None, ""),
        ("# Age: 999\n# Stage: 3\n# Essex: male", None, ""),
        ("", None, ""),
    ],
)
def test_age_and_sex_come_from_the_comments(comments, age, sex):
    subject = read(with_comments(comments)).subject
    assert (subject.age, subject.sex) == (age, sex)


@pytest.mark.parametrize(
    ("end", "recorded"), [("12:30:00 05/02/2020", date(2020, 2, 5)), ("12:30:00 31/02/2020", None), ("12:30:00", None)]
)
def test_the_day_of_recording_comes_from_the_first_line(end, recorded):
    assert read(with_comments("", end)).subject.recorded == recorded


def test_our_patterns_of_headers_are_those_of_wfdb():
    for ours, theirs in ((RECORD_LINE, rx_record), (SIGNAL_LINE, rx_signal)):
        assert ours.pattern.split() == theirs.pattern.split() and ours.flags == theirs.flags
    text = "rec 1 500 8\n# Age: 5\n\n  x.dat 16 200/mV\n#Sex: F"
    assert split_header(text) == parse_header_content(text)
