"""Heart rate and intervals beside XQRS, generated ECGs of known intervals, and the diagnoses that intervals define."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from tqdm import tqdm
from wfdb.processing import XQRS

from config import VALIDATION_FOLD
from ecg.intervals import Intervals, measure_intervals
from ecg.leads import LIMB_FROM_I_II
from ecg.preprocessing import resample
from ecg.quality import assess
from ecg.recording import Recording
from ecg.synthetic.case import NATIVE_RATE, Truth
from ecg.synthetic.patients import draw_case, draw_patients
from ecg.synthetic.simulation import synthesise
from ptbxl.cache import SignalCache
from tools.quality.annotations import auroc, cached_recordings

SYNTHETIC_PATIENTS = 80
COMPARED = {"heart_rate": "beats/min", "pr": "ms", "qrs": "ms", "qt": "ms", "p_axis": "degrees", "qrs_axis": "degrees"}
TRUE_NAMES = {
    "heart_rate": "heart_rate", "pr": "pr_ms", "qrs": "qrs_ms", "qt": "qt_ms", "p_axis": "p_axis", "qrs_axis": "axis",
}  # fmt: skip
SINUS_P_AXIS = (0, 75)  # degrees, the usual range of sinus rhythm in adults
XQRS_RATE = 500  # Hz; at 100 it counts T waves too


def as_table(found: Iterable[Intervals]) -> pd.DataFrame:
    """The `COMPARED` values, a row a recording; NaN where withheld."""
    return pd.DataFrame(map(vars, found))[list(COMPARED)].astype(float)


def found_and_true(generated: list[tuple[Recording, Truth]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What `measure_intervals` finds in generated ECGs and what it should, as `as_table`."""
    found = as_table(measure_intervals(recording) for recording, _ in generated)
    true = [[getattr(truth, name) for name in TRUE_NAMES.values()] for _, truth in generated]
    return found, pd.DataFrame(true, columns=found.columns)


def turn(degrees: pd.Series | np.ndarray | float) -> pd.Series | np.ndarray | float:
    """The same turn between -180 and 180 degrees."""
    return (degrees + 180) % 360 - 180


def frontally_turned(recording: Recording, degrees: float) -> Recording:
    """The recording with its limb leads as if the heart's vectors were turned in the frontal plane."""
    one, avf = recording.signal[0], recording.signal[5] * 2 / np.sqrt(3)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y = cosine * one - sine * avf, sine * one + cosine * avf
    limb = LIMB_FROM_I_II @ np.stack([x, np.sqrt(3) / 2 * y + x / 2])
    return replace(recording, signal=np.concatenate([limb, recording.signal[6:]]).astype(np.float32))


def p_axis_all_round() -> dict[str, float]:
    """Errors in degrees of the P axis of generated ECGs turned to every direction of the frontal plane."""
    rng = np.random.default_rng(1)
    errors = []
    for patient in tqdm(draw_patients(SYNTHETIC_PATIENTS, seed=2), desc="P axis, generated", unit="ECG"):
        recording, truth = synthesise(draw_case(patient, 0, patient.age, rng), NATIVE_RATE, rng)
        degrees = rng.uniform(-180, 180)
        found = measure_intervals(frontally_turned(recording, degrees)).p_axis
        if found is not None and np.isfinite(truth.p_axis):
            errors.append(abs(turn(found - truth.p_axis - degrees)))
    return {"n": len(errors), "median": float(np.median(errors)), "within_90_percent": float(np.quantile(errors, 0.9))}


