"""EDF, DICOM, HL7 aECG, GE MUSE XML and SCP-ECG: what they declare, and refusals of what they lack or get wrong."""

import struct

import numpy as np
import pydicom
import pytest
from pyedflib import FILETYPE_EDFPLUS, highlevel

from config import LEADS
from ecg.quality import assess
from tests.support.ecg_files import (
    RATE,
    TRUTH,
    assert_is_truth,
    changed,
    changed_dicom,
    committed,
    dicom_ecg,
    leads_of,
    read,
    refused,
)


def test_edf_plus_with_annotations_other_signals_and_the_sign_of_micro(tmp_path):
    signals = {lead: values.astype(float) for lead, values in leads_of(TRUTH).items()} | {"Resp": np.zeros(250)}
    headers = [
        highlevel.make_signal_header(label, "uV", RATE * len(values) / 5000, physical_min=-32768, physical_max=32767)
        for label, values in signals.items()
    ]
    path = str(tmp_path / "x.edf")
    highlevel.write_edf(path, list(signals.values()), headers, file_type=FILETYPE_EDFPLUS)
    content = (tmp_path / "x.edf").read_bytes()
    for spelled in (b"uV ", "µV ".encode("latin-1")):
        recording = read(changed(content, b"uV ", spelled))
        assert_is_truth(recording, 1e-6)
        assert "ignored channels that are none of the 12 leads: Resp" in recording.notes
    refused(content.replace(b"V6  ", b"Pulse").replace(b"Resp", b"V6  "), "different sampling rates")


SCP_LEADS, SCP_RHYTHM = 284, 374  # where these sections of the committed file have their data


@pytest.mark.parametrize(
    ("name", "place", "new", "message"),
    [
        ("biosig.edf", 192, b"EDF+D", "interrupted"),
        ("biosig.edf", 236, b"-1      ", "not finished"),
        ("biosig.edf", 236, b"99999999", "cut short"),
        ("biosig.edf", 244, b"0       ", "not finished"),
        ("biosig.edf", 244, b"nan     ", "not finished|sampling rate"),
        ("biosig.edf", 244, b"1e-9    ", "sampling rate"),
        ("biosig.edf", 252, b"9999", "1 to 64"),
        ("biosig.edf", 252, b"0   ", "1 to 64"),
        ("biosig.edf", 252, b"  IV", "damaged"),
        ("biosig.edf", 256 + 12 * 104, b"784     ", "damaged"),  # the first lead's physical minimum, now its maximum
        ("biosig.edf", 256 + 12 * 216, b"1000000 ", "cut short"),
        ("biosig.edf", 256 + 12 * 216, b"-500    ", "cut short"),
        ("biosig.edf", 256 + 12 * 96, b"mmHg    ", "no voltage"),
        ("biosig.edf", 256, b"Lead II ", "II is there twice"),
        ("biosig_aecg.xml", b'unit="uV"', b'unit="adu"', "no amplitude unit|no voltage"),
        ("biosig_aecg.xml", b"MDC_ECG_LEAD_", b"MDC_ECG_LEAD_X", "no channel is named"),
        ("biosig_aecg.xml", b"<increment", b"<decrement", "not a readable"),
        ("biosig_aecg.xml", b"</AnnotatedECG>", b"", "not a readable"),
        ("ecgdatakit_muse.xml", b">4.88<", b">0<", "scale of zero"),
        ("ecgdatakit_muse.xml", b"MICROVOLTS", b"FURLONGS", "no amplitude unit"),
        ("ecgdatakit_muse.xml", b"<SampleBase>500<", b"<SampleBase>0<", "SampleBase"),
        ("ecgdatakit_muse.xml", b"<SampleExponent>0<", b"<SampleExponent>300<", "sampling rate|not a readable"),
        ("ecgdatakit.scp", SCP_LEADS, b"\xff", "255 leads; 1 to 64"),
        ("ecgdatakit.scp", SCP_LEADS, b"\x10", "16 leads and does not describe them"),
        ("ecgdatakit.scp", SCP_LEADS + 6, b"\xff\xff\xff\x7f", "do not start and end together"),
        ("ecgdatakit.scp", SCP_LEADS + 2, b"\x02", "do not start and end together"),
        ("ecgdatakit.scp", struct.pack("<II", 1, 5000), struct.pack("<II", 1, 4_000_000_000), "those of a resting"),
        ("ecgdatakit.scp", SCP_RHYTHM, b"\0\0", "no amplitude unit"),
        ("ecgdatakit.scp", SCP_RHYTHM + 2, b"\0\0", "not a readable SCP-ECG file"),
    ],
)
def test_a_file_that_lies_or_leaves_out_what_matters_is_refused(name, place, new, message):
    refused(changed(committed(name), place, new), message)


