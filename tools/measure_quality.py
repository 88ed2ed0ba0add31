"""How good are the quality flags? Measured on PTB-XL's own annotations and on defects made in its recordings.

    python measure_quality.py          # writes artifacts/quality.json and docs/quality.md; about five minutes

Limits are chosen on folds 1-8 and reported on fold 9. The weights behind the swapped electrodes (`ecg.quality.WIRING`)
are fitted here too, on folds 1-8; the file holds the fit beside the figures of the shipped code.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tqdm import tqdm
from wfdb.processing import XQRS

from config import (
    DEFAULT_OUT,
    LEADS,
    MICROVOLTS_PER_MILLIVOLT,
    PROJECT,
    SAMPLING_RATE,
    TRAIN_FOLDS,
    VALIDATION_FOLD,
    data_directory,
)
from ecg.electrode_swaps import INDEPENDENT, SWAPS, wave_products
from ecg.intervals import measure_intervals
from ecg.preprocessing import resample
from ecg.quality import LEAD_CHECKS, RECORD_CHECKS, Quality, assess
from ecg.recording import Recording
from ecg.synthetic.patients import draw_case, draw_patients
from ecg.synthetic.simulation import synthesise
from files import write_text
from ptbxl.cache import SignalCache, open_cache
from ptbxl.index import DatasetError, Index, read_index
from ptbxl.records import read_recording, record_path

ANNOTATIONS = ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems")
VALIDATED = (  # check, the annotation it should find
    ("wander", "baseline_drift"),
    ("muscle noise", "static_noise"),
    ("bursts", "burst_noise"),
    ("low signal-to-noise", "any of the four"),
    ("detached", "electrodes_problems"),
    ("wander", "electrodes_problems"),
    ("paced?", "pacemaker"),
)
GRADED = ("wander", "muscle noise", "bursts", "paced?")  # limits by false alarms, not by nature
FALSE_ALARMS = 0.01  # of each graded flag, in recordings of folds 1-8 without annotation
SWAP_FALSE_ALARMS = 0.015  # of all ten swaps together
SYNTHETIC_PATIENTS = 80
DRAWN = 300  # recordings of fold 9 without annotation, for what takes long: swaps, XQRS, intervals


# -- Measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Recordings:
    """All readable recordings of folds 1-9 at 100 Hz. rows: their rows in ``microvolts``, in the order of ``table``."""

    table: pd.DataFrame
    microvolts: np.ndarray
    rows: np.ndarray

    @property
    def folds(self) -> np.ndarray:
        return self.table["strat_fold"].to_numpy()

    def each(self, numbers: np.ndarray, what: str) -> Iterator[Recording]:
        """Recordings by number, with a progress bar."""
        for number in tqdm(numbers, desc=what, unit="ECG"):
            signal = self.microvolts[self.rows[number]].astype(np.float32) / MICROVOLTS_PER_MILLIVOLT
            yield Recording(signal, SAMPLING_RATE, np.ones(len(LEADS), bool))


def readable(index: Index, cache: SignalCache) -> Recordings:
    """Folds 1-9 of the real PTB-XL; DatasetError without them."""
    present = set(index.folds)
    if index.is_synthetic or not {*TRAIN_FOLDS, VALIDATION_FOLD} <= present:
        raise DatasetError("folds 1-9 of the real PTB-XL are needed: `python dataset.py download` fetches them")
    wanted = np.isin(index.folds, (*TRAIN_FOLDS, VALIDATION_FOLD)) & ~np.isin(index.table.index, list(cache.unreadable))
    return Recordings(index.table[wanted], cache.signals, np.flatnonzero(wanted))


def worst(result: Quality, name: str) -> float:
    """The value of a check in its worst lead, the higher the worse; NaN if not judged."""
    if name in RECORD_CHECKS:
        value, check = result.record.get(name, np.nan), RECORD_CHECKS[name]
    else:
        check, values = LEAD_CHECKS[name], result.measured[name]
        value = np.nan if np.isnan(values).all() else (np.nanmin if check.low else np.nanmax)(values)
    return -value if check.low else value


def auroc(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float | None:
    judged = np.isfinite(scores)
    positive, negative = positive & judged, negative & judged
    if not positive.any() or not negative.any():
        return None
    return float(roc_auc_score(positive[positive | negative], scores[positive | negative]))


def annotations(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Annotation to bool ``(n,)``: the column says anything at all."""
    found = {name: table[name].notna().to_numpy() for name in (*ANNOTATIONS, "pacemaker")}
    found["any of the four"] = np.any([found[name] for name in ANNOTATIONS], axis=0)
    return found


