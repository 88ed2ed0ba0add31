"""Names of the leads, units of voltage, and how the limb leads follow from each other."""

import re
from functools import lru_cache

import numpy as np

from config import LEADS
from ecg.recording import RecordingError, printable

# I, II, III, aVR, aVL and aVF of I and II: Einthoven's law (III = II - I) and Goldberger's augmented leads
LIMB_FROM_I_II = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])
# all twelve of the eight that are measured on their own: I, II and V1 to V6
TWELVE_FROM_EIGHT = np.zeros((12, 8))
TWELVE_FROM_EIGHT[:6, :2] = LIMB_FROM_I_II
TWELVE_FROM_EIGHT[6:, 2:] = np.eye(6)

MILLIVOLTS = {"nv": 1e-6, "uv": 1e-3, "mv": 1.0, "v": 1e3}
UNIT_NAMES = {"nanovolt": "nv", "microvolt": "uv", "millivolt": "mv", "volt": "v", "мкв": "uv", "мв": "mv"}
LEAD_PREFIX = re.compile(r"^(?:mdc_ecg_lead|ecg|ekg|lead|[\s_:.-])+")
NEGATED = re.compile(r"(?:^|[\s_])-")
LEAD_NAMES = {lead.lower(): lead for lead in LEADS}
# French, Portuguese, Spanish
LEAD_NAMES |= {"di": "I", "dii": "II", "diii": "III", "d1": "I", "d2": "II", "d3": "III"}


@lru_cache(maxsize=1024)  # an archive has few, and a header twelve
def lead_name(label: str) -> str | None:
    """The standard name of a lead, or None if the label is none of the twelve.

    >>> [lead_name(label) for label in ("Lead avr", "MDC_ECG_LEAD_V1", "EKG-II", "DIII", "-aVR", "MLII")]
    ['aVR', 'V1', 'II', 'III', None, None]
    """
    label = label.strip().lower().removesuffix("(einthoven)").strip()
    return None if NEGATED.search(label) else LEAD_NAMES.get(LEAD_PREFIX.sub("", label))


@lru_cache(maxsize=1024)
def millivolts(unit: str) -> float:
    """How many mV one of a unit is.

    >>> millivolts("µV"), millivolts("MILLIVOLTS")
    (0.001, 1.0)

    Raises RecordingError for anything that is not a voltage, such as bare ADC counts.
    """
    name = str(unit).strip().lower().replace("\u00b5", "u").replace("\u03bc", "u")
    factor = MILLIVOLTS.get(UNIT_NAMES.get(name.removesuffix("s"), name))
    if factor is None:
        raise RecordingError(f"the unit {printable(unit)!r} is no voltage; uV, mV, V and nV are understood")
    return factor


def derive_limb_leads(signal: np.ndarray, present: np.ndarray) -> list[str]:
    """Fill in, in place, the limb leads that two of I, II and III determine exactly.

    signal: float32 ``(12, samples)``. present: ``(12,)`` bool, which leads are there; the derived ones are added.
    Returns a note that names the derived leads, or none.
    """
    missing = np.flatnonzero(~present[:6])
    if not len(missing) or present[:3].sum() < 2:
        return []
    one, two, three = signal[:3]
    first = one if present[0] else two - three
    second = two if present[1] else one + three
    source = " and ".join([lead for lead, there in zip(LEADS, present[:3], strict=False) if there][:2])
    for row in missing:
        of_first, of_second = LIMB_FROM_I_II[row].tolist()
        signal[row] = of_first * first + of_second * second
    present[missing] = True
    return [f"derived from {source}: {', '.join(LEADS[row] for row in missing)}"]