def p_axis_of_people(recordings: list[Recording]) -> dict[str, float]:
    """The P axis of the first half of each recording beside that of the second, and how usual that of the whole is."""
    whole, difference = [], []
    for recording in tqdm(recordings, desc="P axis", unit="ECG"):
        middle = recording.signal.shape[1] // 2
        parts = (recording.signal, recording.signal[:, :middle], recording.signal[:, middle:])
        axis, first, second = (measure_intervals(replace(recording, signal=part)).p_axis for part in parts)
        whole.append(np.nan if axis is None else axis)
        if first is not None and second is not None:
            difference.append(abs(turn(first - second)))
    whole = np.array(whole)
    given = whole[np.isfinite(whole)]
    return {
        "n": len(whole),
        "withheld": float(np.isnan(whole).mean()),
        "usual": float(np.mean((given >= SINUS_P_AXIS[0]) & (given <= SINUS_P_AXIS[1]))),
        "n_halves": len(difference),
        "median_difference": float(np.median(difference)),
        "within_90_percent": float(np.quantile(difference, 0.9)),
    }


def against_truth(rate: int) -> dict[str, dict]:
    """Errors of `measure_intervals` on generated ECGs, whose intervals are known."""
    rng = np.random.default_rng(0)
    patients = tqdm(draw_patients(SYNTHETIC_PATIENTS, seed=1), desc=f"generated, {rate} Hz", unit="ECG")
    found, true = found_and_true(
        [synthesise(draw_case(patient, 0, patient.age, rng), rate, rng) for patient in patients]
    )
    error = found - true
    for axis in ("p_axis", "qrs_axis"):
        error[axis] = turn(error[axis])
    columns = {
        "n": error.count(),
        "withheld": (found.isna() & true.notna()).sum(),
        "median_error": error.median(),
        "median_absolute_error": error.abs().median(),
        "within_90_percent": error.abs().quantile(0.9),
        "without_p": true.isna().sum(),
        "given_without_p": (found.notna() & true.isna()).sum(),
    }
    return pd.DataFrame(columns).to_dict("index")


def against_xqrs(recordings: list[Recording]) -> dict[str, float]:
    """Heart rate of `assess` beside that of wfdb's XQRS detector in lead II, which is far slower."""
    differences = []
    for recording in tqdm(recordings, desc="heart rate", unit="ECG"):
        rate = assess(recording).heart_rate
        lead = resample(recording.signal[1].astype(float), recording.sampling_rate, XQRS_RATE)
        detector = XQRS(sig=lead, fs=XQRS_RATE)
        detector.detect(verbose=False)
        if rate is not None and len(detector.qrs_inds) >= 3:
            differences.append(abs(rate - 60 * XQRS_RATE / np.diff(detector.qrs_inds).mean()))
    return {
        "n": len(differences),
        "either_without": len(recordings) - len(differences),
        "median": float(np.median(differences)),
        "within_5": float(np.mean(np.array(differences) <= 5)),
    }


def against_diagnoses(table: pd.DataFrame, cache: SignalCache, usual: pd.Index) -> dict[str, dict]:
    """Do intervals of fold 9 tell the diagnoses they define beside ``usual`` recordings, and how many are withheld?"""
    fold = table[table["strat_fold"] == VALIDATION_FOLD]
    codes = ("1AVB", "CLBBB", "CRBBB", "AFIB")
    has = pd.DataFrame({code: fold["scp_codes"].str.contains(f"'{code}'") for code in codes})
    fold = fold[has.any(axis=1) | fold.index.isin(usual)]
    has = has.loc[fold.index]
    found = as_table(map(measure_intervals, cached_recordings(cache, fold, "intervals"))).set_index(fold.index)
    others = ~has.any(axis=1)
    result = {
        f"{name} in {code}": {
            "n": int(found.loc[has[code], name].count()),
            "n_others": int(found.loc[others, name].count()),
            "median": found.loc[has[code], name].median(),
            "median_others": found.loc[others, name].median(),
            "auroc": auroc(found[name], has[code], others),
        }
        for name, code in (("pr", "1AVB"), ("qrs", "CLBBB"), ("qrs", "CRBBB"))
    }
    return result | {
        "withheld": found[others].isna().mean().to_dict(),
        "withheld_pr_afib": found.loc[has["AFIB"], "pr"].isna().mean(),
        "n_others": int(others.sum()),
        "n_afib": int(has["AFIB"].sum()),
    }
