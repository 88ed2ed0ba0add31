"""Collections in the format of the PhysioNet/CinC Challenges 2020 and 2021, as their organisers wrote them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.io import savemat

from config import LEADS
from ecg.preprocessing import resample
from ecg.snomed import SNOMED_CODES

# "# Dx: ..." since 2021, "#Dx: ..." in 2020, whose headers also have a date and a time
STYLES = {2021: ("", "# "), 2020: (" 05-Feb-2020 11:39:16", "#")}


def write_challenge_record(
    folder: Path,
    name: str,
    signal_mv: np.ndarray,
    rate: float,
    labels: Iterable[str],
    suffix: str = ".mat",
    style: int = 2021,
    comments: Iterable[str] = (),
) -> Path:
    """One record: a header and its signal file; signal ``(12, samples)`` in mV. Returns the header's path."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = np.round(np.asarray(signal_mv, np.float64) * 1000).clip(-32767, 32767).astype(np.int16)
    if suffix == ".mat":
        savemat(folder / f"{name}.mat", {"val": counts}, format="4")
    else:
        (folder / f"{name}{suffix}").write_bytes(counts.T.astype("<i2").tobytes())
    offset = "+24" if suffix == ".mat" else ""
    when, mark = STYLES[style]
    lines = [f"{name} {len(counts)} {rate:g} {counts.shape[1]}{when}"]
    lines += [
        f"{name}{suffix} 16{offset} 1000/mV 16 0 {row[0]} {int(row.sum(dtype=np.int16))} 0 {lead}"
        for lead, row in zip(LEADS, counts, strict=True)
    ]
    lines += [f"{mark}Age: 63", f"{mark}Sex: Female", f"{mark}Dx: {','.join(labels)}"]
    lines += [f"{mark}{field}: Unknown" for field in ("Rx", "Hx", "Sx")]
    lines += [f"{mark}{comment}" for comment in comments]
    header = folder / f"{name}.hea"
    header.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return header


def at_rate(signal: np.ndarray, rate: float, new_rate: float) -> np.ndarray:
    """The signal at another sampling rate."""
    return resample(np.asarray(signal, np.float64), rate, new_rate)


def codes_of_statements(statements: Iterable[str]) -> list[str]:
    """The SNOMED CT codes that the Challenges wrote for the SCP statements of a recording of PTB-XL."""
    present = set(statements)
    return [code.snomed_ct for code in SNOMED_CODES.values() if code.ptbxl_statements & present]