def against_annotations(results: list[Quality], folds: np.ndarray, noted: dict[str, np.ndarray]) -> list[dict]:
    """One row for each of `VALIDATED`: AUROC, false alarms and sensitivity of the shipped limit."""
    rows = []
    for name, annotation in VALIDATED:
        check = LEAD_CHECKS.get(name) or RECORD_CHECKS[name]
        scores = np.array([worst(result, name) for result in results])
        flagged = np.array([any(flag.name == name for flag in result.flags) for result in results])
        negative = ~noted["pacemaker"] if annotation == "pacemaker" else ~noted["any of the four"]
        row = {"check": name, "annotation": annotation, "limit": check.limit, "unit": check.unit}
        for split, member in (("folds_1_8", np.isin(folds, TRAIN_FOLDS)), ("fold_9", folds == VALIDATION_FOLD)):
            positive = noted[annotation] & member
            row[split] = {
                "annotated": int(positive.sum()),
                "not_annotated": int((negative & member).sum()),
                "auroc": auroc(scores, positive, negative & member),
                "sensitivity": float(flagged[positive].mean()) if positive.any() else None,
                "false_alarms": float(flagged[negative & member].mean()),
            }
        rows.append(row)
    return rows


def all_aurocs(results: list[Quality], member: np.ndarray, noted: dict[str, np.ndarray]) -> dict[str, dict]:
    """AUROC of every measurement for every annotation, against recordings with none of the four."""
    names = [name for name in (*LEAD_CHECKS, *RECORD_CHECKS) if name not in ("mains", "leads lost", "units too small")]
    scores = {name: np.array([worst(result, name) for result in results]) for name in names}
    clean = member & ~noted["any of the four"]
    return {
        name: {note: auroc(values, noted[note] & member, clean) for note in ANNOTATIONS}
        for name, values in scores.items()
    }


def chosen_limits(results: list[Quality], clean: np.ndarray) -> dict[str, float]:
    """Limits that the false alarms of the given recordings would choose, unrounded."""
    limits = {}
    for name, share in [(name, FALSE_ALARMS) for name in GRADED] + [("electrodes swapped", SWAP_FALSE_ALARMS)]:
        check = LEAD_CHECKS.get(name) or RECORD_CHECKS[name]
        scores = np.array([worst(result, name) for result in results])[clean]
        limits[name] = float(np.nanquantile(scores, 1 - share)) * (-1 if check.low else 1)
    return limits


def flag_rates(results: list[Quality], member: np.ndarray) -> dict[str, float]:
    """Share of recordings with each flag, with any (notes left out), and unusable."""
    chosen = [result for result, inside in zip(results, member, strict=True) if inside]
    rates = {
        name: float(np.mean([any(flag.name == name for flag in result.flags) for result in chosen]))
        for name in (*LEAD_CHECKS, *RECORD_CHECKS)
    }
    rates["any"] = float(np.mean([result.severity in ("caution", "unusable") for result in chosen]))
    rates["unusable"] = float(np.mean([not result.usable for result in chosen]))
    return rates


def right_lead(table: pd.DataFrame, results: list[Quality], name: str, column: str) -> dict:
    """Of recordings whose annotation names one lead only: how often that lead has the worst value of the twelve."""
    names = {lead.upper(): number for number, lead in enumerate(LEADS)}
    words = table[column].fillna("").str.upper().str.replace(r"[\s,?]+", " ", regex=True).str.strip()
    hits = [
        int(np.argmax(results[row].measured[name])) == names[word] for row, word in enumerate(words) if word in names
    ]
    return {"check": name, "annotation": column, "n": len(hits), "share": float(np.mean(hits)) if hits else None}


