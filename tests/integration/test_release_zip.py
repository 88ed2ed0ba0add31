"""The release's zip in place of its server: what it gives, and archives that are damaged or attack."""

import random
import stat
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from ptbxl.download import CHECKSUMS, DownloadError, extract_release
from tests.support.release_server import SIGNAL, ZIP_FOLDER, checksum_list, contents, fetch, wanted

pytestmark = pytest.mark.usefixtures("waits")


def zipped(path: Path, files: dict[str, bytes], folder: str = ZIP_FOLDER, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive of the files; ``method`` packs the signal."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(folder + name, data, method if name == SIGNAL else None)
    return path


def extract(archive: Path, dest: Path, rate: str = "100") -> None:
    extract_release(archive, dest, rate, progress=False)


@pytest.mark.parametrize(("rate", "folder"), [("100", ZIP_FOLDER), ("500", ""), ("both", "any/")])
def test_a_zip_gives_what_the_server_gives(tmp_path, release, rate, folder):
    extract(zipped(tmp_path / "release.zip", release, folder), tmp_path / "dest", rate)
    assert contents(tmp_path / "dest") == wanted(release, rate)


def test_a_damaged_zip_keeps_what_is_good_and_the_server_completes_it(tmp_path, release, server):
    files = {path: data for path, data in release.items() if path != "LICENSE.txt"} | {SIGNAL: b"altered"}
    with pytest.raises(DownloadError, match=rf"(?s)2 of 15.*not in the archive.*{SIGNAL} has another SHA-256"):
        extract(zipped(tmp_path / "release.zip", files), tmp_path / "dest")
    fetch(tmp_path / "dest", server)
    assert contents(tmp_path / "dest") == wanted(release, "100")
    assert server.requests == Counter([CHECKSUMS, SIGNAL, "LICENSE.txt"])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("../escaped", stat.S_IFREG, "unsafe path"),
        ("..\\escaped", stat.S_IFREG, "unsafe path"),
        (ZIP_FOLDER + "./LICENSE.txt", stat.S_IFREG, "unsafe path"),
        ("shown#hidden", stat.S_IFREG, "unsafe path"),
        (ZIP_FOLDER + "license.TXT", stat.S_IFREG, "there twice"),
        (ZIP_FOLDER + SIGNAL, stat.S_IFREG, "there twice"),
        (ZIP_FOLDER + "link", stat.S_IFLNK, "link or a device"),
        (ZIP_FOLDER + "device", stat.S_IFCHR, "link or a device"),
        ("folder/" + CHECKSUMS, stat.S_IFREG, "holds 2 files .* instead of one"),
    ],
)
def test_a_zip_with_an_unsafe_double_or_special_member_is_refused_whole(tmp_path, release, name, kind, message):
    archive = zipped(tmp_path / "release.zip", release)
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(member, b"escaped")
    archive.write_bytes(archive.read_bytes().replace(b"shown#hidden", b"shown\0hidden"))  # zipfile cuts it there
    with pytest.raises(DownloadError, match=message):
        extract(archive, tmp_path / "a" / "b")
    assert contents(tmp_path).keys() == {"release.zip"}


def test_a_zip_that_is_cut_or_absent_or_without_the_list_is_refused(tmp_path, release):
    archive = zipped(tmp_path / "release.zip", release, "a/b/")
    whole = archive.read_bytes()
    with pytest.raises(DownloadError, match="holds 0 files .* instead of one"):
        extract(archive, tmp_path / "dest")
    for kept in (0, 1, 1000, len(whole) // 2, len(whole) - 1):
        archive.write_bytes(whole[:kept])
        with pytest.raises(DownloadError, match="not a complete zip"):
            extract(archive, tmp_path / "dest")
    with pytest.raises(DownloadError, match=r"cannot read .*nowhere\.zip"):
        extract(tmp_path / "nowhere.zip", tmp_path / "dest")


@pytest.mark.parametrize("seed", range(12))
def test_a_zip_with_flipped_bytes_gives_true_files_or_a_refusal(tmp_path, release, seed):
    generator = random.Random(seed)
    data = bytearray(zipped(tmp_path / "release.zip", release).read_bytes())
    # Half of the damage in the files, half in the directory at the end, which is far smaller.
    directory = data.index(b"PK\x01\x02")
    begin, end = (0, directory) if seed % 2 else (directory, len(data))
    for _ in range(20):
        data[generator.randrange(begin, end)] ^= generator.randrange(1, 256)
    (tmp_path / "damaged.zip").write_bytes(data)
    with pytest.raises(DownloadError):
        extract(tmp_path / "damaged.zip", tmp_path / "dest", "both")
    assert contents(tmp_path / "dest").items() <= release.items()


@pytest.mark.parametrize(
    ("method", "declared", "message"),
    [
        (zipfile.ZIP_DEFLATED, 5_000_000, "is larger"),
        (zipfile.ZIP_DEFLATED, 24_000, "cannot be unpacked"),
        (zipfile.ZIP_BZIP2, 5_000_000, "cannot be unpacked"),
    ],
)
def test_a_bomb_is_cut_whatever_size_it_declares(tmp_path, release, method, declared, message):
    bomb = bytes(5_000_000)
    files = {path: data for path, data in release.items() if path != CHECKSUMS} | {SIGNAL: bomb}
    files[CHECKSUMS] = checksum_list(files)
    archive = zipped(tmp_path / "bomb.zip", files, method=method)
    size = len(bomb).to_bytes(4, "little")
    assert size in archive.read_bytes()
    archive.write_bytes(archive.read_bytes().replace(size, declared.to_bytes(4, "little")))
    with pytest.raises(DownloadError, match=f"1 of 15 files(?s:.)*{SIGNAL} {message}"):
        extract(archive, tmp_path / "dest")
    assert contents(tmp_path / "dest") == {path: data for path, data in wanted(files, "100").items() if path != SIGNAL}
