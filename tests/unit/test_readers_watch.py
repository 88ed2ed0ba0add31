"""Apple Health's export of a watch's ECG: known in any language, and nothing of whose it is comes out."""

import logging
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import LEADS
from ecg.preprocessing import model_input
from ecg.readers import read_recording, read_uploaded
from ecg.readers.folders import why_no_recording
from ecg.recording import RecordingError
from ecg.stretches import stretch_starts
from tests.support.ecg_files import TRUTH, read, refused, zipped
from tests.support.watch_files import BIRTH_DATE, HEADERS, NAME, PRIVATE, assert_is_lead_one, watch_ecg


@pytest.mark.parametrize("language", HEADERS)
@pytest.mark.parametrize("decimal", [".", ","])
def test_every_language_gives_lead_one_and_the_day(language, decimal):
    recording = read(watch_ecg(language, decimal=decimal).encode())
    assert_is_lead_one(recording)
    assert recording.subject.recorded == date(2023, 5, 1)
    assert recording.notes == (f"missing leads: {', '.join(LEADS[1:])}",)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n\n",
        lambda text: text.replace(f"Name,{NAME}", "Name"),
        lambda text: text.replace(",", "\t").replace("\t7", ",7"),
        lambda text: text.replace(",", ";").replace("\n", ";\n"),
        lambda text: text.replace("Lead,Lead I\nUnit,µV", "Unit,µV\nLead,Lead I"),
        lambda text: text.replace("Symptoms,\n", "Average Heart Rate,120 bpm\n"),
        lambda text: text.replace("µV\n\n", "µV\nAverage Heart Rate,120 BPM\n\n"),
        lambda text: text.replace("500 hertz", '"500.0 Hertz"'),
        lambda text: text.replace(NAME, "512 Smith"),
    ],
)
def test_variations_of_the_same_export(change):
    assert_is_lead_one(read(change(watch_ecg()).encode()))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_encodings_and_an_archive(encoding):
    content = watch_ecg("German", decimal=",").encode(encoding)
    assert_is_lead_one(read(content))
    assert_is_lead_one(read(zipped({"electrocardiograms/ecg_2023-05-01.csv": content})))


def test_millivolts_a_fraction_of_hertz_and_another_lead():
    text = watch_ecg("German", samples=1000).replace("µV", "mV").replace("500,0", "511,562").replace("ung I", "ung II")
    recording = read(text.encode())
    assert recording.sampling_rate == 511.562
    assert recording.present.tolist() == [lead == "II" for lead in LEADS]
    np.testing.assert_allclose(recording.signal[1], TRUTH[0, :1000], atol=1e-3)


def test_half_a_minute_is_cut_into_three_stretches():
    above, mark, below = watch_ecg().replace("500 hertz", "512.844 hertz").partition("Unit,µV\n")
    samples = (below.split() * 4)[:15_360]
    recording = read("\n".join([above + mark, *samples]).encode())
    signal = model_input(recording, input_scale=1.0)
    assert signal.shape == (12, 2996) and not signal[1:].any()
    assert len(stretch_starts(signal.shape[1])[0]) == 3


def test_an_empty_line_is_a_missing_sample():
    lines = watch_ecg(samples=1000).split("\n")
    lines[100:103] = ["", "", ""]
    recording = read("\n".join(lines).encode())
    assert recording.signal.shape[1] == 1000
    assert any(note.startswith("lead I: 1 gap(s) of up to 6 ms") for note in recording.notes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("500 hertz", "500", "no sampling rate"),
        ("500 hertz", "50 hertz", "no sampling rate"),
        ("500 hertz", "1.234,5 hertz", "no sampling rate"),
        ("500 hertz", "300 Ruten\nPuls,500 Ellen", "no sampling rate"),
        ("Unit,µV", "Unit,counts", "no unit"),
        ("Lead,Lead I\n", "", "no lead beside the unit"),
        ("Lead,Lead I\n", "Lead,Lead I or II\n", "no lead beside the unit"),
        ("Lead,Lead I\n", "Lead,-aVR\n", "no lead beside the unit"),
        ("\n\n", "\n1,234.5\n", "one number a line"),
        ("\n\n", "\n1\t2\n", "one number a line"),
        ("2023-05-01", "2023-13-41", None),
    ],
)
def test_what_an_export_lacks_is_named(old, new, message):
    text = watch_ecg(samples=1000)
    assert old in text
    head, _, tail = text.rpartition(old) if old == "\n\n" else text.partition(old)
    if message is None:
        assert read((head + new + tail).encode()).subject.recorded is None
    else:
        refused((head + new + tail).encode(), message)


