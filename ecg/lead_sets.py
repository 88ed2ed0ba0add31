"""The sets of leads that fewer-lead ECGs come in, and which of them answers for any other set.

The names are those of `CANONICAL_SETS`. "11" is any one chest lead missing; all six sets of that kind share its
calibration and its results.
"""

from collections.abc import Mapping

import numpy as np

from config import CHEST_LEADS, LEADS, LIMB_LEADS

# What the network sees: two of I, II and III give all six limb leads exactly, and with V1 to V6 all twelve.
# "11" is written here without V1; see `presence`.
CANONICAL_SETS: dict[str, tuple[str, ...]] = {
    "12": LEADS,
    "8": LEADS,
    "11": tuple(lead for lead in LEADS if lead != "V1"),
    "limb": LIMB_LEADS,
    "I,II,V2": (*LIMB_LEADS, "V2"),
    "I,II,V5": (*LIMB_LEADS, "V5"),
    "I": ("I",),
    "II": ("II",),
    "V1": ("V1",),
    "V5": ("V5",),
}
FITTED_SETS = tuple(name for name in CANONICAL_SETS if name != "8")  # "8" is "12" by Einthoven's law


def lead_left_out(ecg_id: int) -> str:
    """The chest lead that one record lacks when a fold is fitted or evaluated with eleven leads.

    >>> [lead_left_out(ecg_id) for ecg_id in (6, 7, 11)]
    ['V1', 'V2', 'V6']
    """
    return CHEST_LEADS[ecg_id % len(CHEST_LEADS)]


def presence(name: str, ecg_ids: np.ndarray) -> np.ndarray:
    """Which leads the network sees of each record in a canonical set: bool ``(records, 12)``.

    ecg_ids: ``(records,)``; they say which chest lead is left out of "11".
    """
    if name == "11":
        return np.array([[lead != lead_left_out(int(ecg_id)) for lead in LEADS] for ecg_id in ecg_ids], bool)
    return np.tile(np.isin(LEADS, CANONICAL_SETS[name]), (len(ecg_ids), 1))


def seen_leads(present: np.ndarray) -> np.ndarray:
    """The leads there are once the limb leads that follow by Einthoven's law are filled in; bool ``(12,)`` to same."""
    seen = np.array(present, bool)
    seen[: len(LIMB_LEADS)] |= seen[:3].sum() >= 2
    return seen


def choose_lead_set(present: np.ndarray, auroc: Mapping[str, float]) -> tuple[str | None, bool]:
    """Whose calibration applies to a recording, and whether exactly.

    The set itself if it is canonical, else the largest canonical set it contains; of equally large ones that with the
    highest AUROC; None if it contains none.
    present: bool ``(12,)``. auroc: canonical set to its macro AUROC on fold 9; sets that are not in it are passed over.
    """
    seen = seen_leads(present)
    contained = [name for name in FITTED_SETS if name in auroc and _contains(seen, name)]
    if not contained:
        return None, False
    best = max(contained, key=lambda name: (len(CANONICAL_SETS[name]), auroc[name]))
    return best, len(CANONICAL_SETS[best]) == int(seen.sum())


def _contains(seen: np.ndarray, name: str) -> bool:
    if name == "11":
        return seen.sum() >= len(LEADS) - 1 and bool(seen[: len(LIMB_LEADS)].all())
    return bool(seen[np.isin(LEADS, CANONICAL_SETS[name])].all())
