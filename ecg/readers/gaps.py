"""Missing samples: short gaps are interpolated, long ones refused."""

import numpy as np

from config import LEADS
from ecg.recording import RecordingError

MAX_GAP_S = 0.2


def fill_gaps(signal: np.ndarray, present: np.ndarray, sampling_rate: float) -> list[str]:
    """Interpolate short gaps in place; a lead without any sample counts as missing. One note for all leads."""
    filled, count, longest_s = [], 0, 0.0
    if np.isfinite(signal).all():
        return []
    for row, lead in enumerate(LEADS):
        bad = ~np.isfinite(signal[row])
        if bad.all():
            signal[row], present[row] = 0, False
            continue
        if not bad.any():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[0], bad, [0]])))
        starts, lengths = edges[::2], np.diff(edges)[::2]
        longest = lengths.argmax()
        gap_s = lengths[longest] / sampling_rate
        if gap_s > MAX_GAP_S:
            raise RecordingError(
                f"lead {lead} has no samples for {gap_s:.2f} s from {starts[longest] / sampling_rate:.2f} s on; "
                f"up to {MAX_GAP_S:g} s are interpolated: cut out the part without gaps, or leave the lead out"
            )
        signal[row, bad] = np.interp(np.flatnonzero(bad), np.flatnonzero(~bad), signal[row, ~bad])
        filled.append(lead)
        count, longest_s = count + len(starts), max(longest_s, gap_s)
    if not present.any():
        raise RecordingError("no lead has any samples")
    gaps = f"{count} gap(s) of up to {longest_s * 1000:.0f} ms interpolated"
    return [f"{'leads' if len(filled) > 1 else 'lead'} {', '.join(filled)}: {gaps}"] if filled else []
