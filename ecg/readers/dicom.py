"""DICOM 12-lead, general and ambulatory ECG waveforms (PS3.3 A.34, C.10.9), parsed by pydicom."""

import io
import re

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.waveforms import multiplex_array

from ecg.leads import lead_name
from ecg.readers.channels import Channels, check_extent
from ecg.recording import RecordingError, printable

DEFLATED_SYNTAX = b"1.2.840.10008.1.2.1.99"
LINEAR_SAMPLES = ("SB", "UB", "SS", "US", "SL", "UL")
MAX_GROUPS = 16
ITEM = b"\xfe\xff\x00\xe0"  # what starts an item of a sequence
MAX_ITEMS = 10_000
MAX_BYTES = 5_000_000  # of many small elements, each costs more than its bytes

# lead numbers of SCP-ECG (PS3.16 CID 3001), for files whose code meanings are in another language
_CODED_LEAD = re.compile(r"(?:5\.6\.3-9-|2:)(\d+)")
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
    dataset = pydicom.dcmread(io.BytesIO(content), specific_tags=["WaveformSequence"])
    if "WaveformSequence" not in dataset:
        raise RecordingError("the DICOM file holds no waveforms; give an ECG object, not an image or report")
    if not dataset.original_encoding[1]:
        raise RecordingError("a big-endian DICOM file is not read; save it as Explicit VR Little Endian")
    groups = dataset.WaveformSequence
    if not 1 <= len(groups) <= MAX_GROUPS:
        raise RecordingError(f"{len(groups)} groups of waveforms; 1 to {MAX_GROUPS} are read")
    index = max(range(len(groups)), key=lambda i: _rank(groups[i]))
    notes = ()
    if len(groups) > 1:
        label = groups[index].get("MultiplexGroupLabel") or f"number {index + 1}"
        notes = (f"of {len(groups)} groups of waveforms the longest with most leads was read: {printable(label)}",)
    return _channels(dataset, index, notes)


def _rank(group: Dataset) -> tuple[int, int]:
    named = {_name(channel) for channel in group.ChannelDefinitionSequence}
    return sum(lead_name(name) is not None for name in named), int(group.NumberOfWaveformSamples)


def _channels(dataset: Dataset, index: int, notes: tuple[str, ...]) -> Channels:
    group = dataset.WaveformSequence[index]
    definitions = group.ChannelDefinitionSequence
    count, samples, rate = len(definitions), int(group.NumberOfWaveformSamples), float(group.SamplingFrequency)
    check_extent(count, samples, rate)
    if int(group.NumberOfWaveformChannels) != count:
        raise RecordingError(f"the file declares {group.NumberOfWaveformChannels} channels and describes {count}")
    if group.WaveformSampleInterpretation not in LINEAR_SAMPLES:
        raise RecordingError(f"samples of type {printable(group.WaveformSampleInterpretation)} are not read")
    raw = multiplex_array(dataset, index, as_raw=True)
    padding = group.get("WaveformPaddingValue")
    names, values, units = [], [], []
    for column, channel in enumerate(definitions):
        name = _name(channel)
        if lead_name(name) is None:
            notes += (f"ignored the channel {printable(name)}",)
            continue
        scale, baseline, unit = _calibration(channel, name)
        samples_here = raw[:, column] * scale + baseline
        if padding:
            samples_here[raw[:, column] == np.frombuffer(padding, raw.dtype)[0]] = np.nan
        names.append(name)
        values.append(samples_here)
        units.append(unit)
    return Channels(names, values, units, rate, notes)


def _name(channel: Dataset) -> str:
    source = channel.ChannelSourceSequence[0]
    coded = _CODED_LEAD.fullmatch(str(source.get("CodeValue", "")))
    return _LEAD_NUMBERS.get(int(coded[1]) if coded else 0) or str(source.get("CodeMeaning", ""))


def _calibration(channel: Dataset, name: str) -> tuple[float, float, str]:
    """Units per count, the value of count 0, and the unit."""
    sensitivity = float(channel.get("ChannelSensitivity") or 0) * float(
        channel.get("ChannelSensitivityCorrectionFactor") or 1
    )
    units = channel.get("ChannelSensitivityUnitsSequence")
    if not sensitivity or not units:
        raise RecordingError(f"channel {printable(name)} has no sensitivity or unit, so its amplitude is unknown")
    return sensitivity, float(channel.get("ChannelBaseline") or 0), str(units[0].CodeValue)
