"""EDF, DICOM, HL7 aECG, GE MUSE XML and SCP-ECG: what they declare, and refusals of what they lack or get wrong."""

import io
import re
import struct

import numpy as np
import pydicom
import pyedflib
import pytest

from config import LEADS
from ecg.readers import read_uploaded
from ecg.readers.channels import PLAUSIBLE_QRS_MV, typical_amplitude
from tests.support.ecg_files import DATA, TRUTH, assert_is_truth, changed_dicom, dicom_ecg, edf, leads_of, refused


def test_edf_plus_with_annotations_other_signals_and_the_sign_of_micro(tmp_path):
    signals, options = leads_of(TRUTH) | {"Resp": TRUTH[0, ::20]}, {"file_type": pyedflib.FILETYPE_EDFPLUS}
    content = edf(tmp_path / "x.edf", signals, rates={"Resp": 25}, **options)
    for spelled in (b"uV ", "µV ".encode("latin-1")):
        recording = read_uploaded({"x": content.replace(b"uV ", spelled)})
        assert_is_truth(recording, 1e-6)
        assert any("Resp" in note for note in recording.notes)


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


def test_the_dicom_of_a_cart_is_read_with_its_sensitivity():
    """Expected values: pydicom's own conversion, 1.25 µV a count, of the rhythm group."""
    recording = read_uploaded({"ecg": dicom_ecg()})
    dataset = pydicom.dcmread(io.BytesIO(dicom_ecg()))
    np.testing.assert_allclose(recording.signal, dataset.waveform_array(0).T / 1000, atol=1e-6)
    assert (recording.sampling_rate, recording.duration) == (1000, 10)
    assert recording.present.all()
    assert any("RHYTHM" in note for note in recording.notes)
    assert PLAUSIBLE_QRS_MV[0] < typical_amplitude(recording.signal, 1000) < PLAUSIBLE_QRS_MV[1]


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
    ],
)
def test_xml_that_leaves_out_what_matters_is_refused(name, old, new, message):
    refused(changed_text(name, old, new), message)


def test_a_muse_lead_that_is_there_twice_is_left_out_with_a_note():
    recording = read_uploaded(changed_text("ecgdatakit_muse.xml", "<LeadID>V6<", "<LeadID>V5<"))
    assert not recording.present[LEADS.index("V6")]
    assert any("V5_2" in note for note in recording.notes)


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
