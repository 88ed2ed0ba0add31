"""Which files of a folder are recordings: nothing readable is passed over, nothing damaged in silence."""

import io
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import LEADS, PROJECT
from ecg.readers.folders import HEAD_BYTES, files_of, find_recordings, version_of, why_no_recording

HEADER = b"one 1 500 5000\none.dat 16 1000 16 0 0 0 0 I\n"
PTBXL_TABLE = b"ecg_id,patient_id,age,scp_codes\n1,15709.0,56.0,\"{'NORM': 100.0}\"\n"
LEAD_TABLE = b"time (s),I (mV),II (mV)\n0,0.1,0.2\n"


def array(shape) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(shape, np.int16))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("LICENSE", b"Creative Commons Attribution 4.0\n"),
        ("LICENSE.txt", b"I, the licensor, give\nleave to all\n"),
        ("RECORDS", b"100\n101\n102\n"),
        ("SHA256SUMS.txt", b"0a1b ptbxl_database.csv\n2c3d scp_statements.csv\n"),
        ("README.md", b"# PTB-XL\n"),
        ("ptbxl_database.csv", PTBXL_TABLE),
        ("results.csv", b"file,error,p_MI,settings\na.hea,,0.1,backend=onnx\n"),
        ("notes.txt", b""),
        ("page.html", b"<html></html>"),
        ("project.xml", b"<?xml version='1.0'?><project/>"),
        ("body.json", b'{"sampling_rate": 500, "leads": {"I": [0.1]}}'),
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0"),
        ("table.xlsx", b"PK\x03\x04\0\0"),
        ("100.atr", b"\x12\x70\0\x04\0\0"),
        ("signals.npy", array((3, 12, 10))),
    ],
)
def test_what_is_no_recording_is_passed_over_with_a_reason(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "one.hea").write_bytes(HEADER)
    recordings, skipped = find_recordings([tmp_path])
    assert recordings == [tmp_path / "one.hea"]
    assert list(skipped) == [tmp_path / name] and skipped[tmp_path / name]
    assert find_recordings([tmp_path / name]) == ([tmp_path / name], {})  # whoever names it wants to know


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ecg.csv", LEAD_TABLE),
        ("ecg.txt", LEAD_TABLE.replace(b",", b"\t")),
        ("ecg", b"# sampling_rate: 500\n# units: mV\n" + b";".join(name.encode() for name in LEADS) + b"\n"),
        ("utf16.csv", LEAD_TABLE.decode().encode("utf-16")),
        ("one lead.csv", b"MDC_ECG_LEAD_II\n0.1\n0.2\n"),
        ("underscores.csv", b"I_uV,II_uV\n"),
        ("other names.csv", b"a,b,c\n1,2,3\n4,5,6\n"),
        ("numbers.txt", b"0.1 \t0.2\n0.3\t-1e-3\n"),
        ("damaged.csv", b"\0\0\0\0"),
        ("empty.csv", b""),
        ("empty.edf", b""),
        ("zeros.xml", b"\0" * 100),
        ("header", HEADER),
        ("no header.dat", b"\0" * 100),
        ("ecg.npy", array((12, 10))),
        ("damaged.npy", b"\x93NUM"),
        ("no suffix", b"\0" * 128 + b"DICM"),
        ("archive.zip", b"PK\x03\x04\0\0"),
    ],
)
def test_a_recording_and_what_may_be_a_damaged_one_are_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert find_recordings([tmp_path]) == ([tmp_path / name], {})


def test_every_recording_of_the_tests_is_found_by_content_alone(tmp_path):
    for file in (PROJECT / "tests" / "data" / "ecg").iterdir():
        if file.suffix not in (".md", ".npz"):
            (tmp_path / file.stem).write_bytes(file.read_bytes())
            assert why_no_recording(tmp_path / file.stem) is None, file.name


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode) | st.text('I,V;\t1#\n" .<').map(str.encode))
def test_no_content_stops_the_search(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(content)
    reason = why_no_recording(file)
    assert reason is None or reason


def test_a_record_counts_once_by_whatever_path_and_name(tmp_path):
    ward = tmp_path / "ward"
    ward.mkdir()
    (ward / "one.hea").write_bytes(HEADER)
    (ward / "two.hea").write_bytes(HEADER.replace(b"one.dat", b"other.dat"))
    for name in ("one.dat", "other.dat", ".hidden.csv"):
        (ward / name).write_bytes(b"\0" * 10)
    (tmp_path / "link").symlink_to(ward)
    inputs = [tmp_path / "link", ward / "one.dat", ward / "other.dat", tmp_path, ward / ".." / "ward"]
    assert find_recordings(inputs) == ([tmp_path / "link" / "one.hea", tmp_path / "link" / "two.hea"], {})


def test_what_is_passed_over_in_a_folder_is_read_when_it_is_named(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear colleague")
    assert find_recordings([tmp_path, tmp_path / "letter.txt"]) == ([tmp_path / "letter.txt"], {})


def test_links_to_nowhere_are_read_so_that_they_fail_and_pipes_are_not_waited_for(tmp_path):
    (tmp_path / "loop.hea").symlink_to(tmp_path / "loop.hea")
    (tmp_path / "broken.csv").symlink_to(tmp_path / "nowhere.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert find_recordings([tmp_path]) == ([tmp_path / "broken.csv", tmp_path / "loop.hea"], {})
    assert version_of(tmp_path / "loop.hea") == "missing"


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        find_recordings([tmp_path / "nowhere"])


def test_only_the_head_of_a_file_is_looked_at(tmp_path):
    file = tmp_path / "long.txt"
    file.write_bytes(b"Dear colleague\n" + b"x" * HEAD_BYTES + b"\0")
    assert why_no_recording(file) == "text without leads"


@pytest.mark.parametrize("replaced", ["one.hea", "one.dat"])
def test_another_size_or_time_of_any_file_is_another_version(tmp_path, replaced):
    header, signal = tmp_path / "one.hea", tmp_path / "one.dat"
    header.write_bytes(HEADER)
    signal.write_bytes(b"\0" * 10)
    assert files_of(header) == [header, signal]
    versions = [version_of(header)]
    status = (tmp_path / replaced).stat()
    os.utime(tmp_path / replaced, ns=(status.st_atime_ns, status.st_mtime_ns - 10**9))  # an older file of equal size
    versions.append(version_of(header))
    (tmp_path / replaced).write_bytes((tmp_path / replaced).read_bytes() + b"#\n")
    versions.append(version_of(header))
    assert len(set(versions)) == 3


def test_the_version_of_a_damaged_or_incomplete_record_is_that_of_its_files(tmp_path):
    header = tmp_path / "one.hea"
    header.write_bytes(HEADER)
    incomplete = version_of(header)
    (tmp_path / "one.dat").write_bytes(b"")
    assert version_of(header) != incomplete
    header.write_bytes(HEADER.replace(b"one.dat", b"../one.dat"))
    assert files_of(header) == [header]
