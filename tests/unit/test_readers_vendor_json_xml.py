"""Philips Sierra XML, Mortara ELI XML and Kardia JSON: what they declare, what is refused, and whose they are."""

import json
import logging
import re

import numpy as np
import pytest

from config import LEADS
from ecg.readers.folders import why_no_recording
from ecg.recording import RecordingError
from tests.support.ecg_files import TRUTH_MV, changed, committed, read, refused
from tests.support.vendor_files import (
    KARDIA_NAMES,
    kardia_recording,
    sierra,
    sierra_unpacked,
    sierra_with_samples,
    xli_bomb,
)


def kardia(**changes) -> bytes:
    """A Kardia recording with parts of its raw signal replaced; None leaves one out."""
    recording = kardia_recording()
    raw = recording["data"]["raw"] | changes
    recording["data"]["raw"] = {key: value for key, value in raw.items() if value is not None}
    return json.dumps(recording).encode()


@pytest.mark.parametrize("names", [tuple(KARDIA_NAMES), ("leadI", "leadII"), ("leadI",)])
def test_kardia_recordings_of_one_and_six_leads(names, tmp_path):
    content = json.dumps(kardia_recording(names), indent=1).encode()
    recording = read(content)
    there = ["I", "II", "III", "aVR", "aVL", "aVF"] if len(names) > 1 else ["I"]
    assert [lead for lead, present in zip(LEADS, recording.present, strict=True) if present] == there
    np.testing.assert_allclose(recording.signal[:2][recording.present[:2]], TRUTH_MV[: min(len(names), 2)], atol=3e-4)
    assert recording.sampling_rate == 500
    (tmp_path / "a.json").write_bytes(content)
    (tmp_path / "b.json").write_bytes(b'{"recordedAt": "2021", "leads": {}}')
    assert why_no_recording(tmp_path / "a.json") is None
    assert why_no_recording(tmp_path / "b.json") == "JSON"


def test_kardia_keeps_a_fraction_of_hertz_and_reads_the_unfiltered_signal():
    recording = kardia_recording()
    recording["data"]["raw"]["frequency"] = 300.25
    samples = {name: [0] * 5000 for name in KARDIA_NAMES}
    recording["data"]["enhanced"] = recording["data"]["raw"] | {"samples": samples, "frequency": 300}
    read_back = read(json.dumps(recording).encode())
    assert read_back.sampling_rate == 300.25
    assert np.ptp(read_back.signal[1]) > 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (kardia(amplitudeResolution=None), "no amplitude unit"),
        (kardia(amplitudeResolution=0), "no amplitude unit"),
        (kardia(frequency=None), "not a readable AliveCor Kardia JSON file"),
        (kardia(frequency=1e999), "not a readable AliveCor Kardia JSON file"),
        (kardia(frequency=3), "sampling rate of 3"),
        (kardia(samples={"leadX": [1, 2]}), "no channel is named"),
        (kardia(samples={"leadI": [1, 2], "leadII": [1]}), "equally many samples"),
        (kardia(samples={"leadI": [[1, 2], [1, 2]]}), "not a readable"),
        (kardia(samples={"leadI": ["a"]}), "not a readable"),
        (kardia(samples={"leadI": []}), "no samples"),
        (kardia()[:-2], "not a readable AliveCor Kardia JSON file: Malformed"),
        (kardia().replace(b'"data"', b'"data12L"'), "12L recordings are not supported"),
        (b'{"recordedAt": 1, "patientID": ' + b"[" * 100_000, "not a readable"),
        (b'{"recordedAt": 1, "patientID": [' + b"0," * 4_100_000, "more than 4000000 values"),
    ],
)
def test_a_kardia_recording_that_lies_or_leaves_out_what_matters_is_refused(content, message):
    refused(content, message)