def test_what_would_cost_minutes_or_memory_is_refused_at_once():
    refused(b"<AnnotatedECG>" + b"<a/>" * 1_000_000, "more than 200000 tags")
    refused(b"<AnnotatedECG " + b"a=''" * 1_000_000, "more than 200000 tags or attributes")
    refused(b"<AnnotatedECG>" + b"<component>" * 100_000, "not a readable")
    refused(committed("ecgdatakit.scp") + bytes(2_000_000), "at most 1 MB")
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 500_000
    head = dicom_ecg()[: dicom_ecg().index(b"\x08\x00\x05\x00")]
    content = head + b"\x00\x54\x00\x01SQ\0\0" + struct.pack("<I", len(items)) + items
    refused(content, "more than 10000 items")
    refused(content + bytes(2_000_000), "at most 5 MB")


@pytest.mark.parametrize("root", ["AnnotatedECG", "RestingECG", "restingecgdata", "ECG"])
def test_billion_laughs_and_outside_entities_are_refused(root, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("12 13 14")
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    for entities, use in ((f'<!ENTITY l0 "ha">{laughs}', "&l9;"), (f'<!ENTITY x SYSTEM "{secret.as_uri()}">', "&x;")):
        content = f'<?xml version="1.0"?><!DOCTYPE {root} [{entities}]><{root}><CHANNEL/>{use}</{root}>'
        refused(content.encode(), "entity|entities")


def test_what_a_file_of_exchange_formats_says_beyond_the_usual_is_noted_or_kept():
    twice = read(changed(committed("ecgdatakit_muse.xml"), b"<LeadID>V6<", b"<LeadID>V5<"))
    assert not twice.present[LEADS.index("V6")]
    assert any("V5_2" in note for note in twice.notes)
    wrong_checksum = read(changed(committed("ecgdatakit.scp"), 0, bytes([committed("ecgdatakit.scp")[0] ^ 1])))
    assert any("CRC" in note for note in wrong_checksum.notes)
    aecg = committed("biosig_aecg.xml")
    increment = aecg[aecg.index(b"<increment") :].split(b">", 1)[0]
    uneven = read(changed(aecg, increment, b'<increment value="0.0039" unit="s"/'))
    assert uneven.sampling_rate == pytest.approx(1 / 0.0039)


def test_the_dicom_of_a_cart_is_read_with_its_sensitivity():
    """Expected values: pydicom's own conversion, 1.25 µV a count, of the rhythm group."""
    recording = read(dicom_ecg())
    dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(dicom_ecg()))
    np.testing.assert_allclose(recording.signal, dataset.waveform_array(0).T / 1000, atol=1e-6)
    assert (recording.sampling_rate, recording.duration) == (1000, 10)
    assert recording.present.all()
    assert any("RHYTHM" in note for note in recording.notes)
    assert not any("units" in flag.name for flag in assess(recording).flags)


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
        first.ChannelSensitivity, first.ChannelSensitivityCorrectionFactor = "0.00125", "2"
        first.ChannelBaseline = "0.5"
        first.ChannelSensitivityUnitsSequence[0].CodeValue = "mV"
        first.ChannelSourceSequence[0].CodeMeaning = "Ableitung Eins"

    before, after = read(dicom_ecg()), read(changed_dicom(change))
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
        (lambda d: setattr(d.file_meta, "TransferSyntaxUID", pydicom.uid.DeflatedExplicitVRLittleEndian), "deflated"),
    ],
)
def test_a_dicom_that_lies_or_lacks_its_calibration_is_refused(change, message):
    refused(changed_dicom(change), message)


def test_a_big_endian_dicom_is_refused():
    def change(dataset):
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian

    refused(changed_dicom(change, implicit_vr=False, little_endian=False, force_encoding=True), "big-endian")
