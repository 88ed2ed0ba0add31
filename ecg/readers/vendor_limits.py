"""Refusals of what would make ecgdatakit work for minutes or fill the memory: it checks structure, but not cost."""

import base64
import binascii
import itertools
import struct
from xml.etree.ElementTree import Element

from ecgdatakit.parsing.codecs.lzw import LzwDecoder
from ecgdatakit.parsing.helpers.xml import parse_xml_root

from ecg.readers.channels import MAX_SIGNALS
from ecg.readers.library_errors import DAMAGED, library_errors_refused
from ecg.recording import RecordingError

MAX_XML_MARKS = 200_000  # tags, and attributes; an aECG of ten seconds has some hundreds
MAX_JSON_MARKS = 4_000_000  # values; five minutes of six leads at 300 Hz, raw and filtered, are a million
MAX_XLI_BYTES = 2_000_000  # of all leads, unpacked; twelve leads of ten seconds at 500 Hz are 120 kB
MAX_SCP_BYTES = 1_000_000  # a lead's data is at most 64 kB there
MAX_SCP_SAMPLES = 2_000_000  # of all leads; unpacking is slow
MAX_SCP_BEATS = 1000
MAX_SCP_BEAT_MS = 5000
SCP_SECTION_HEADER = 16
XLI_CHUNK_HEADER = 8
XLI_CODE_BITS = 10


def check_json(content: bytes) -> None:
    """Refuse more values than a recording has."""
    if max(content.count(b","), content.count(b"[")) > MAX_JSON_MARKS:
        raise RecordingError(f"the JSON file has more than {MAX_JSON_MARKS} values; no ECG needs so many")


def check_xml(content: bytes) -> None:
    """Refuse more tags than an ECG has."""
    if max(content.count(b"<"), content.count(b"=")) > MAX_XML_MARKS:
        raise RecordingError(f"the XML file has more than {MAX_XML_MARKS} tags or attributes; no ECG needs so many")


def check_sierra(content: bytes) -> None:
    """Refuse counts of channels that are no ECG's, and packed samples that unpack to very many."""
    check_xml(content)
    with library_errors_refused("ecgdatakit", "not a readable Philips Sierra XML file"):
        elements = list(parse_xml_root(content).iter())
    for element in elements:
        name = str(element.tag).lower()
        if name.startswith("numberchannels") and not _count(_text(element)) <= MAX_SIGNALS:
            raise RecordingError(f"the file declares more than {MAX_SIGNALS} channels; at most {MAX_SIGNALS} are read")
        if name == "parsedwaveforms" and any(value.strip().upper() == "XLI" for value in element.attrib.values()):
            _check_xli(_text(element))


def _text(element: Element) -> str:
    """All text of an element that is not within another one."""
    return "".join([element.text or "", *(child.tail or "" for child in element)])


def _count(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0  # the library takes it for missing


def _check_xli(text: str) -> None:
    """Unpack the leads up to a limit; a byte of LZW can stand for 600."""
    try:
        packed = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise RecordingError(f"{DAMAGED}: its samples are not in Base64") from None
    position, unpacked = 0, 0
    while position + XLI_CHUNK_HEADER <= len(packed):
        (size,) = struct.unpack_from("<i", packed, position)
        if size <= 0:
            return  # the library says so
        position += XLI_CHUNK_HEADER
        decoder = LzwDecoder(packed[position : position + size], bits=XLI_CODE_BITS)
        position += size
        with library_errors_refused("ecgdatakit", "not a readable Philips Sierra XML file"):
            unpacked += sum(1 for _ in itertools.islice(iter(decoder.read, -1), MAX_XLI_BYTES + 1))
        if unpacked > MAX_XLI_BYTES:
            raise RecordingError(
                f"the leads unpack to more than {MAX_XLI_BYTES / 1e6:.0f} MB; at most so much is read of this format"
            )


def check_scp(content: bytes) -> None:
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