@pytest.mark.parametrize(
    ("place", "new", "message"),
    [
        ("PhilipsECG", "OtherECG", "OtherECG 1.04 are unsupported"),
        ("<resolution>5</resolution>", "", None),
        ('samplespersecond="500"', 'samplespersecond="20"', "sampling rate of 20"),
        ('durationperchannel="10000"', 'durationperchannel="20000"', "10000 expected"),
        ('compression="XLI"', 'compression="ZIP"', "Compression unsupported"),
        ('compression="XLI"', "", "holds .* bytes"),
        ('leadlabels="I II', 'leadlabels="I I', None),
        ("V5 V6", "V5 V5R", None),
        ("<numberchannelsallocated>12<", "<numberchannelsallocated>1<!-- -->e9<", "more than 64 channels"),
        ("<numberchannelsvalid>12<", "<numberchannelsvalid>65<", "more than 64 channels"),
        ("</restingecgdata>", "", "not a readable Philips"),
    ],
)
def test_what_a_philips_file_declares_counts(place, new, message):
    content = sierra(place, new)
    if message:
        refused(content, message)
    else:
        assert read(content).present[:2].any()


def test_a_philips_file_with_unpacked_samples():
    recording = read(sierra_unpacked(1000))
    assert recording.present.all() and recording.duration == 2
    np.testing.assert_allclose(recording.signal, TRUTH_MV[:, :1000], atol=2.6e-3)


def test_a_philips_file_without_a_resolution_is_refused():
    refused(re.sub(rb'resolution="5"|<resolution>5</resolution>', b"", sierra("V6", "V6")), "no amplitude unit")


def test_packed_samples_of_a_philips_file_are_unpacked_within_limits():
    refused(sierra_with_samples(xli_bomb(8000)), "unpack to more than 2 MB")
    refused(sierra_with_samples("AAAA"), "truncated header")
    refused(sierra_with_samples("A" * 24), "invalid size")
    refused(sierra_with_samples("not Base64!"), "not in Base64")
    refused(sierra_with_samples(""), "no waveform data")


@pytest.mark.parametrize(
    ("place", "new", "message"),
    [
        (b'UNITS_PER_MV="400"', b"", "no amplitude unit"),
        (b'UNITS_PER_MV="400"', b'UNITS_PER_MV="-1"', "no amplitude unit"),
        (b'SAMPLE_FREQ="500"', b'SAMPLE_FREQ="fast"', "not a readable Mortara"),
        (b'DURATION="5000"', b'DURATION="6000"', "DATA holds 5000 samples"),
        (b'ENCODING="BASE64" DATA="', b'ENCODING="BASE64" DATA="A', "not a readable Mortara"),
        (b'BITS="16" FORMAT="SIGNED" UNITS_PER_MV="400"', b'BITS="8" FORMAT="SIGNED"', "16-bit signed"),
        (b'NAME="V', b'NAME="Pulse', None),
        (b'NAME="I"', b'NAME="Impedance"', "fewer"),
        (b"</ECG>", b"", "not a readable Mortara"),
    ],
)
def test_what_a_mortara_file_declares_counts(place, new, message):
    content = changed(committed("ecgdatakit_eli.xml"), place, new)
    if message == "fewer":
        assert read(content).present.tolist() == [lead in ("II", "V1", "V2", "V3", "V4", "V5", "V6") for lead in LEADS]
    elif message:
        refused(content, message)
    else:
        assert read(content).present.sum() == 6


PEOPLE = ("Doe", "Jérôme", "José", "Neil", "1980-06-15", "19900515", "1990-05-15", "Erika", "Mustermann", "1964")


@pytest.mark.parametrize("name", ["ecgdatakit_sierra.xml", "ecgdatakit_eli.xml", "kardia"])
def test_name_and_birth_date_are_nowhere(name, caplog, recwarn, capfd):
    caplog.set_level(logging.DEBUG)
    content = kardia() if name == "kardia" else committed(name)
    said = []
    for cut in (len(content), len(content) - 1, len(content) // 2, *range(0, 8000, 250)):
        try:
            recording = read(content[:cut])
            said.append(f"{recording.notes} {recording.subject}")
        except RecordingError as error:
            said.append(str(error))
    captured = capfd.readouterr()
    said += [caplog.text, captured.out, captured.err, *(str(warning.message) for warning in recwarn)]
    assert not [person for person in PEOPLE if person in " ".join(said)]
    assert any(person in content.decode("utf-8" if name != "ecgdatakit_sierra.xml" else "utf-16") for person in PEOPLE)
