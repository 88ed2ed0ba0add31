"""Heart rate and intervals beside XQRS, generated ECGs of known intervals, and the diagnoses that intervals define."""

import numpy as np
from tqdm import tqdm
from wfdb.processing import XQRS

from config import VALIDATION_FOLD
from ecg.intervals import measure_intervals
from ecg.preprocessing import resample
from ecg.quality import assess
from ecg.recording import Recording
from ecg.synthetic.patients import draw_case, draw_patients
from ecg.synthetic.simulation import synthesise
from tools.quality.annotations import Recordings, auroc

SYNTHETIC_PATIENTS = 80
COMPARED = {"heart_rate": "beats/min", "pr": "ms", "qrs": "ms", "qt": "ms", "qrs_axis": "degrees"}
TRUE_NAMES = {"pr": "pr_ms", "qrs": "qrs_ms", "qt": "qt_ms", "qrs_axis": "axis"}


def against_truth(rate: int) -> dict[str, dict]:
    """Errors of `measure_intervals` on generated ECGs, whose intervals are known."""
    rng = np.random.default_rng(0)
    errors, withheld, false_pr, without_p = {name: [] for name in COMPARED}, dict.fromkeys(COMPARED, 0), 0, 0
    for patient in tqdm(draw_patients(SYNTHETIC_PATIENTS, seed=1), desc=f"generated, {rate} Hz", unit="ECG"):
        recording, truth = synthesise(draw_case(patient, 0, patient.age, rng), rate, rng)
        found = measure_intervals(recording)
        for name in COMPARED:
            expected = getattr(truth, TRUE_NAMES.get(name, name))
            value = getattr(found, name)
            if np.isnan(expected):
                without_p, false_pr = without_p + 1, false_pr + (value is not None)
            elif value is None:
                withheld[name] += 1
            else:
                error = value - expected
                errors[name].append((error + 180) % 360 - 180 if name == "qrs_axis" else error)
    rows = {
        name: {
            "n": len(values),
            "withheld": withheld[name],
            "median_error": float(np.median(values)),
            "median_absolute_error": float(np.median(np.abs(values))),
            "within_90_percent": float(np.quantile(np.abs(values), 0.9)),
        }
        for name, values in errors.items()
    }
    rows["pr"] |= {"without_p": without_p, "given_without_p": false_pr}
    return rows


XQRS_RATE = 500  # Hz; at 100 it counts T waves too


def against_xqrs(recordings: list[Recording]) -> dict[str, float]:
    """Heart rate of `assess` beside that of wfdb's XQRS detector in lead II, which is far slower."""
    differences, none = [], 0
    for recording in tqdm(recordings, desc="heart rate", unit="ECG"):
        rate = assess(recording).heart_rate
        lead = resample(recording.signal[1].astype(float), recording.sampling_rate, XQRS_RATE)
        detector = XQRS(sig=lead, fs=XQRS_RATE)
        detector.detect(verbose=False)
        if rate is None or len(detector.qrs_inds) < 3:
            none += 1
        else:
            differences.append(rate - 60 * XQRS_RATE / np.diff(detector.qrs_inds).mean())
    size = np.abs(differences)
    return {
        "n": len(size),
        "either_without": none,
        "median": float(np.median(size)),
        "within_5": float((size <= 5).mean()),
    }


def against_diagnoses(data: Recordings, usual: np.ndarray) -> dict[str, dict]:
    """Do intervals of fold 9 tell the diagnoses they define beside ``usual`` recordings, and how many are withheld?"""
    in_fold, codes = data.folds == VALIDATION_FOLD, data.table["scp_codes"]
    groups = {code: in_fold & codes.str.contains(f"'{code}'").to_numpy() for code in ("1AVB", "CLBBB", "CRBBB", "AFIB")}
    diagnosed = np.any(list(groups.values()), axis=0)
    numbers = np.union1d(np.flatnonzero(diagnosed), usual)
    found = dict(zip(numbers, map(measure_intervals, data.each(numbers, "intervals")), strict=True))
    others = usual[~diagnosed[usual]]

    def values(name: str, numbers: np.ndarray) -> np.ndarray:
        return np.array([getattr(found[number], name) for number in numbers], float)

    result = {}
    for name, code in (("pr", "1AVB"), ("qrs", "CLBBB"), ("qrs", "CRBBB")):
        positive, negative = values(name, np.flatnonzero(groups[code])), values(name, others)
        scores = np.concatenate([positive, negative])
        truth = np.arange(len(scores)) < len(positive)
        result[f"{name} in {code}"] = {
            "n": int(np.isfinite(positive).sum()),
            "n_others": int(np.isfinite(negative).sum()),
            "median": float(np.nanmedian(positive)),
            "median_others": float(np.nanmedian(negative)),
            "auroc": auroc(scores, truth, ~truth),
        }
    result["withheld"] = {name: float(np.isnan(values(name, others)).mean()) for name in COMPARED}
    result["withheld_pr_afib"] = float(np.isnan(values("pr", np.flatnonzero(groups["AFIB"]))).mean())
    result["n_others"], result["n_afib"] = len(others), int(groups["AFIB"].sum())
    return result
