"""HL7 aECG, SCP-ECG (EN 1064, ISO 11073-91064) and formats of GE, Philips, Mortara and AliveCor, parsed by ecgdatakit.

ecgdatakit guards against hostile XML (defusedxml, and entities refused) and checks structure, but not cost: what could
make it work for minutes is refused first, in `vendor_limits`. Of what it reads, only leads are taken: a patient's name
and date of birth go no further.
"""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ecgdatakit.models import ECGRecord, Lead
from ecgdatakit.parsing.parser import Parser
from ecgdatakit.parsing.parsers.alivecor_kardia import AliveCorKardiaParser
from ecgdatakit.parsing.parsers.ge_muse_xml import GEMuseXMLParser
from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser
from ecgdatakit.parsing.parsers.mortara_el250 import MortaraEL250Parser
from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser
from ecgdatakit.parsing.parsers.sierra_xml import SierraXMLParser

from ecg.readers.channels import Channels, check_extent, lead_channels
from ecg.readers.library_errors import TEMPORARY_PREFIX, library_errors_refused
from ecg.readers.vendor_limits import check_json, check_scp, check_sierra, check_xml
from ecg.recording import RecordingError, printable
from ecg.warnings_lock import caught_warnings

HEAD_BYTES = 4096

CHECKS: dict[type[Parser], Callable[[bytes], None]] = {
    HL7aECGParser: check_xml,
    GEMuseXMLParser: check_xml,
    SierraXMLParser: check_sierra,
    MortaraEL250Parser: check_xml,
    SCPECGParser: check_scp,
    AliveCorKardiaParser: check_json,
}
_JSON_OBJECT = re.compile(rb"(\xef\xbb\xbf)?\s*\{")


def parser_of(content: bytes) -> type[Parser] | None:
    """The parser of the format that the bytes start like, None if it is none of these."""
    if _JSON_OBJECT.match(content):  # its keys may come in any order, so that the samples may come first
        return AliveCorKardiaParser if AliveCorKardiaParser.can_parse(Path(), content) else None
    return next((parser for parser in CHECKS if parser.can_parse(Path(), content[:HEAD_BYTES])), None)


def read(content: bytes) -> Channels:
    """The leads: an aECG's first rhythm series, a MUSE export's rhythm waveform, a Kardia recording's raw signal.

    Raises RecordingError.
    """
    parser = parser_of(content)
    CHECKS[parser](content)
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
    rate = _exact_rate(record) or rates.pop()
    check_extent(len(leads), max(len(lead.samples) for lead in leads), rate)
    return Channels(
        names=list(chosen),
        values=[_physical(lead) for lead in leads],
        units=[lead.resolution_unit for lead in leads],
        sampling_rate=rate,
        notes=notes + ignored,
    )


def _exact_rate(record: ECGRecord) -> float | None:
    """The rate in Hz where the library keeps it aside: it rounds those of leads to whole Hz."""
    if record.source_format == "alivecor_kardia":
        return float(record.raw_metadata["raw"]["frequency"])
    return record.raw_metadata.get("rhythm_time", {}).get("sampling_rate_exact")


def _physical(lead: Lead) -> np.ndarray:
    """The lead's samples in ``lead.resolution_unit``."""
    if not lead.resolution_unit or not lead.resolution:
        raise RecordingError(
            f"lead {printable(lead.label)} has no amplitude unit or a scale of zero, so its amplitude is unknown"
        )
    return lead.samples * lead.resolution + lead.offset
