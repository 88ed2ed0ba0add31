"""Whatever a broken or hostile file holds: it is read or refused, and nothing else happens."""

import base64
import json
import random
import re
import struct
import tempfile
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.readers import read_uploaded
from ecg.readers.channels import from_leads
from ecg.recording import Recording, RecordingError
from tests.support.ecg_files import RATE, TRUTH, changed_dicom, committed, npy, table, wfdb_record, zipped
from tests.support.vendor_files import kardia_recording, sierra_unpacked, sierra_with_samples
from tests.support.watch_files import watch_ecg

MUTANTS = 1000


def outcome(files: dict[str, bytes], **arguments) -> Recording | None:
    """A sound recording or a refusal; every other exception passes through."""
    try:
        recording = read_uploaded(files, **arguments)
    except RecordingError as error:
        assert 0 < len(str(error)) < 2000
        assert str(error).isprintable() and tempfile.gettempdir() not in str(error)
        return None
    assert recording.signal.dtype == np.float32
    assert np.isfinite(recording.signal).all()
    assert recording.present.any()
    assert not recording.signal[~recording.present].any()
    return recording


def shorten(dataset):
    """One group of 600 samples, as pydicom is slow on more."""
    del dataset.WaveformSequence[1:]
    group = dataset.WaveformSequence[0]
    group.WaveformData, group.NumberOfWaveformSamples = group.WaveformData[: 600 * 24], 600


@cache
def seeds() -> list[dict[str, bytes]]:
    """One upload of each format, short where the format is slow to read."""
    records = [wfdb_record(code, ("I", "II", "V1", "V5"), 600, 400) for code in ("16", "24", "212", "516")]
    whole = ("biosig.csv", "biosig.edf", "ecgdatakit_muse.xml", "ecgdatakit.scp", "truth.npz")
    whole += ("ecgdatakit_eli.xml",)
    aecg = re.sub(
        rb"<digits>([^<]*)</digits>",
        lambda match: b"<digits>" + b" ".join(match[1].split()[:600]) + b"</digits>",
        committed("biosig_aecg.xml"),
    )
    short_table = table(rows=600, before="# fs: 500\n")
    single = [zipped(records[0]), npy(TRUTH[:, :600]), changed_dicom(shorten), aecg, short_table]
    single += [json.dumps(kardia_recording(samples=600)).encode(), watch_ecg("German", 600, ",").encode()]
    single += [sierra_unpacked(600)]
    return [*records, *({"x": content} for content in (*map(committed, whole), *single))]


MAGICS = [b"<restingecgdata>", b"<ECG><CHANNEL ", b'{"recordedAt": 1, "patientID": ', b"A\nB,2 Hz\nC,mV\nD,I\n"]
TOKENS = [b"", b"0", b"-1", b"1e9", b"999999999", b"nan", b"\0", b"\xff\xff\xff\xff", b"\0\0\0\x80"]
TOKENS += [b"../", b"\n", b"<", b" "]


def mutant(generator: random.Random) -> dict[str, bytes]:
    """A real upload with stretches or numbers replaced, doubled or cut out, in headers more often than in samples."""
    files = dict(generator.choice(seeds()))
    name = generator.choice(sorted(files))
    content = files[name]
    for _ in range(generator.choice([1, 1, 2, 3, 8])):
        reach = generator.choice([64, 512, 4096, len(content)])
        start = generator.randrange(max(1, min(len(content), reach)))
        end = start + generator.choice([0, 1, 1, 1, 2, 8, 64, len(content)])
        if generator.random() < 0.2 and (numbers := list(re.finditer(rb"\d+", content[:4096]))):
            start, end = generator.choice(numbers).span()
        source = generator.randrange(max(1, len(content)))
        copied = content[source : source + generator.choice([1, 4, 16, 256])]
        new = generator.choice([b"", copied, generator.randbytes(1), generator.choice(TOKENS)])
        content = content[:start] + new + content[end:]
    return files | {name: content}


def read_mutants(seed: int, count: int) -> int:
    """How many of ``count`` mutated uploads were still read; anything but a recording or a refusal is raised."""
    generator = random.Random(seed)
    read = 0
    for _ in range(count):
        arguments = generator.choice([{}, {"sampling_rate": 100, "units": "uV"}, {"sampling_rate": 500, "units": "mV"}])
        read += outcome(mutant(generator), **arguments) is not None
    return read


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mutated_files_are_read_or_refused():
    assert 0 < read_mutants(seed=0, count=MUTANTS) < MUTANTS


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PK\3\4", b"\x93NUMPY\1\0", b"0       ", b"<AnnotatedECG>", b"I,II\n", *MAGICS]),
)
def test_arbitrary_bytes_are_read_or_refused(content, magic):
    outcome({"x": magic + content}, sampling_rate=500, units="mV")


@given(st.lists(st.tuples(st.integers(-2, 400), st.binary(max_size=300)), max_size=12))
def test_arbitrary_packed_samples_are_read_or_refused(leads):
    packed = b"".join(struct.pack("<ihh", size, 0, 0) + codes for size, codes in leads)
    outcome({"x": sierra_with_samples(base64.b64encode(packed).decode())})


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
