"""The caliper: what a rectangle drawn on ECG paper measures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecg.plotting.layout import Scale


@dataclass(frozen=True)
class Caliper:
    """The width of a rectangle in ms and its height in mV."""

    milliseconds: float
    millivolts: float

    @property
    def beats_per_minute(self) -> float | None:
        """The heart rate if the width is one heartbeat."""
        return 60_000 / self.milliseconds if self.milliseconds > 0 else None


def measure_rectangle(scale: Scale, rectangle: Mapping[str, Sequence[float]]) -> Caliper:
    """Measure a rectangle on the paper, ``{"x": [mm, mm], "y": [mm, mm]}``, corners in any order.

    >>> measure_rectangle(Scale(25, 10), {"x": [50, 70], "y": [100, 115]})
    Caliper(milliseconds=800.0, millivolts=1.5)
    """
    width_mm, height_mm = (max(rectangle[axis]) - min(rectangle[axis]) for axis in ("x", "y"))
    return Caliper(milliseconds=1000 * width_mm / scale.speed_mm_s, millivolts=height_mm / scale.gain_mm_mv)
