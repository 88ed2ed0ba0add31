"""Uploads and files on disk: formats known by content, archives, limits, and what becomes of errors."""

import io
import logging
import stat
import threading
import tracemalloc
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from ecg.readers import MAX_UPLOAD_BYTES, read_recording, vendor_formats
from ecg.readers.formats import split_recordings
from ecg.recording import RecordingError
from ecg.warnings_lock import caught_warnings
from tests.support.ecg_files import DATA, assert_is_truth, changed, committed, read, refused, table, wfdb_record, zipped


@pytest.mark.parametrize(
    ("name", "tolerance_mv"),
    [
        ("biosig.edf", 1e-4),  # 16 bits over each lead's own range
        ("biosig_aecg.xml", 1.1e-3),  # whole µV; a derived lead adds two roundings
        ("ecgdatakit.scp", 1.1e-3),
        ("ecgdatakit_muse.xml", 7.4e-3),  # 4.88 µV a step
        ("ecgdatakit_sierra.xml", 2.6e-3),  # 5 µV a step
        ("ecgdatakit_eli.xml", 3.8e-3),  # 2.5 µV a step
        ("truth.npz", 1e-6),
    ],
)
def test_files_of_other_software_hold_the_truth(name, tolerance_mv):
    assert_is_truth(read({"known by content": committed(name)}), tolerance_mv)
    assert_is_truth(read_recording(DATA / name), tolerance_mv)
    if not name.endswith(".npz"):
        assert_is_truth(read(zipped({name: committed(name)})), tolerance_mv)


def test_rate_and_units_that_are_given_complete_a_file_or_agree_with_it():
    assert_is_truth(read(committed("biosig.csv"), sampling_rate=100), 1e-6, step=5)
    refused(committed("biosig.csv"), "sampling rate is not in the file; give it as sampling_rate=")
    assert_is_truth(read(committed("biosig.edf"), sampling_rate=500, units="uV"), 1e-4)
    refused(committed("biosig.edf"), "sampling rate is 500.0 in the file and 250 by request", sampling_rate=250)
    refused(committed("biosig.edf"), "unit of I is uV in the file and mV by request", units="mV")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "one recording at a time"),
        ({"x.edf": b"1", "x.csv": b"2"}, "one recording at a time: .* found x.edf, x.csv"),
        ({"a/x.edf": b"1", "b/x.edf": b"2"}, "same name"),
        ({"x": bytes(MAX_UPLOAD_BYTES + 1)}, "at most 20 MB"),
    ],
)
def test_uploads_that_are_no_single_recording_are_refused(files, message):
    refused(files, message)


def renamed_record(name):
    record = wfdb_record()
    return {f"{name}.hea": record["truth.hea"].replace(b"truth", name.encode()), f"{name}.dat": record["truth.dat"]}


def test_the_files_of_an_upload_are_told_apart_recording_by_recording():
    first, second = renamed_record("a"), renamed_record("b")
    damaged = {"c.hea": first["a.hea"].replace(b"a.dat", b"../a.dat")}
    elsewhere = {f"day 2\\{name}": content for name, content in first.items()}
    files = {"b.dat": second["b.dat"], **first, **elsewhere, "b.hea": second["b.hea"], "x.csv": b"I,II\n", **damaged}
    found = [list(recording) for recording in split_recordings(files)]
    assert found == [["a.hea", "a.dat"], ["day 2\\a.hea", "day 2\\a.dat"], ["b.hea", "b.dat"], ["x.csv"], ["c.hea"]]
    assert split_recordings({}) == []
    assert len(split_recordings({"a/x.csv": b"1", "a\\x.csv": b"2", "": first["a.hea"], "..": b"3"})) == 4


def test_paths_that_cannot_be_read_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.edf", "a\0b"):
        with pytest.raises(RecordingError, match="cannot be read"):
            read_recording(path)
    large = tmp_path / "large"
    with open(large, "wb") as file:
        file.truncate(MAX_UPLOAD_BYTES * 100)
    for paths, message in (([], "one recording"), (large, "too large"), ([large, large], "two files are called")):
        with pytest.raises(RecordingError, match=message):
            read_recording(paths)


