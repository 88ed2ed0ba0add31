"""Annotations of generated recordings as PTB-XL writes them: statement codes, table columns, report texts."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from ecg.synthetic.case import Case, Truth
from ecg.synthetic.pathology import EFFECTS, infarction
from ecg.synthetic.patients import LIKELIHOODS

SCP_OTHER_COLUMNS = (
    "Statement Category", "SCP-ECG Statement Description", "AHA code", "aECG REFID", "CDISC Code", "DICOM Code",
)  # fmt: skip
_SCP_PATH = Path(__file__).parents[1] / "scp_statements.csv"


@cache
def scp_statements() -> dict[str, dict[str, str]]:
    """PTB-XL's 71 SCP-ECG statements: code to column to text, as in its ``scp_statements.csv``."""
    return pd.read_csv(_SCP_PATH, index_col=0, dtype=str, keep_default_na=False).to_dict("index")


def heart_axis_name(degrees: float) -> str:
    """PTB-XL's name of a frontal axis: LAD under 10, ALAD under -30, RAD over 90, ARAD over 120, AXR beyond."""
    degrees = (degrees + 180) % 360 - 180
    if degrees < -90:
        return "AXR"
    limits = ((-30, "ALAD"), (10, "LAD"), (90, "MID"), (120, "RAD"))
    return next((name for limit, name in limits if degrees < limit), "ARAD")


def _likelihood(code: str, superclass: str, severity: float, rng: np.random.Generator) -> float:
    """PTB-XL's certainty in percent, higher for severer findings."""
    table = LIKELIHOODS.get(code, LIKELIHOODS[superclass])
    sureness = np.clip(severity + rng.normal(0, 0.15), 0, 0.999)
    return float(list(table)[np.searchsorted(np.cumsum(list(table.values())), sureness)])


def scp_codes(case: Case, superclasses: tuple[str, ...], truth: Truth, rng: np.random.Generator) -> dict[str, float]:
    """SCP statements with likelihoods: the diagnoses, then what the signal itself shows of form and rhythm."""
    table = scp_statements()
    codes = {"NORM": _likelihood("NORM", "NORM", rng.random(), rng)} if "NORM" in superclasses else {}
    for finding in case.findings:
        superclass = table[finding.code]["diagnostic_class"]
        certainty = _likelihood(finding.code, superclass, finding.severity, rng) if superclass else 0.0
        codes[finding.code] = certainty
    if "LVH" in codes and truth.sokolow_mv >= 3.5:
        codes["VCLVH"] = 0.0
    if any(EFFECTS[f.code] is infarction and f.severity > 0.3 for f in case.findings):
        codes["ABQRS"] = 0.0
    if codes.keys() & {"ISC_", "NST_", "INJAS", "INJAL"} and truth.st_mv.min() < -0.1:
        codes["STD_"] = 0.0
    if (truth.r_mv - truth.s_mv)[:6].max() < 0.5:
        codes["LVOLT"] = 0.0
    if truth.pr_ms > 200 and "1AVB" not in codes:
        codes["LPR"] = 0.0
    codes[_rhythm(case, truth)] = 0.0
    return codes


def _rhythm(case: Case, truth: Truth) -> str:
    if case.rhythm != "SR":
        return case.rhythm
    if truth.heart_rate < 55:
        return "SBRAD"
    if truth.heart_rate > 100:
        return "STACH"
    return "SARRH" if case.respiratory_arrhythmia > 0.08 else "SR"


_AXIS_TEXTS = {"LAD": "left axis", "ALAD": "marked left axis deviation", "RAD": "right axis",
               "ARAD": "marked right axis deviation", "AXR": "extreme axis"}  # fmt: skip


def report_text(codes: dict[str, float], axis: str, stadium: str) -> str:
    """The text of a report: its statements in English, the axis if abnormal, the stage of an infarction."""
    table = scp_statements()
    statements = [table[code]["description"] for code in codes]
    if axis in _AXIS_TEXTS:
        statements.append(_AXIS_TEXTS[axis])
    if stadium:
        statements.append("stage unknown" if stadium == "unknown" else stadium.replace("Stadium", "stage"))
    return "SYNTHETIC " + ", ".join(statements)
