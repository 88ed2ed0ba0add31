"""Which format a file is in, by its content, and its channels."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath

from ecg.leads import lead_name, millivolts
from ecg.readers import archive, dicom, edf, exchange, tables, wfdb_records
from ecg.readers.channels import Channels
from ecg.recording import RecordingError, printable

FORMATS = "WFDB, CSV or TSV, NPY or NPZ, EDF or EDF+, DICOM, HL7 aECG, GE MUSE XML and SCP-ECG"
_SELF_DESCRIBING = (
    (edf.is_edf, edf.read),
    (dicom.is_dicom, dicom.read),
    (exchange.is_aecg, exchange.read_aecg),
    (exchange.is_muse, exchange.read_muse),
    (exchange.is_scp, exchange.read_scp),
)
_BARE = ((tables.is_npy, tables.read_npy), (tables.is_text, tables.read_text))


def companions(name: str, content: bytes) -> list[str]:
    """The signal files that a WFDB header names; none for any other content. Raises RecordingError."""
    with _damage_refused([name]):
        return wfdb_records.signal_files(content) if wfdb_records.is_header(content) else []


def read_channels(files: Mapping[str, bytes], sampling_rate: float | None, units: str | None) -> Channels:
    """The channels of the one recording in ``{file name: content}``.

    sampling_rate (Hz), units: for formats that may lack them.
    Raises RecordingError, whatever the bytes are.
    """
    with _damage_refused(list(files)):
        return _read(_by_base_name(files), sampling_rate, units)


@contextmanager
def _damage_refused(names: list[str]) -> Iterator[None]:
    """Turn what the libraries raise on a broken file, which may be anything, into a RecordingError."""
    try:
        yield
    except RecordingError:
        raise
    except Exception as error:
        found = ", ".join(printable(name) for name in names[:3])
        raise RecordingError(
            f"{found} cannot be read, it is damaged or against its format: {printable(error, 200)}"
        ) from error


def _read(files: dict[str, bytes], sampling_rate: float | None, units: str | None) -> Channels:
    if len(files) == 1:
        (content,) = files.values()
        if archive.is_zip(content):
            files = archive.unpack(content)
            if tables.is_npz(files):
                return tables.read_npz(files, sampling_rate, units)
    headers = [name for name, content in files.items() if wfdb_records.is_header(content)]
    if len(headers) == 1:
        return _agreeing(wfdb_records.read(headers[0], files), sampling_rate, units)
    if len(files) != 1:
        found = ", ".join(printable(name) for name in list(files)[:12]) or "none"
        raise RecordingError(
            f"one recording at a time: a single file, or one .hea with its signal files; found {found}"
        )
    ((name, content),) = files.items()
    for recognises, read in _SELF_DESCRIBING:
        if recognises(content):
            return _agreeing(read(content), sampling_rate, units)
    if exchange.is_xml(content):
        raise RecordingError(f"{printable(name)} is XML, but neither an HL7 aECG nor a GE MUSE RestingECG")
    for recognises, read in _BARE:
        if recognises(content):
            return read(content, sampling_rate, units)
    raise RecordingError(
        f"{printable(name)} is in no format known here ({FORMATS}); "
        "the signal file of a WFDB record needs its .hea beside it"
    )


def _by_base_name(files: Mapping[str, bytes]) -> dict[str, bytes]:
    named = {PurePosixPath(name.replace("\\", "/")).name: bytes(content) for name, content in files.items()}
    if len(named) != len(files):
        raise RecordingError("two of the files have the same name; give the files of one recording")
    return named


def _agreeing(channels: Channels, sampling_rate: float | None, units: str | None) -> Channels:
    """The channels, unless the caller's idea of rate or units is another than the file's."""
    if sampling_rate is not None and sampling_rate != channels.sampling_rate:
        raise RecordingError(
            f"the file says {channels.sampling_rate:g} Hz, not {printable(sampling_rate)} Hz; leave the rate out"
        )
    if units is not None and any(
        millivolts(unit) != millivolts(units)
        for name, unit in zip(channels.names, channels.units, strict=True)
        if lead_name(name)
    ):
        raise RecordingError(f"the file declares its units, and not all are {printable(units)}; leave the units out")
    return channels
