"""Documents that are written whole: the Jinja templates beside this file, filled from the JSON files in artifacts/."""

import os
from pathlib import Path

from config import SYNTHETIC_NOTICE
from ecg.lead_order import TOLERANCE
from evaluation.bootstrap import BOOTSTRAP_DRAWS
from inference.explain import METHODS
from tools.documents import filled
from tools.explanations.curves import PRESENT
from tools.explanations.figures import AGREEMENT_NAMES, CURVE_NAMES, ORDER_NAMES
from tools.quality.annotations import ANNOTATIONS, FALSE_ALARMS, SWAP_FALSE_ALARMS
from tools.quality.intervals import COMPARED, SINUS_P_AXIS, SYNTHETIC_PATIENTS
from tools.quality.mistakes import FALSE_ALARMS as MISTAKE_FALSE_ALARMS


def quality(content: dict) -> str:
    """docs/quality.md from the content of artifacts/quality.json."""
    return filled(
        "quality.md.j2",
        **content,
        ANNOTATIONS=ANNOTATIONS,
        FALSE_ALARMS=FALSE_ALARMS,
        SWAP_FALSE_ALARMS=SWAP_FALSE_ALARMS,
        COMPARED=COMPARED,
        SYNTHETIC_PATIENTS=SYNTHETIC_PATIENTS,
        SINUS_P_AXIS=SINUS_P_AXIS,
        TOLERANCE=TOLERANCE,
        MISTAKE_FALSE_ALARMS=MISTAKE_FALSE_ALARMS,
    )


def explanations(content: dict, out: Path, directory: Path) -> str:
    """docs/explanations.md from the content of explanations.json, with links from its directory to figures in out."""
    differences = content["curves"]["default_minus_other"].values()
    return filled(
        "explanations.md.j2",
        **content,
        figures=Path(os.path.relpath(out / "figures", directory)).as_posix(),
        other_method=next(method for method in METHODS if method != content["default_method"]),
        equal=all(low <= 0 <= high for low, high in (difference["ci95"] for difference in differences)),
        METHODS=METHODS,
        PRESENT=PRESENT,
        BOOTSTRAP_DRAWS=BOOTSTRAP_DRAWS,
        SYNTHETIC_NOTICE=SYNTHETIC_NOTICE,
        ORDER_NAMES=ORDER_NAMES,
        CURVE_NAMES=CURVE_NAMES,
        AGREEMENT_NAMES=AGREEMENT_NAMES,
    )
