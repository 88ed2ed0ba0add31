"""What is to be simulated, and what the simulation then knows about its signal."""

from dataclasses import dataclass

import numpy as np

from ecg.synthetic.pathology import Finding

NATIVE_RATE = 500  # Hz, of the simulation
DURATION = 10.0  # s
MALE, FEMALE = 0, 1  # PTB-XL's coding


@dataclass(frozen=True)
class Artefact:
    """A technical defect: the PTB-XL column it belongs in, the electrodes it reaches and how PTB-XL writes that."""

    column: str
    electrodes: tuple[str, ...]
    annotation: str


@dataclass(frozen=True)
class Case:
    """What is to be synthesised.

    age: years. sex: ``MALE`` or ``FEMALE``. heart_rate: beats/min.
    rhythm: "SR" (any sinus rhythm), "AFIB" or "PACE".
    axis: frontal QRS axis in degrees before any disease; None draws one fit for the age.
    voltage: factor on all QRS amplitudes (build, lungs, electrode placement).
    respiratory_arrhythmia: relative swing of the RR interval with breathing.
    noise: factor on the muscle, mains and wander noise of a good recording; 0 is clean.
    """

    age: float
    sex: int
    heart_rate: float
    findings: tuple[Finding, ...] = ()
    rhythm: str = "SR"
    axis: float | None = None
    voltage: float = 1.0
    respiratory_arrhythmia: float = 0.02
    noise: float = 1.0
    artefacts: tuple[Artefact, ...] = ()

    def __post_init__(self):
        if not 20 <= self.heart_rate <= 250:
            raise ValueError(f"a heart rate of {self.heart_rate} beats/min is out of range (20 to 250)")
        if self.rhythm not in ("SR", "AFIB", "PACE"):
            raise ValueError(f"rhythm is SR, AFIB or PACE, not {self.rhythm!r}")


@dataclass(frozen=True, eq=False)
class Truth:
    """What the simulation knows about its signal.

    pr_ms, qrs_ms, qt_ms: intervals (PR is NaN without P waves). heart_rate: beats/min, of the beats in the recording.
    axis: frontal QRS axis in degrees. p_axis: that of the mean P vector (NaN without P waves).
    r_peaks: ``(beats,)`` times of the largest QRS vector, s.
    r_mv, s_mv: ``(12,)`` largest and smallest QRS amplitude of each lead, noise-free. st_mv: ``(12,)`` 60 ms after J.
    t_mv: ``(12,)`` signed T amplitude.
    """

    pr_ms: float
    qrs_ms: float
    qt_ms: float
    heart_rate: float
    axis: float
    p_axis: float
    r_peaks: np.ndarray
    r_mv: np.ndarray
    s_mv: np.ndarray
    st_mv: np.ndarray
    t_mv: np.ndarray

    @property
    def sokolow_mv(self) -> float:
        """Sokolow-Lyon index, S in V1 + R in V5 or V6 (Am Heart J 1949;37:161); 3.5 mV and more means LVH."""
        return float(-min(self.s_mv[6], 0.0) + max(self.r_mv[10], self.r_mv[11]))