def test_an_archive_may_hold_folders_and_what_macos_adds():
    files = {f"folder/{name}": content for name, content in wfdb_record().items()}
    assert_is_truth(read(zipped(files | {"__MACOSX/._truth.hea": b"x", ".DS_Store": b"y", "folder/": b""})), 1e-6)


def linked() -> bytes:
    """An archive with a link in it."""
    link = zipfile.ZipInfo("truth.dat")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("truth.hea", wfdb_record()["truth.hea"])
    return stream.getvalue()


def changed_entry(content: bytes, offset: int, new: bytes) -> bytes:
    """An archive of one file with bytes of its directory changed."""
    return changed(content, content.index(b"PK\x01\x02") + offset, new)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"../truth.csv": b"I\n"}), "leads out"),
        (zipped({"/etc/truth.csv": b"I\n"}), "leads out"),
        (zipped({"C:\\truth.csv": b"I\n"}), "leads out"),
        (zipped({"a.csv": b"0" * 10_000_000}), "more than 100 times its size"),
        (zipped({str(number): b"" for number in range(101)}), "more than 100 files"),
        (zipped({"a/x.csv": b"1", "b/x.csv": b"2"}), "two files called"),
        (zipped({"inner.zip": zipped({"a": b"1"})}), "another archive"),
        (zipped({"a.csv": table(), "b.csv": table()}), "one recording at a time"),
        (zipped({}), "one recording at a time"),
        (zipped({str(number): wfdb_record()["truth.dat"] for number in range(9)}), "unpacks to more than 1 MB"),
        (zipped({"truth.csv": table()}, zipfile.ZIP_LZMA), "unusual way"),
        (changed_entry(zipped({"truth.csv": table()}), 8, b"\x01"), "encrypted"),
        (linked(), "a link or special file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "archive",
)
def test_archives_that_are_no_single_recording_are_refused(content, message, monkeypatch):
    monkeypatch.setattr("ecg.readers.zip_archive.MAX_UNPACKED_BYTES", 1_000_000)
    refused(content, message)


def test_a_zip_that_lies_about_its_size_costs_no_memory():
    content = zipped({"a.csv": bytes(100_000_000)})
    lie = changed_entry(content, 24, (1000).to_bytes(4, "little"))  # the unpacked size in the archive's directory
    tracemalloc.start()
    refused(lie, "damaged or against its format")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_errors_of_libraries_are_refused_and_logged_without_what_the_file_says(monkeypatch, caplog):
    def fail(*arguments):
        raise KeyError("Jane Doe")

    monkeypatch.setattr(vendor_formats.HL7aECGParser, "parse", fail)
    with caplog.at_level(logging.INFO, logger="ecg"):
        refused(committed("biosig_aecg.xml"), "not a readable")
    assert "ecgdatakit" in caplog.text and "KeyError" in caplog.text and "test_readers_uploads.py" in caplog.text
    assert "Jane Doe" not in caplog.text


@pytest.mark.parametrize(
    ("place", "error"),
    [("pyedflib.EdfReader", MemoryError), ("ecg.readers.edf.check_extent", AttributeError)],
)
def test_a_lack_of_memory_and_mistakes_of_our_own_are_no_refusals(monkeypatch, place, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(place, fail)
    with pytest.raises(error):
        read(committed("biosig.edf"))


def test_warnings_are_caught_by_one_thread_at_a_time():
    before, go_on = warnings.showwarning, threading.Event()
    inside = [threading.Event(), threading.Event()]

    def catch(event):
        with caught_warnings() as caught:
            warnings.warn("of this thread", stacklevel=1)
            event.set()
            assert go_on.wait(10)
        assert [str(warning.message) for warning in caught] == ["of this thread"]

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(catch, inside[0])
        assert inside[0].wait(10)
        second = threads.submit(catch, inside[1])
        assert not inside[1].wait(0.2)
        go_on.set()
        first.result(10)
        second.result(10)
    assert warnings.showwarning is before


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    uploads = [wfdb_record(), *({"x": committed(name)} for name in ("biosig.edf", "ecgdatakit.scp", "biosig_aecg.xml"))]
    for files in uploads:
        read(files)
        refused({name: content[: len(content) // 2] for name, content in files.items()}, ".")
    assert list(tmp_path.iterdir()) == []