def test_no_samples_and_a_contradiction_by_the_caller():
    refused(watch_ecg(samples=0).encode(), "no samples")
    refused(watch_ecg().encode(), "unit of I is µV|unit of I is μV", units="mV")
    refused(watch_ecg().encode(), "500.0 in the file and 512 by request", sampling_rate=512)
    assert_is_lead_one(read(watch_ecg().encode(), units="uV", sampling_rate=500))


def test_a_broken_byte_far_below_and_a_long_run_of_spaces():
    text = watch_ecg()
    refused(("\u05d0\n" + text).encode() + b"\xff\n", "no lines of keys and values")  # all is Latin-1 then
    refused((text + " " * 5_000_000 + "x").encode(), "one number a line")


def test_a_folder_finds_it_and_still_passes_over_other_tables(tmp_path):
    (tmp_path / "ecg.csv").write_text(watch_ecg("Japanese", samples=15_000), encoding="utf-8")
    (tmp_path / "labs.csv").write_text("test,value\nHaemoglobin,14 g\nPotassium,4 mmol\nSodium,140 mmol\n")
    assert why_no_recording(tmp_path / "ecg.csv") is None
    assert why_no_recording(tmp_path / "labs.csv") == "text without leads"
    assert_is_lead_one(read_recording(tmp_path / "ecg.csv"))


def outcome(content: bytes, **arguments) -> str:
    """All that comes out beside the numbers: of the recording, or of the refusal and what it came of."""
    try:
        recording = read_uploaded({"ecg.csv": content}, **arguments)
    except RecordingError as error:
        return f"{error}"
    return f"{recording.notes} {recording.subject}"


def assert_private(text: str) -> None:
    assert not any(word.lower() in text.lower() for word in PRIVATE), text


@pytest.mark.parametrize("language", HEADERS)
def test_name_and_birth_date_are_nowhere(language, caplog, recwarn, capfd):
    caplog.set_level(logging.DEBUG)
    text = watch_ecg(language, samples=600)
    lines = text.split("\n")
    for end in range(1, 20):  # a file cut short after any line, and without any of its lines
        for part in (lines[:end], lines[: end - 1] + lines[end:]):
            for arguments in ({}, {"sampling_rate": 300, "units": "V"}):
                assert_private(outcome("\n".join(part).encode(), **arguments))
    swapped = text.replace(f"{NAME}\n", "\n") + f"{NAME}\n{BIRTH_DATE}\n"
    assert_private(outcome(swapped.encode()))
    captured = capfd.readouterr()
    assert_private(caplog.text + captured.out + captured.err + " ".join(str(warning.message) for warning in recwarn))


@given(st.data())
def test_a_mangled_header_never_gives_the_name_away(data):
    content = watch_ecg(data.draw(st.sampled_from(sorted(HEADERS))), samples=20)
    first, *rest = content.split("\n")
    body = "\n".join(rest)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = start + data.draw(st.integers(0, 12))
        body = body[:start] + data.draw(st.text("\n,;\t\"'µVI1 ", max_size=4)) + body[end:]
    assert_private(outcome(f"{first}\n{body}".encode()))
