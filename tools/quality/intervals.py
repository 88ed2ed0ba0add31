"""Heart rate and intervals beside XQRS, generated ECGs of known intervals, and the diagnoses that intervals define."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from tqdm import tqdm
from wfdb.processing import XQRS

from config import VALIDATION_FOLD
from ecg.intervals import Intervals, measure_intervals
from ecg.preprocessing import resample
from ecg.quality import assess
from ecg.recording import Recording
from ecg.synthetic.case import Truth
from ecg.synthetic.patients import draw_case, draw_patients
from ecg.synthetic.simulation import synthesise
from ptbxl.cache import SignalCache
from tools.quality.annotations import auroc, cached_recordings

SYNTHETIC_PATIENTS = 80
COMPARED = {"heart_rate": "beats/min", "pr": "ms", "qrs": "ms", "qt": "ms", "qrs_axis": "degrees"}
TRUE_NAMES = {"heart_rate": "heart_rate", "pr": "pr_ms", "qrs": "qrs_ms", "qt": "qt_ms", "qrs_axis": "axis"}
XQRS_RATE = 500  # Hz; at 100 it counts T waves too


def as_table(found: Iterable[Intervals]) -> pd.DataFrame:
    """The `COMPARED` values, a row a recording; NaN where withheld."""
    return pd.DataFrame(map(vars, found))[list(COMPARED)].astype(float)


def found_and_true(generated: list[tuple[Recording, Truth]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What `measure_intervals` finds in generated ECGs and what it should, as `as_table`."""
    found = as_table(measure_intervals(recording) for recording, _ in generated)
    true = [[getattr(truth, name) for name in TRUE_NAMES.values()] for _, truth in generated]
    return found, pd.DataFrame(true, columns=found.columns)


def against_truth(rate: int) -> dict[str, dict]:
    """Errors of `measure_intervals` on generated ECGs, whose intervals are known."""
    rng = np.random.default_rng(0)
    patients = tqdm(draw_patients(SYNTHETIC_PATIENTS, seed=1), desc=f"generated, {rate} Hz", unit="ECG")
    found, true = found_and_true(
        [synthesise(draw_case(patient, 0, patient.age, rng), rate, rng) for patient in patients]
    )
    error = found - true
    error["qrs_axis"] = (error["qrs_axis"] + 180) % 360 - 180
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