# -- Swapped electrodes -----------------------------------------------------------------------------------------------


def fit_wiring(results: list[Quality], member: np.ndarray) -> np.ndarray:
    """Weights ``(3, 8, 8)`` that tell the `wave_products` of some real recordings from those with a swap.

    Logistic regression without intercept of "first minus second" for pairs of a recording and itself swapped.
    """
    averages = [result.average_beat for result, inside in zip(results, member, strict=True) if inside]
    products = np.stack([wave_products(average) for average in averages if average is not None])
    rows, columns = np.triu_indices(8)
    pairs = np.concatenate([(products - swap @ products @ swap.T)[:, :, rows, columns] for swap in SWAPS.values()])
    pairs = pairs.reshape(len(pairs), -1).astype(np.float32)
    scale = pairs.std(0) + 1e-9
    sign = np.where(np.random.default_rng(0).random(len(pairs)) < 0.5, -1, 1)
    model = LogisticRegression(fit_intercept=False, C=0.02, max_iter=500).fit(pairs / scale * sign[:, None], sign > 0)
    weights = (model.coef_[0] / scale).reshape(3, -1) / np.where(rows == columns, 1, 2)
    wiring = np.zeros((3, 8, 8))
    wiring[:, rows, columns] = wiring[:, columns, rows] = weights
    return wiring


TWELVE = np.zeros((12, 8))  # all leads of the independent ones
TWELVE[:6, :2] = [[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]]
TWELVE[6:, 2:] = np.eye(6)


def swapped(recording: Recording, swap: np.ndarray) -> Recording:
    """The recording as it would be with electrodes exchanged: exact, since the central terminal does not change."""
    return replace(recording, signal=(TWELVE @ swap @ recording.signal[list(INDEPENDENT)]).astype(np.float32))


def right_leg_swapped(recording: Recording, arm: str) -> Recording:
    """The recording with an arm's electrode and the right leg's exchanged, both legs taken for one potential."""
    potentials = {"RA": np.zeros_like(recording.signal[0]), "LA": recording.signal[0], "LL": recording.signal[1]}
    moved = potentials | {arm: potentials["LL"]}
    one, two = moved["LA"] - moved["RA"], moved["LL"] - moved["RA"]
    chest = recording.signal[6:] + (sum(potentials.values()) - sum(moved.values())) / 3
    return replace(recording, signal=(TWELVE @ np.vstack([one, two, chest])).astype(np.float32))


def flagged_share(recordings: list[Recording], change: Callable, flag: str, lead_word: str = "") -> dict:
    """Share of recordings that get a flag when changed, and of those whose sentence names the right thing."""
    hits, named = [], []
    for recording in recordings:
        found = [item for item in assess(change(recording)).flags if item.name == flag]
        hits.append(bool(found))
        named.append(any(lead_word in item.sentence for item in found))
    return {"n": len(hits), "flagged": float(np.mean(hits)), "named": float(np.mean(named))}


def suspected_swaps(table: pd.DataFrame, results: list[Quality]) -> dict[str, int]:
    """How many reports or annotations call electrodes "vertauscht" (swapped), and how many of these are flagged."""
    text = table["report"].fillna("") + table["electrodes_problems"].fillna("")
    numbers = np.flatnonzero(text.str.contains("vertauscht", case=False))
    names = ("electrodes swapped", "right leg swapped")
    flagged = [any(flag.name in names for flag in results[number].flags) for number in numbers]
    return {"n": len(flagged), "flagged": sum(flagged)}


def made_swaps(recordings: list[Recording]) -> dict[str, dict]:
    """Sensitivity to every swap in real recordings."""
    rows = {
        name: flagged_share(
            recordings, lambda recording, swap=swap: swapped(recording, swap), "electrodes swapped", name
        )
        for name, swap in tqdm(SWAPS.items(), desc="swaps", unit="swap")
    }
    for arm, lead in (("RA", "II"), ("LA", "III")):
        name = f"The right-leg electrode and {arm}"
        rows[name] = flagged_share(
            recordings,
            lambda recording, arm=arm: right_leg_swapped(recording, arm),
            "right leg swapped",
            f"Lead {lead} ",
        )
    return rows


