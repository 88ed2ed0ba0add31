"""Uploads and files on disk: formats known by content, archives, limits, and what becomes of errors."""

import io
import logging
import stat
import struct
import threading
import tracemalloc
import warnings
import zipfile

import pytest

from ecg.readers import MAX_UPLOAD_BYTES, aecg_muse_scp, read_recording, read_uploaded
from ecg.recording import RecordingError
from ecg.warnings_lock import caught_warnings
from tests.support.ecg_files import DATA, assert_is_truth, refused, table, upload, wfdb_record, zipped


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
    assert_is_truth(read_uploaded({"known by content": (DATA / name).read_bytes()}), tolerance_mv)
    assert_is_truth(read_recording(DATA / name), tolerance_mv)
    if not name.endswith(".npz"):
        assert_is_truth(read_uploaded(zipped(upload(name))), tolerance_mv)


def test_the_csv_of_biosig_needs_the_rate_it_lacks():
    assert_is_truth(read_uploaded(upload("biosig.csv"), sampling_rate=100), 1e-6, step=5)
    refused(upload("biosig.csv"), "sampling rate is not in the file; give it as sampling_rate=")


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
    monkeypatch.setattr("ecg.readers.zip_archive.MAX_UNPACKED_BYTES", 1_000_000)
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


def test_a_zip_that_lies_about_its_size_costs_no_memory():
    content = bytearray(zipped({"a.csv": bytes(100_000_000)})["upload.zip"])
    entry = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, entry + 24, 1000)  # the unpacked size in the archive's directory
    tracemalloc.start()
    refused({"x.zip": bytes(content)}, "damaged or against its format")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_errors_of_libraries_are_refused_and_logged_without_what_the_file_says(monkeypatch, caplog):
    def fail(*arguments):
        raise KeyError("Jane Doe")

    monkeypatch.setattr(aecg_muse_scp.HL7aECGParser, "parse", fail)
    with caplog.at_level(logging.INFO, logger="ecg"):
        refused(upload("biosig_aecg.xml"), "not a readable")
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
        read_uploaded(upload("biosig.edf"))


def test_warnings_are_caught_by_one_thread_at_a_time():
    before, inside, go_on = warnings.showwarning, threading.Event(), threading.Event()

    def catch(event):
        with caught_warnings() as caught:
            warnings.warn("of this thread", stacklevel=1)
            event.set()
            assert go_on.wait(10)
        assert [str(warning.message) for warning in caught] == ["of this thread"]

    second_inside = threading.Event()
    first = threading.Thread(target=catch, args=[inside])
    second = threading.Thread(target=catch, args=[second_inside])
    first.start()
    assert inside.wait(10)
    second.start()
    assert not second_inside.wait(0.2)
    go_on.set()
    first.join(10)
    second.join(10)
    assert second_inside.is_set() and warnings.showwarning is before


def test_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for files in (wfdb_record(), upload("biosig.edf"), upload("ecgdatakit.scp"), upload("biosig_aecg.xml")):
        read_uploaded(dict(files))
        broken = {name: content[: len(content) // 2] for name, content in files.items()}
        with pytest.raises(RecordingError):
            read_uploaded(broken)
    assert list(tmp_path.iterdir()) == []
