"""Request bodies: compressed, empty, marked, too large, many recordings at once."""

import gzip
import json
import tracemalloc
import zlib
from contextlib import contextmanager

import pytest

from ecg.recording import RecordingError
from serving.json_recordings import recordings_of
from serving.settings import Settings
from tests.support.server import JSON, assert_problem, client_with, prediction_of

GZIP = {**JSON, "Content-Encoding": "gzip"}
MIB = 2**20


@contextmanager
def peak_below(limit_bytes):
    """What is done here takes no more memory at a time than that."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit_bytes
    finally:
        tracemalloc.stop()


def full_length(artifacts):
    """A ten-second ECG at 500 Hz as JSON."""
    return json.loads((artifacts / "examples" / "anterior_infarction.json").read_bytes())


# --------------------------------------------------------------------------- gzip


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP"])
def test_a_compressed_body_gets_the_same_prediction(client, ecg, name):
    expected = prediction_of(client.post("/predict", json=ecg))
    body = gzip.compress(json.dumps(ecg).encode())
    assert prediction_of(client.post("/predict", content=body, headers={**JSON, "Content-Encoding": name})) == expected
    batch = gzip.compress(json.dumps({"recordings": [ecg]}).encode())
    (result,) = client.post("/predict/batch", content=batch, headers=GZIP).json()["results"]
    assert result["probabilities"] == expected["probabilities"]


def test_a_compressed_upload_gets_the_same_prediction(client, artifacts):
    files = [
        ("files", (f"normal{end}", (artifacts / "examples" / f"normal{end}").read_bytes())) for end in (".hea", ".dat")
    ]
    request = client.build_request("POST", "/predict/file", files=files)
    headers = {"Content-Type": request.headers["content-type"], "Content-Encoding": "gzip"}
    compressed = client.post("/predict/file", content=gzip.compress(request.read()), headers=headers)
    assert prediction_of(compressed) == prediction_of(client.post("/predict/file", files=files))


def gzip_of_spaces(mebibytes, before=b""):
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(before), *(packer.compress(b" " * MIB) for _ in range(mebibytes)), packer.flush()]
    return b"".join(pieces)


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/predict/file", "/predict/files"])
def test_a_gzip_bomb_is_413_and_costs_no_memory(artifacts, path):
    headers, bomb = GZIP, gzip_of_spaces(400)
    if "file" in path:
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": "gzip"}
        begun = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.dat"\r\n\r\n'
        bomb = gzip_of_spaces(400, before=begun)
    assert len(bomb) < MIB
    with client_with(artifacts, max_body_bytes=4 * MIB, max_batch_bytes=4 * MIB) as client:
        with peak_below(20 * MIB):
            assert_problem(client.post(path, content=bomb, headers=headers), 413, "after decompression")
        assert client.app.state.server.held_bytes == 0


def test_the_limit_of_bytes_counts_what_is_decompressed(artifacts):
    with client_with(artifacts, max_body_bytes=10_000) as client:
        for count, status in ((9_999, 422), (10_001, 413)):
            assert_problem(client.post("/predict", content=gzip.compress(b" " * count), headers=GZIP), status)


COMPRESSED = gzip.compress(b'{"sampling_rate": 100}')
BROKEN = {
    "not compressed": (b"{}", "but the body is not"),
    "damaged": (COMPRESSED[:12] + b"\xff\xff" + COMPRESSED[14:], "but the body is not"),
    "cut off": (COMPRESSED[:-4], "send it whole"),
    "followed by more": (COMPRESSED + b"{}", "after the end"),
    "two in a row": (COMPRESSED * 2, "after the end"),
    "one in another": (gzip.compress(COMPRESSED), "compress it once"),
    "empty": (b"", "is empty"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_with_a_compressed_body_is_said(client, case):
    body, words = BROKEN[case]
    assert_problem(client.post("/predict", content=body, headers=GZIP), 422, words)


def test_an_encoding_that_is_not_read_names_the_one_that_is(client, ecg):
    response = client.post("/predict", json=ecg, headers={"Content-Encoding": "zstd"})
    assert_problem(response, 415, "zstd", "gzip")
    assert "gzip" in response.headers["accept-encoding"]


# --------------------------------------------------------------------------- what is sent by mistake


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark of UTF-8"),
        ("{}".encode("utf-16"), "byte order mark of UTF-16"),
        (gzip.compress(b"{}", mtime=0), "send the header Content-Encoding: gzip"),
    ],
)
def test_usual_mistakes_have_their_own_messages(client, path, body, words):
    assert_problem(client.post(path, content=body, headers=JSON), 422, words)


@pytest.mark.parametrize("path", ["/predict/file", "/predict/files"])
def test_an_empty_upload_is_said_to_be_empty(client, path):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_problem(client.post(path, content=b"", headers=headers), 422, "is empty")


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/predict", "intervals"),
        ("/predict/batch", "intervals"),
        ("/predict/file", "sampling_rate"),
        ("/predict/files", "units"),
    ],
)
def test_an_unknown_query_parameter_is_refused_and_the_known_ones_are_named(client, ecg, path, known):
    assert_problem(client.post(f"{path}?interval=true&b", json=ecg), 422, "interval, b", known)
    assert_problem(client.post(f"{path}?Intervals=true", json=ecg), 422, "Intervals")
    assert_problem(client.get("/model?x=1"), 422, "x", "none")
    assert_problem(client.get("/ready?x=1"), 422, "x", "none")


# --------------------------------------------------------------------------- many recordings


def test_as_many_ecgs_of_full_length_as_a_batch_may_have_are_diagnosed(artifacts):
    with client_with(artifacts, time_limit_s=300) as client:
        limit = client.app.state.server.settings.max_batch
        body = json.dumps({"recordings": [full_length(artifacts)] * limit}).encode()
        assert len(body) > 20_100_000, "larger than any other request may be"
        results = client.post("/predict/batch", content=body, headers=JSON).json()["results"]
        assert len(results) == limit == 64
        assert all("probabilities" in result for result in results)


def test_too_large_a_batch_is_told_how_many_fit(artifacts):
    with client_with(artifacts, max_batch_bytes=10_000_000) as client:
        fitting, too_many = ({"recordings": [full_length(artifacts)] * count} for count in (22, 30))
        assert_problem(client.post("/predict/batch", json=too_many), 413, "10,000,000 bytes", "about 22 ")
        assert len(client.post("/predict/batch", json=fitting).json()["results"]) == 22


def test_a_recording_of_a_batch_may_be_no_larger_than_one_sent_alone(artifacts, ecg):
    as_sent, spread_out = json.dumps(ecg), json.dumps(ecg, indent=8)
    with client_with(artifacts, max_body_bytes=len(as_sent)) as client:
        body = f'{{"recordings": [{spread_out}, {as_sent}]}}'
        results = client.post("/predict/batch", content=body, headers=JSON).json()["results"]
        assert results[0]["status"] == 413 and "probabilities" in results[1]


def test_a_batch_of_countless_recordings_is_refused_without_memory_for_each(artifacts):
    body = b'{"recordings": [' + b"1," * 1_000_000 + b"1]}"
    with peak_below(len(body)):
        assert len(recordings_of(body, 64)) == 65
    with client_with(artifacts) as client:
        assert_problem(client.post("/predict/batch", content=body, headers=JSON), 413, "more than 64")
    with pytest.raises(RecordingError, match="JSON"):
        recordings_of(body[:-2], 64)


def test_the_limit_of_a_batch_is_never_beyond_what_may_be_held():
    assert Settings().max_batch_bytes > Settings().max_body_bytes
    assert Settings(max_held_bytes=30_000_000).max_batch_bytes == 30_000_000


# --------------------------------------------------------------------------- several files


def uploads(artifacts, names):
    return [("files", (name, (artifacts / "examples" / name).read_bytes())) for name in names]


def test_several_files_get_one_prediction_or_one_problem_each(client, artifacts):
    names = ["normal.dat", "left_hypertrophy.hea", "normal.hea", "left_hypertrophy.dat"]
    damaged = [("files", ("noise.bin", bytes(100))), ("files", ("b.hea", b"b 12 500 5000\nb.dat 16 200/mV\n"))]
    files = [*uploads(artifacts, names), *damaged]
    results = client.post("/predict/files?intervals=true", files=files).json()["results"]
    assert [result["files"] for result in results] == [
        ["left_hypertrophy.hea", "left_hypertrophy.dat"], ["normal.hea", "normal.dat"], ["noise.bin"], ["b.hea"],
    ]  # fmt: skip
    for result in results[:2]:
        alone = client.post("/predict/file?intervals=true", files=uploads(artifacts, result["files"]))
        assert {k: v for k, v in result.items() if k not in ("files", "request_id")} == prediction_of(alone)
    assert [result["status"] for result in results[2:]] == [422, 422]
    assert "noise.bin" in results[2]["detail"] and "signals" in results[3]["detail"]


def test_one_recording_is_sent_to_file_and_several_to_files(client, artifacts):
    names = ["normal.hea", "normal.dat"]
    (only,) = client.post("/predict/files", files=uploads(artifacts, names)).json()["results"]
    assert only["files"] == names
    several = [*uploads(artifacts, names), *uploads(artifacts, ["left_hypertrophy.hea", "left_hypertrophy.dat"])]
    assert_problem(client.post("/predict/file", files=several), 422, "/predict/files")
    assert_problem(client.post("/predict/files", files=several + several), 422, "two files are called")


def test_more_files_than_a_batch_may_have_are_413(artifacts):
    with client_with(artifacts, max_batch=2) as client:
        files = [("files", (f"{number}.csv", b"I,II\n")) for number in range(3)]
        assert_problem(client.post("/predict/files", files=files), 413, "at most 2")
        assert len(client.post("/predict/files", files=files[:2]).json()["results"]) == 2
