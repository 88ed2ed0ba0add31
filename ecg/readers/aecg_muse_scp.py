"""HL7 aECG, GE MUSE XML and SCP-ECG (EN 1064, ISO 11073-91064), parsed by ecgdatakit.

ecgdatakit guards against hostile XML (defusedxml) and checks structure, but not cost: what could make it work for
minutes is refused first.
"""

import struct
import tempfile
from pathlib import Path

import numpy as np
from ecgdatakit.models import ECGRecord, Lead
from ecgdatakit.parsing.parser import Parser
from ecgdatakit.parsing.parsers.ge_muse_xml import GEMuseXMLParser
from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser
from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser

from ecg.readers.channels import MAX_SIGNALS, Channels, check_extent, lead_channels
from ecg.readers.library_errors import DAMAGED, TEMPORARY_PREFIX, library_errors_refused
from ecg.recording import RecordingError, printable
from ecg.warnings_lock import caught_warnings

HEAD_BYTES = 4096
MAX_XML_MARKS = 200_000  # tags, and attributes; an aECG of ten seconds has some hundreds
MAX_SCP_BYTES = 1_000_000  # a lead's data is at most 64 kB there
MAX_SCP_SAMPLES = 2_000_000  # of all leads; unpacking is slow
MAX_SCP_BEATS = 1000
MAX_SCP_BEAT_MS = 5000
SCP_SECTION_HEADER = 16


def parser_of(content: bytes) -> type[Parser] | None:
    """The parser of the format that the bytes start like, None if it is none of the three."""
    parsers = (HL7aECGParser, GEMuseXMLParser, SCPECGParser)
    return next((parser for parser in parsers if parser.can_parse(Path(), content[:HEAD_BYTES])), None)


def read(content: bytes) -> Channels:
    """The first rhythm series of an aECG, the rhythm waveform of a MUSE export or the rhythm data of an SCP-ECG record.

    Raises RecordingError.
    """
    parser = parser_of(content)
    if parser is SCPECGParser:
        _check_scp(content)
    elif max(content.count(b"<"), content.count(b"=")) > MAX_XML_MARKS:
        raise RecordingError(f"the XML file has more than {MAX_XML_MARKS} tags or attributes; no ECG needs so many")
    return _channels(*_parse(parser(), content))


def _parse(parser: Parser, content: bytes) -> tuple[ECGRecord, tuple[str, ...]]:
    """The parsed record and what the parser warned of."""
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX) as folder, caught_warnings() as caught:
        path = Path(folder, "recording")
        path.write_bytes(content)
        with library_errors_refused("ecgdatakit", f"not a readable {parser.FORMAT_NAME} file"):
            record = parser.parse(path)
    return record, tuple(printable(warning.message, 200) for warning in caught)


def _channels(record: ECGRecord, notes: tuple[str, ...]) -> Channels:
    chosen, ignored = lead_channels([lead.label for lead in record.leads])
    leads = [record.leads[index] for index in chosen.values()]
    rates = {lead.sampling_rate for lead in leads}
    if len(rates) > 1:
        raise RecordingError("the leads have different sampling rates; export them at one rate")
    # the library rounds rates to whole Hz and keeps aECG's exact one aside
    rate = record.raw_metadata.get("rhythm_time", {}).get("sampling_rate_exact") or rates.pop()
    check_extent(len(leads), max(len(lead.samples) for lead in leads), rate)
    return Channels(
        names=list(chosen),
        values=[_physical(lead) for lead in leads],
        units=[lead.resolution_unit for lead in leads],
        sampling_rate=rate,
        notes=notes + ignored,
    )


def _physical(lead: Lead) -> np.ndarray:
    """The lead's samples in ``lead.resolution_unit``."""
    if not lead.resolution_unit or not lead.resolution:
        raise RecordingError(
            f"lead {printable(lead.label)} has no amplitude unit or a scale of zero, so its amplitude is unknown"
        )
    return lead.samples * lead.resolution + lead.offset


def _check_scp(content: bytes) -> None:
    """Refuse a size, and counts in sections 3 (leads) and 4 (beats), that would cost hours or cannot be true."""
    if len(content) > MAX_SCP_BYTES:
        raise RecordingError(
            f"an SCP-ECG record of {len(content) / 1e6:.1f} MB; at most {MAX_SCP_BYTES / 1e6:.0f} MB are read"
        )
    leads = _scp_section(content, 3)
    count = leads[0] if leads else 0
    if not 1 <= count <= MAX_SIGNALS:
        raise RecordingError(f"{count} leads; 1 to {MAX_SIGNALS} are read")
    if len(leads) < 2 + 9 * count:
        raise RecordingError(f"{DAMAGED}: it declares {count} leads and does not describe them")
    extents = {struct.unpack_from("<II", leads, 2 + 9 * i) for i in range(count)}
    if len(extents) > 1:
        raise RecordingError("the leads do not start and end together; only simultaneous leads are read")
    ((first, last),) = extents
    if not 0 <= (last - first) * count < MAX_SCP_SAMPLES:
        raise RecordingError(f"{count} leads of samples {first} to {last} are not those of a resting ECG")
    beats = _scp_section(content, 4)
    if len(beats) >= 6:
        length_ms, _, number = struct.unpack_from("<HHH", beats)
        if number > MAX_SCP_BEATS or length_ms > MAX_SCP_BEAT_MS:
            raise RecordingError(
                f"{number} beats and a reference beat of {length_ms} ms are not those of a resting ECG"
            )


def _scp_section(content: bytes, number: int) -> bytes:
    """The last section of that number that the pointers name, as ecgdatakit takes it; empty if there is none."""
    body = b""
    if len(content) < 14:
        return body
    end = 6 + struct.unpack_from("<I", content, 10)[0]
    for position in range(6 + SCP_SECTION_HEADER, min(end, len(content)) - 9, 10):
        section, length, index = struct.unpack_from("<HII", content, position)
        if section == number and length:
            body = content[index - 1 + SCP_SECTION_HEADER : index - 1 + length]
    return body