# -- Defects made in recordings at 500 Hz -----------------------------------------------------------------------------

DEFECT_LEAD = LEADS.index("V3")


def with_lead(recording: Recording, change: Callable[[np.ndarray], np.ndarray]) -> Recording:
    signal = recording.signal.copy()
    signal[DEFECT_LEAD] = change(signal[DEFECT_LEAD])
    return replace(recording, signal=signal)


def clip_peaks(lead: np.ndarray) -> np.ndarray:
    """Cut at 60 % of the largest departure from the median."""
    middle = np.median(lead)
    bound = 0.6 * np.abs(lead - middle).max()
    return np.clip(lead, middle - bound, middle + bound)


def rail(lead: np.ndarray) -> np.ndarray:
    """At the device's limit for 0.5 s."""
    lead = lead.copy()
    lead[len(lead) // 2 : len(lead) // 2 + 250] = 5.0
    return lead


def come_off(lead: np.ndarray) -> np.ndarray:
    """Silent from the half on."""
    lead = lead.copy()
    lead[len(lead) // 2 :] = lead[len(lead) // 2]
    return lead


def hum(amplitude: float) -> Callable[[np.ndarray], np.ndarray]:
    def add(lead: np.ndarray) -> np.ndarray:
        return lead + amplitude * np.sin(2 * np.pi * 50.05 * np.arange(len(lead)) / 500).astype(np.float32)

    return add


def made_defects(recordings: list[Recording]) -> dict[str, dict]:
    """Sensitivity to defects made in one lead (V3) or in the units of real recordings at 500 Hz."""

    def in_lead(change: Callable) -> Callable:
        return lambda recording: with_lead(recording, change)

    def in_units(factor: float) -> Callable:
        return lambda recording: replace(recording, signal=recording.signal * np.float32(factor))

    defects = {
        "V3 without a signal": ("flat", in_lead(np.zeros_like)),
        "V3 at its limit for 0.5 s": ("saturated", in_lead(rail)),
        "V3 cut at 60 % of its height": ("clipped", in_lead(clip_peaks)),
        "V3 silent for 5 s": ("detached", in_lead(come_off)),
        "50 Hz of 0.02 mV in V3": ("mains", in_lead(hum(0.02))),
        "50 Hz of 0.05 mV in V3": ("mains", in_lead(hum(0.05))),
        "microvolts taken for millivolts": ("units too large", in_units(1000)),
        "volts taken for millivolts": ("units too small", in_units(0.001)),
    }
    rows = {}
    for name, (flag, change) in tqdm(defects.items(), desc="defects", unit="kind"):
        untouched = flagged_share(recordings, lambda recording: recording, flag)
        rows[name] = {"flag": flag, **flagged_share(recordings, change, flag), "untouched": untouched["flagged"]}
    return rows


def between_rates(index: Index, ids: list[int], recordings: list[Recording]) -> dict[str, list[float]]:
    """Measurements at 500 Hz over those of the same recording at 100 Hz: 5 %, 50 % and 95 % of all leads."""
    fine = [assess(recording) for recording in recordings]
    coarse = [assess(read_recording(index, ecg_id)) for ecg_id in ids]
    rows = {}
    for name in ("wander", "muscle noise", "bursts"):
        ratios = np.concatenate([a.measured[name] / b.measured[name] for a, b in zip(fine, coarse, strict=True)])
        rows[name] = [float(value) for value in np.quantile(ratios, (0.05, 0.5, 0.95))]
    return rows


# -- Heart rate and intervals -----------------------------------------------------------------------------------------

COMPARED = {"heart_rate": "beats/min", "pr": "ms", "qrs": "ms", "qt": "ms", "qrs_axis": "degrees"}
TRUE_NAMES = {"pr": "pr_ms", "qrs": "qrs_ms", "qt": "qt_ms", "qrs_axis": "axis"}


def against_truth(rate: int) -> dict[str, dict]:
    """Errors of `intervals` on generated ECGs, whose intervals are known."""
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


def processor_ms(function: Callable, recordings: list[Recording]) -> float:
    """Processor time in ms of one call, on average; the machine may be busy."""
    function(recordings[0])
    start = time.process_time()
    for recording in recordings:
        function(recording)
    return 1000 * (time.process_time() - start) / len(recordings)


def assess_all(data: Recordings) -> list[Quality]:
    return list(map(assess, data.each(np.arange(len(data.rows)), "assess")))


def measure(directory: Path) -> dict:
    """All figures, as artifacts/quality.json holds them."""
    index = read_index(directory)
    cache = open_cache(index)
    data = readable(index, cache)
    results = assess_all(data)
    noted = annotations(data.table)
    training, validation = np.isin(data.folds, TRAIN_FOLDS), data.folds == VALIDATION_FOLD
    clean = ~noted["any of the four"]
    clean_numbers = np.flatnonzero(validation & clean)
    drawn = np.random.default_rng(0).permutation(clean_numbers)[:DRAWN]
    drawn_recordings = list(data.each(drawn, "fold 9"))
    ids = [ecg_id for ecg_id in data.table.index if record_path(index, ecg_id, 500).with_suffix(".dat").is_file()]
    at_500 = [read_recording(index, ecg_id, 500) for ecg_id in ids]
    if not at_500:
        raise DatasetError("some recordings at 500 Hz are needed: `python dataset.py download --rate both`")
    return {
        "date": date.today().isoformat(),
        "fold_sha256": {str(fold): cache.fold_sha256[fold] for fold in (*TRAIN_FOLDS, VALIDATION_FOLD)},
        "recordings": {"folds_1_8": int(training.sum()), "fold_9": int(validation.sum()), "at_500_hz": len(ids)},
        "not_annotated": {"folds_1_8": int((training & clean).sum()), "fold_9": len(clean_numbers)},
        "limits": {name: check.limit for name, check in (LEAD_CHECKS | RECORD_CHECKS).items()},
        "chosen_limits": chosen_limits(results, training & clean),
        "wiring": np.round(fit_wiring(results, training), 1).tolist(),
        "validated": against_annotations(results, data.folds, noted),
        "all_aurocs_fold_9": all_aurocs(results, validation, noted),
        "right_lead": [right_lead(data.table, results, name, column) for name, column in VALIDATED[:3]],
        "flag_rates": {
            "folds_1_8_not_annotated": flag_rates(results, training & clean),
            "fold_9_not_annotated": flag_rates(results, validation & clean),
            "fold_9_annotated": flag_rates(results, validation & ~clean),
            "electrodes_problems": flag_rates(results, noted["electrodes_problems"]),
        },
        "swaps": made_swaps(drawn_recordings),
        "defects": made_defects(at_500),
        "between_rates": between_rates(index, ids, at_500),
        "xqrs": against_xqrs(drawn_recordings),
        "synthetic": {str(rate): against_truth(rate) for rate in (500, 100)},
        "n_drawn": len(drawn),
        "suspected_swaps": suspected_swaps(data.table, results),
        "diagnoses": against_diagnoses(data, drawn),
        "processor_ms": {
            "assess": processor_ms(assess, at_500),
            "intervals": processor_ms(measure_intervals, at_500[:50]),
        },
    }


# -- The page ---------------------------------------------------------------------------------------------------------


def table(header: str, rows: list[str]) -> list[str]:
    """A table of Markdown; cells are separated by "|"."""
    return [f"| {header} |", "|---" * (header.count("|") + 1) + "|", *(f"| {row} |" for row in rows), ""]


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def decimals(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def annotation_rows(figures: dict) -> list[str]:
    rows = []
    for row in figures["validated"]:
        nine, eight = row["fold_9"], row["folds_1_8"]
        rows.append(
            f"{row['check']} | `{row['annotation']}` | {nine['annotated']:,} ({eight['annotated']:,}) | "
            f"{decimals(nine['auroc'])} ({decimals(eight['auroc'])}) | {row['limit']:g} {row['unit']} | "
            f"{percent(nine['false_alarms'])} | {percent(nine['sensitivity'])} ({percent(eight['sensitivity'])})"
        )
    return rows


def interval_rows(figures: dict) -> list[str]:
    rows = []
    for rate, by_name in figures["synthetic"].items():
        for name, row in by_name.items():
            rows.append(
                f"{rate} | {name} ({COMPARED[name]}) | {row['n']} | {row['withheld']} | {row['median_error']:+.1f} | "
                f"{row['median_absolute_error']:.1f} | {row['within_90_percent']:.1f}"
            )
    return rows


def page(figures: dict) -> str:
    """docs/quality.md."""
    counts, clean, rates = figures["recordings"], figures["not_annotated"], figures["flag_rates"]
    chosen, diagnoses = figures["chosen_limits"], figures["diagnoses"]
    suspected = figures["suspected_swaps"]
    generated, xqrs = figures["synthetic"]["500"]["pr"], figures["xqrs"]
    clean_nine, annotated_nine = rates["fold_9_not_annotated"], rates["fold_9_annotated"]
    lines = [
        "# Can the recording be trusted?",
        "",
        "Measured by `python measure_quality.py` on real PTB-XL recordings at 100 Hz unless a line says otherwise;",
        f"{counts['folds_1_8']:,} recordings of folds 1–8 chose the limits, {counts['fold_9']:,} of fold 9 are",
        f"reported. {figures['date']}; all numbers, and the digests of the folds, are in `artifacts/quality.json`.",
        "",
        "## Against PTB-XL's annotations",
        "",
        "A recording counts as annotated if the column says anything, and its score is that of its worst lead. It is",
        f"compared with the recordings with none of the four noise annotations ({clean['fold_9']:,} in fold 9; for",
        "`pacemaker`, with those without that annotation). The annotations are one reader's remarks, neither complete",
        "nor graded: many recordings without one drift or tremble as much, which bounds every AUROC here and counts",
        "as false alarms. Folds 1–8 in brackets. An electrode that came off is rare even among `electrodes_problems`,",
        "most of which drift or tremble; over all nine folds "
        f"{percent(rates['electrodes_problems']['any'])} of those have some flag.",
        "",
        *table("check | annotation | N | AUROC | limit | false alarms | sensitivity", annotation_rows(figures)),
        f"Limits of graded checks are those that {100 * FALSE_ALARMS:g} % of folds 1–8 without annotation exceed, "
        f"rounded ({100 * SWAP_FALSE_ALARMS:g} % for swapped electrodes): "
        + ", ".join(f"{name} {value:.3g}" for name, value in chosen.items())
        + ". The others follow from what they mean.",
        "",
        "AUROC on fold 9 of every measurement for every annotation:",
        "",
        *table(
            "check | " + " | ".join(f"`{name}`" for name in ANNOTATIONS),
            [
                f"{name} | " + " | ".join(decimals(row[note]) for note in ANNOTATIONS)
                for name, row in figures["all_aurocs_fold_9"].items()
            ],
        ),
        "Where an annotation names a single lead (folds 1–9), how often that lead is the worst of the twelve "
        "(8.3 % by chance):",
        "",
        *table(
            "check | annotation | N | right lead",
            [
                f"{row['check']} | `{row['annotation']}` | {row['n']} | {percent(row['share'])}"
                for row in figures["right_lead"]
            ],
        ),
        "## How often is a recording flagged?",
        "",
        *table(
            "flag | fold 9, not annotated | fold 9, annotated",
            [
                f"{name} | {percent(clean_nine[name])} | {percent(annotated_nine[name])}"
                for name in clean_nine
                if clean_nine[name] or annotated_nine[name]
            ],
        ),
        'Flags that never came up are left out; "any" leaves out the note on pacemakers.',
        "",
        "## Swapped electrodes",
        "",
        f"{figures['n_drawn']} recordings of fold 9 without annotation, swapped by exact algebra of their leads;",
        f"unchanged, {percent(clean_nine['electrodes swapped'])} of all {clean['fold_9']:,} are flagged. PTB-XL",
        "surely has swapped electrodes of its own, so the false alarms are at most that, but no list of them: reports",
        f"or annotations suspect a swap, unconfirmed, in {suspected['n']} recordings of folds 1–9, and",
        f"{suspected['flagged']} of these are flagged. With the right leg the algebra takes both legs for one",
        "potential, so that the lead is emptier than in life and the sensitivity an upper bound;",
        f"unchanged, {percent(clean_nine['right leg swapped'])} are flagged. A",
        "swap of the two legs changes nothing that could be seen.",
        "",
        *table(
            "swap | flagged | flagged and named",
            [f"{name} | {percent(row['flagged'])} | {percent(row['named'])}" for name, row in figures["swaps"].items()],
        ),
        "## Defects made in real recordings",
        "",
        f"In the {counts['at_500_hz']} recordings of folds 1–9 that are here at 500 Hz; mains hum can be judged there",
        "only.",
        "",
        *table(
            "defect | flag | flagged | flagged untouched",
            [
                f"{name} | {row['flag']} | {percent(row['flagged'])} | {percent(row['untouched'])}"
                for name, row in figures["defects"].items()
            ],
        ),
        "The same recordings at 500 and at 100 Hz, ratio of the measurements in all leads (5 %, median, 95 %): "
        + "; ".join(
            f"{name} {low:.2f}, {middle:.2f}, {high:.2f}"
            for name, (low, middle, high) in figures["between_rates"].items()
        )
        + ". So limits chosen at 100 Hz hold at 500 Hz.",
        "",
        "## Heart rate and intervals",
        "",
        f"`assess` finds heartbeats by itself. Beside wfdb's XQRS in lead II, in {xqrs['n']} recordings of fold 9 "
        f"(either found too few beats in {xqrs['either_without']} more): median difference {xqrs['median']:.2f} "
        f"beats/min, within 5 beats/min in {percent(xqrs['within_5'])}.",
        "",
        f"Errors of `intervals` on {SYNTHETIC_PATIENTS} SYNTHETIC recordings of the project's generator, whose truth "
        "is known; they say nothing about accuracy on people. The generator's waves end softly, which a delineator "
        "cannot see:",
        "",
        *table("Hz | value | N | withheld | median error | median size of error | 90 % within", interval_rows(figures)),
        f"Without P waves (synthetic, 500 Hz): a PR interval was given in {generated['given_without_p']} of "
        f"{generated['without_p']}.",
        "",
        f"Real recordings of fold 9, those with a diagnosis that an interval defines beside {diagnoses['n_others']} "
        "drawn at random without it:",
        "",
        *table(
            "interval in diagnosis | N | median, ms | others: N | median, ms | AUROC",
            [
                f"{name} | {row['n']} | {row['median']:.0f} | {row['n_others']} | {row['median_others']:.0f} | "
                f"{decimals(row['auroc'])}"
                for name, row in diagnoses.items()
                if " in " in name
            ],
        ),
        "Withheld as unreliable in the others: "
        + ", ".join(f"{name} {percent(share)}" for name, share in diagnoses["withheld"].items())
        + f"; PR in atrial fibrillation (N = {diagnoses['n_afib']}): {percent(diagnoses['withheld_pr_afib'])}.",
        "",
        f"Processor time for 10 s of twelve leads at 500 Hz: `assess` {figures['processor_ms']['assess']:.1f} ms, "
        f"`intervals` {figures['processor_ms']['intervals']:.0f} ms.",
        "",
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="the real PTB-XL (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where quality.json goes (default: %(default)s)")
    parser.add_argument("--page", default=str(PROJECT / "docs" / "quality.md"), help="(default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        figures = measure(data_directory(arguments.data))
        write_text(Path(arguments.out) / "quality.json", json.dumps(figures, indent=1) + "\n")
        write_text(arguments.page, page(figures))
    except (DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.page} and {Path(arguments.out) / 'quality.json'} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
