"""DICOM 12-lead, general and ambulatory ECG waveforms (PS3.3 A.34, C.10.9), parsed by pydicom."""

import io
import re

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.waveforms import multiplex_array

from ecg.leads import lead_name
from ecg.readers.channels import Channels, check_extent, lead_channels
from ecg.readers.library_errors import header_number, library_errors_refused
from ecg.recording import RecordingError, printable

DEFLATED_SYNTAX = b"1.2.840.10008.1.2.1.99"
LINEAR_SAMPLES = ("SB", "UB", "SS", "US", "SL", "UL")
MAX_GROUPS = 16
ITEM = b"\xfe\xff\x00\xe0"  # what starts an item of a sequence
MAX_ITEMS = 10_000
MAX_BYTES = 5_000_000  # of many small elements, each costs more than its bytes

# lead numbers of SCP-ECG (PS3.16 CID 3001), for files whose code meanings are in another language
_CODED_LEAD = re.compile(r"(?:5\.6\.3-9-|2:)(\d{1,3})")
_LEAD_NUMBERS = {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"} | {n + 2: f"V{n}" for n in range(1, 7)}


def is_dicom(content: bytes) -> bool:
    """Whether the bytes have DICOM's mark behind the preamble."""
    return content[128:132] == b"DICM"


def read(content: bytes) -> Channels:
    """The multiplex group with most leads, the longest of them if several (a rhythm strip, not its median beat).

    Raises RecordingError if there is no such group or a lead's sensitivity or unit is not given.
    """
    if DEFLATED_SYNTAX in content:
        raise RecordingError("a deflated DICOM file is not read; save it uncompressed")
    if len(content) > MAX_BYTES:
        raise RecordingError(f"a DICOM file of {len(content) / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read")
    if content.count(ITEM) > MAX_ITEMS:
        raise RecordingError(f"the DICOM file has more than {MAX_ITEMS} items; no ECG needs so many")
    with library_errors_refused("pydicom"):
        dataset = pydicom.dcmread(io.BytesIO(content), specific_tags=["WaveformSequence"])
    groups = _items(dataset, "WaveformSequence")
    if not groups:
        raise RecordingError("the DICOM file holds no waveforms; give an ECG object, not an image or report")
    if not dataset.original_encoding[1]:
        raise RecordingError("a big-endian DICOM file is not read; save it as Explicit VR Little Endian")
    if len(groups) > MAX_GROUPS:
        raise RecordingError(f"{len(groups)} groups of waveforms; 1 to {MAX_GROUPS} are read")
    index = max(range(len(groups)), key=lambda i: _rank(groups[i]))
    notes = ()
    if len(groups) > 1:
        label = _value(groups[index], "MultiplexGroupLabel") or f"number {index + 1}"
        notes = (f"of {len(groups)} groups of waveforms the longest with most leads was read: {printable(label)}",)
    return _channels(dataset, groups[index], index, notes)


def _value(dataset: Dataset, keyword: str) -> object:
    """An element's value, None if it is not there; pydicom decodes it only now."""
    with library_errors_refused("pydicom"):
        return dataset.get(keyword)


def _items(dataset: Dataset, keyword: str) -> Sequence:
    """The items of a sequence; empty if it is not there or none."""
    value = _value(dataset, keyword)
    return value if isinstance(value, Sequence) else Sequence()


def _rank(group: Dataset) -> tuple[int, int]:
    """Leads, then samples of a group."""
    named = {_name(channel) for channel in _items(group, "ChannelDefinitionSequence")}
    return sum(lead_name(name) is not None for name in named), _samples(group)


def _samples(group: Dataset) -> int:
    return header_number(_value(group, "NumberOfWaveformSamples"), int, "the number of samples")


def _channels(dataset: Dataset, group: Dataset, index: int, notes: tuple[str, ...]) -> Channels:
    definitions = _items(group, "ChannelDefinitionSequence")
    count, samples = len(definitions), _samples(group)
    rate = header_number(_value(group, "SamplingFrequency"), float, "the sampling rate")
    check_extent(count, samples, rate)
    declared, kind = _value(group, "NumberOfWaveformChannels"), _value(group, "WaveformSampleInterpretation")
    if declared != count:
        raise RecordingError(f"the file declares {printable(declared)} channels and describes {count}")
    if kind not in LINEAR_SAMPLES:
        raise RecordingError(f"samples of type {printable(kind)} are not read")
    with library_errors_refused("pydicom"):
        raw = multiplex_array(dataset, index, as_raw=True)
    missing = _padding(group, raw.dtype)
    chosen, ignored = lead_channels([_name(channel) for channel in definitions])
    values, units = [], []
    for lead, column in chosen.items():
        scale, baseline, unit = _calibration(definitions[column], lead)
        values.append(raw[:, column] * scale + baseline)
        if missing is not None:
            values[-1][raw[:, column] == missing] = np.nan
        units.append(unit)
    return Channels(names=list(chosen), values=values, units=units, sampling_rate=rate, notes=notes + ignored)


def _padding(group: Dataset, sample: np.dtype) -> int | None:
    """The count that stands for a missing sample, where there is one."""
    value = _value(group, "WaveformPaddingValue")
    usable = isinstance(value, bytes) and len(value) >= sample.itemsize
    return int(np.frombuffer(value, sample, 1)[0]) if usable else None


def _name(channel: Dataset) -> str:
    source = next(iter(_items(channel, "ChannelSourceSequence")), Dataset())
    coded = _CODED_LEAD.fullmatch(str(_value(source, "CodeValue")))
    return _LEAD_NUMBERS.get(int(coded[1]) if coded else 0) or str(_value(source, "CodeMeaning") or "")


def _calibration(channel: Dataset, name: str) -> tuple[float, float, str]:
    """Units per count, the value of count 0, and the unit."""
    sensitivity = _number(channel, "ChannelSensitivity", 0.0) * _number(
        channel, "ChannelSensitivityCorrectionFactor", 1.0
    )
    units = _items(channel, "ChannelSensitivityUnitsSequence")
    if not sensitivity or not units:
        raise RecordingError(f"channel {printable(name)} has no sensitivity or unit, so its amplitude is unknown")
    return sensitivity, _number(channel, "ChannelBaseline", 0.0), str(_value(units[0], "CodeValue"))


def _number(dataset: Dataset, keyword: str, default: float) -> float:
    return header_number(_value(dataset, keyword) or default, float, keyword)
