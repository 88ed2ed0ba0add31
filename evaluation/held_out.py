"""Calibrated probabilities and decisions that no fit has seen."""

from dataclasses import dataclass

import numpy as np

from evaluation.predictions import SplitPredictions
from inference.calibration import cross_fit
from inference.decisions import Decisions


@dataclass(frozen=True, eq=False)
class HeldOutDecisions:
    """One network's decisions on a split.

    calibrated: probabilities ``(n, classes)``. positive: bool ``(n, classes)``.
    certainty: ``(n,)``, distance to the nearest threshold over the margin; under 1 if the margin alone says uncertain.
    """

    calibrated: np.ndarray
    positive: np.ndarray
    certainty: np.ndarray


def held_out_decisions(predictions: SplitPredictions, decisions: Decisions, split: str) -> HeldOutDecisions:
    """Decide on a split by thresholds and calibration of fold 9.

    On fold 9 itself, where they were fitted, the fit is repeated by 5-fold cross-fitting by patient;
    on any other split the fitted ones apply.
    """
    if split == "val":
        recordings = predictions.recordings
        calibrated, positive, certainty = cross_fit(
            predictions.probabilities,
            recordings.targets,
            recordings.patient_ids,
            decisions.task,
            criterion=decisions.criterion,
            sensitivity_floor=decisions.sensitivity_floor,
        )
    else:
        calibrated = decisions.calibrate(predictions.probabilities)
        positive = decisions.decide(calibrated)
        certainty = decisions.clearance(calibrated) / decisions.margin
    return HeldOutDecisions(calibrated=calibrated, positive=positive, certainty=certainty)
