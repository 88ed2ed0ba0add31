"""CSV, TSV, NPY and NPZ: numbers whose rate and units the file or the caller gives."""

import numpy as np
import pytest

from config import LEADS
from tests.support.ecg_files import RATE, TRUTH, TRUTH_MV, assert_is_truth, changed, npy, npz, read, refused, table


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
    assert_is_truth(read(table(delimiter=delimiter, before=before, unit=unit), **arguments), 1e-6, 1000)


@pytest.mark.parametrize(("name", "factor"), [("time_s", 1), ("Time (ms)", 1000), ("seconds", 1), ("t [us]", 1e6)])
def test_a_time_column_gives_the_rate(name, factor):
    lines = table(unit="_mV").decode().splitlines()
    rows = [f"{round(index / RATE * factor, 4)},{line}" for index, line in enumerate(lines[1:])]
    timed = "\n".join([f"{name},{lines[0]}", *rows]).encode()
    assert_is_truth(read(timed), 1e-6, 1000)
    refused("\n".join([f"{name},{lines[0]}", *rows[:300], *rows[320:]]).encode(), "uneven")
    refused("\n".join([f"{name},{lines[0]}", *rows[::-1]]).encode(), "does not rise")
    refused(changed(timed, name.encode(), b"time"), "sampling rate is not in the file")


def test_decimal_commas_windows_lines_utf_16_and_a_spreadsheets_micro_in_latin_1():
    text = table(delimiter=";", before="# fs: 500\n").decode().replace(".", ",").replace("\n", "\r\n")
    for content in (text.encode(), text.encode("utf-16")):
        assert_is_truth(read(content), 1e-6, 1000)
    latin = table(unit=" (µV)", before="# fs: 500\n").decode().encode("latin-1")
    np.testing.assert_allclose(read(latin).signal, TRUTH_MV[:, :1000] / 1000, atol=1e-9)


def test_empty_cells_are_gaps_and_other_columns_are_named():
    lines = table(before="# fs: 500\n", names=("I", "II")).decode().splitlines()
    lines[10] = "," + lines[10].split(",")[1]
    recording = read("\n".join(lines).encode())
    assert any(note.startswith("lead I: 1 gap(s) of up to 2 ms") for note in recording.notes)
    lines[20] = ","
    notes = [note for note in read("\n".join(lines).encode()).notes if "interpolated" in note]
    assert len(notes) == 1 and notes[0].startswith("leads I, II: 3 gap(s) of up to 2 ms")
    other = read(changed(table(names=("I", "II"), before="# fs: 500\n"), b"II (mV)", b"pulse"))
    assert any("pulse" in note for note in other.notes)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (table(), {}, "sampling rate is not in the file"),
        (table(unit=""), {"sampling_rate": 500}, "unit of I is not in the file"),
        (table(), {"sampling_rate": 500, "units": "uV"}, "unit of I is mV in the file and uV by request"),
        (table(before="# fs: 250\n"), {"sampling_rate": 500}, "250.0 in the file and 500 by request"),
        (table().split(b"\n", 1)[1], {"sampling_rate": 500, "units": "mV"}, "no channel is named like"),
        (table(), {"sampling_rate": "fast"}, "sampling rate"),
        (table().replace(b"0.0", b"zero"), {"sampling_rate": 500}, "something else than numbers"),
        (b"I (mV)\n", {"sampling_rate": 500}, "no columns|no samples|damaged|numbers"),
        (b"hello, world\n1, 2\n", {}, "no channel is named .* found hello, world; a table needs"),
        (b"hello, world\nhow are you?\n", {}, "^no lead is named at the top of the file, no numbers are below"),
        (b"I," * 1_000_000, {}, "no header row"),
        (b"# " * 1_000_000, {}, "no header row"),
        (b"<html></html>", {}, "XML, but neither"),
        (b'{"sampling_rate": 500, "leads": {"I": [0.1]}}', {}, "JSON, which the server reads"),
        (b"\xef\xbb\xbf [0.1, 0.2", {}, "JSON that is cut short"),
        (b"[" * 100_000, {}, "JSON that is cut short or damaged"),
        (b"", {}, "no format known here"),
    ],
)
def test_tables_that_leave_something_open_are_refused(content, arguments, message):
    refused(content, message, **arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int16, ">f4", ">i2", np.int64])
@pytest.mark.parametrize("transposed", [False, True])
def test_bare_arrays(dtype, transposed):
    array = TRUTH.astype(dtype)
    recording = read(npy(array.T if transposed else array), sampling_rate=500, units="uV")
    np.testing.assert_allclose(recording.signal, array.astype(np.float64) / 1000, atol=1e-6)
    assert any("not named" in note for note in recording.notes)


def test_archives_of_arrays_name_their_leads_and_rate():
    recording = read(npz(signal=TRUTH[::-1].T, sampling_rate=500.0, leads=LEADS[::-1], units=["uV"] * 12))
    assert_is_truth(recording, 1e-6)
    assert recording.notes == ()
    assert read(npz(signal=TRUTH_MV[:2], leads=["I", "II"]), sampling_rate=500, units="mV").present.sum() == 6
    refused(npz(signal=TRUTH_MV), "sampling rate is not in the file")
    refused(npz(signal=TRUTH, sampling_rate=250), "250 in the file and 500 by request", sampling_rate=500)


EMPTY = npy(np.zeros((12, 500)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(np.zeros((12, 12))), "which side"),
        (npy(np.zeros((8, 5000))), "which side"),
        (npy(np.zeros(5000)), "shape"),
        (npy(np.zeros((12, 0))), "claims the shape"),
        (npy(np.zeros((12, 500), complex)), "complex128 is not read"),
        (npy(np.zeros(12, [("I", float)])), "is not read"),
        (npy(np.full((12, 500), "a")), "must be numbers"),
        (changed(EMPTY, b"(12, 500), }     ", b"(12, 50000000), }"), "claims the shape"),
        (EMPTY[:-8], "claims the shape"),
        (changed(EMPTY, 6, b"\x03"), "unknown version"),
        (npz(signal=TRUTH, sampling_rate="fast"), "must be one number, in Hz"),
        (npz(signal=TRUTH, units=["uV", "mV"]), "2 units for 12 leads"),
        (npz(signal=TRUTH, leads=range(12)), "leads in the NPZ file must be text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "array",
)
def test_arrays_that_are_no_recording_are_refused(content, message):
    refused(content, message, sampling_rate=500, units="mV")


def test_nothing_is_ever_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    traps = np.array([Trap()], dtype=object)
    refused(npy(traps), "object is not read", sampling_rate=500, units="mV")
    refused(npz(signal=TRUTH, units=traps), "object is not read", sampling_rate=500)
    assert not (tmp_path / "sprung").exists()
