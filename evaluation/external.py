"""Metrics of a network on a labelled collection: ``external_metrics_NAME.json``.

A class is evaluated on the recordings whose codes tell it (see `ecg.snomed.has_class`), and only if some of them have
it and some do not. AUROC and AUPRC are of uncalibrated scores; sensitivity, specificity and calibration as the network
ships, and beside them after calibration and threshold were fitted on the collection itself by 5-fold cross-fitting.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from tqdm import tqdm

from ecg.quality import SEVERITIES
from ecg.recording import printable
from ecg.snomed import SNOMED_CODES, LabelClass, has_class, is_mapped, label_classes, tells
from ecg.statements import BY_CODE
from evaluation.bootstrap import BOOTSTRAP_DRAWS, patient_weights, point_and_interval
from evaluation.external_collection import CollectionError, LabelledRecord
from evaluation.external_predictions import EvaluatedNetwork, probabilities_of
from evaluation.metrics import auroc_and_auprc, brier, decision_metrics, expected_calibration_error, mean_of_finite
from files import sha256
from inference.calibration import PARTS, choose_threshold, fit_calibrator, patient_parts
from inference.decisions import apply_calibrator

FEWEST_TO_REFIT = 10  # positives, and negatives, for fitting calibration and threshold anew
FEWEST_FOR_MACRO = 5  # positives of a class that counts in a mean over classes
REFITTED = "refitted "
VALUES_AT_A_TIME = 4_000_000  # weights of the bootstrap in memory


@dataclass(frozen=True, eq=False)
class EvaluatedClass:
    """One class on the recordings that tell it; arrays ``(n,)`` but for ``told``.

    told: bool, of all recordings. probabilities: uncalibrated. calibrated, positive: as the network ships.
    refitted: calibrated probabilities and decisions, cross-fitted on the collection; None with too few positives.
    threshold: None for a group, which is positive if any of its statements is.
    validated: whether fold 9 allows the class, or any statement of a group, to be asserted.
    """

    label_class: LabelClass
    told: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray
    calibrated: np.ndarray
    positive: np.ndarray
    threshold: float | None
    validated: bool
    refitted: tuple[np.ndarray, np.ndarray] | None = None


def evaluate_collection(
    network: EvaluatedNetwork, name: str, records: list[LabelledRecord], rows: list[dict]
) -> tuple[dict, list[EvaluatedClass]]:
    """Content of the metrics file, and the classes behind it; rows are those of `predict_records`, one a record.

    Raises CollectionError if no recording is left.
    """
    used = [(record, row) for record, row in zip(records, rows, strict=True) if record.can_tell and not row["error"]]
    if not used:
        reason = next((row["error"] for row in rows if row["error"]), "no label is known")
        raise CollectionError(f"no recording of {name} can be evaluated; the first reason: {reason}")
    chosen, predicted = [record for record, _ in used], [row for _, row in used]
    patients = patient_numbers(chosen)
    classes, not_evaluated = evaluable_classes(network, chosen, predicted)
    classes = [refit(one, patients, network) for one in classes]
    by_level = measure_classes(classes, patients)
    entries = {
        (one.label_class.level, one.label_class.name): class_entry(one, metrics, chosen)
        for one, metrics in zip(classes, by_level["classes"], strict=True)
    }
    content = {
        "collection": name,
        **_facts(network, chosen, records, rows, patients),
        "macro": by_level["macro"],
        "classes": {key: entry for (level, key), entry in entries.items() if level != "subclass"},
        "subclasses": {key: entry for (level, key), entry in entries.items() if level == "subclass"},
        "not_evaluated": not_evaluated,
        **_code_counts(records),
        **_what_was_read(chosen, predicted, rows),
    }
    return content, classes


def patient_numbers(records: list[LabelledRecord]) -> np.ndarray:
    """A number for each patient ``(n,)``; a recording whose header names none is a patient of its own."""
    names = [record.patient or f"\0{record.header}" for record in records]
    return np.unique(names, return_inverse=True)[1]


def evaluable_classes(
    network: EvaluatedNetwork, records: list[LabelledRecord], rows: list[dict]
) -> tuple[list[EvaluatedClass], dict[str, str]]:
    """The classes that network and labels both tell, and why the others are not evaluated."""
    scores = {level: probabilities_of(network, level, rows) for level in network.classes}
    calibrated = {level: network.calibrate(level, scores[level]) for level in network.classes}
    label_sets = {record.codes for record in records}  # far fewer than recordings
    classes, not_evaluated = [], {}
    for label_class in label_classes():
        level = "statement" if label_class.level == "group" else label_class.level
        label = f"{label_class.level} {label_class.name}"
        if level not in network.classes:
            not_evaluated[f"every {label_class.level}"] = "the network does not answer it"
            continue
        answers = {codes: has_class(codes, label_class) for codes in label_sets}
        present = [answers[record.codes] for record in records]
        told = np.array([there is not None for there in present], bool)
        targets = np.array([there for there in present if there is not None], bool)
        if not targets.any() or targets.all():
            missing = "no recording" if not targets.any() else "every recording that tells it"
            not_evaluated[label] = f"{missing} is labelled with it"
            continue
        members = [label_class.name] if label_class.level != "group" else sorted(label_class.statements)
        columns = [network.classes[level].index(member) for member in members]
        thresholds = np.array(network.thresholds[level])[columns]
        of_members = calibrated[level][told][:, columns]
        classes.append(
            EvaluatedClass(
                label_class=label_class,
                told=told,
                targets=targets,
                probabilities=_any(scores[level][told][:, columns]),
                calibrated=_any(of_members),
                positive=(of_members >= thresholds).any(axis=1),
                threshold=float(thresholds[0]) if len(columns) == 1 else None,
                validated=any(network.validated[level][column] for column in columns),
            )
        )
    return classes, not_evaluated


def _any(probabilities: np.ndarray) -> np.ndarray:
    """Probability of any of several statements ``(n,)``, as if they were independent; one statement's as it is."""
    return probabilities[:, 0] if probabilities.shape[1] == 1 else 1 - np.prod(1 - probabilities, axis=1)


def refit(one: EvaluatedClass, patients: np.ndarray, network: EvaluatedNetwork) -> EvaluatedClass:
    """The class with calibration and threshold cross-fitted by patient on the collection; unchanged with too few.

    Platt's calibration, and the criterion by which the network's own threshold was chosen.
    """
    if min(one.targets.sum(), (~one.targets).sum()) < FEWEST_TO_REFIT:
        return one
    parts = patient_parts(patients[one.told])
    calibrated, positive = np.empty(len(one.targets)), np.empty(len(one.targets), bool)
    for part in range(PARTS):
        rest, held_out = parts != part, parts == part
        if not one.targets[rest].any() or one.targets[rest].all():  # all positives are one patient's
            return one
        calibrator = fit_calibrator("platt", one.probabilities[rest], one.targets[rest])
        fitted = apply_calibrator(calibrator, one.probabilities[rest])
        threshold = choose_threshold(fitted, one.targets[rest], network.criterion, network.sensitivity_floor)
        calibrated[held_out] = apply_calibrator(calibrator, one.probabilities[held_out])
        positive[held_out] = calibrated[held_out] >= threshold
    return replace(one, refitted=(calibrated, positive))


def measure_classes(classes: list[EvaluatedClass], patients: np.ndarray) -> dict:
    """Metrics of every class with intervals, and means over the classes of each level.

    Returns ``{"classes": [...], "macro": {level: ...}}``; the weights of the bootstrap are the same for all classes.
    """
    draws: list[dict[str, list[np.ndarray]]] = [{} for _ in classes]
    for weights in _weights_in_parts(patients):
        for one, collected in zip(classes, draws, strict=True):
            for key, values in _metrics(one, weights[:, one.told]).items():
                collected.setdefault(key, []).append(values)
    arrays = [{key: np.concatenate(parts) for key, parts in collected.items()} for collected in draws]
    macro = {}
    for level in dict.fromkeys(one.label_class.level for one in classes):
        counted = [
            metrics
            for one, metrics in zip(classes, arrays, strict=True)
            if one.label_class.level == level and one.targets.sum() >= FEWEST_FOR_MACRO
        ]
        if counted:
            means = {key: mean_of_finite([metrics[key] for metrics in counted]) for key in ("auroc", "auprc")}
            macro[level] = {"classes": len(counted)} | {k: point_and_interval(v, k) for k, v in means.items()}
    metrics = [
        {key: point_and_interval(values, key.removeprefix(REFITTED)) for key, values in one.items()} for one in arrays
    ]
    return {"classes": metrics, "macro": macro}


def _weights_in_parts(patients: np.ndarray) -> Iterator[np.ndarray]:
    """Weights ``(some, n)``: a row of ones, then bootstrap replicates by patient, in parts that fit in memory."""
    yield np.ones((1, len(patients)))
    at_a_time = max(1, VALUES_AT_A_TIME // max(1, len(patients)))
    for first in tqdm(range(0, BOOTSTRAP_DRAWS, at_a_time), desc="intervals"):
        yield patient_weights(patients, min(at_a_time, BOOTSTRAP_DRAWS - first), seed=first)


def _metrics(one: EvaluatedClass, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics ``(draws,)`` of one class; those after fitting anew begin with `REFITTED`."""
    with np.errstate(divide="ignore", invalid="ignore"):  # no recording of the class may be drawn
        auroc, auprc = auroc_and_auprc(one.probabilities, one.targets, weights)
        metrics = {"auroc": auroc, "auprc": auprc, **_decided(one.calibrated, one.positive, one.targets, weights)}
        if one.refitted:
            refitted = _decided(*one.refitted, one.targets, weights)
            metrics |= {REFITTED + key: values for key, values in refitted.items()}
    return metrics


def _decided(
    calibrated: np.ndarray, positive: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Metrics of decisions and of calibration, ``(draws,)`` each."""
    total = weights.sum(1)
    observed, predicted = weights @ targets / total, weights @ calibrated / total
    return {
        **decision_metrics(positive, targets, weights),
        "brier": brier(calibrated, targets, weights),
        "ece": expected_calibration_error(calibrated, targets, weights),
        "observed": observed,
        "predicted": predicted,
        "drift": predicted - observed,
    }


def class_entry(one: EvaluatedClass, metrics: dict[str, dict], records: list[LabelledRecord]) -> dict:
    """What the metrics file says of one class."""
    label_class = one.label_class
    found = {code for record in records for code in record.codes if is_mapped(code)}
    labels = sorted(code for code in found if tells(code, label_class))
    fitted = fit_calibrator("platt", one.calibrated, one.targets)
    refitted = {key.removeprefix(REFITTED): value for key, value in metrics.items() if key.startswith(REFITTED)}
    return {
        "level": label_class.level,
        "name": BY_CODE[label_class.name].name if label_class.level == "statement" else label_class.name,
        "labels": labels,
        "statements": [code for code in BY_CODE if code in label_class.statements],
        "n": len(one.targets),
        "n_positive": int(one.targets.sum()),
        "n_left_open": int((~one.told).sum()),
        "threshold": one.threshold,
        "validated": one.validated,
        **{key: value for key, value in metrics.items() if not key.startswith(REFITTED)},
        "calibration_slope": round(fitted["a"], 4),
        "calibration_intercept": round(fitted["c"], 4),
        "recalibrated": refitted or None,
    }


def _facts(
    network: EvaluatedNetwork, chosen: list[LabelledRecord], records: list[LabelledRecord], rows: list, patients
) -> dict:
    """What was evaluated, on what, by which weights and rules."""
    by = "patient" if any(record.patient for record in chosen) else "recording"
    return {
        "n": len(chosen),
        "n_records": len(records),
        "n_refused": sum(bool(row["error"]) for row in rows),
        "n_without_known_label": sum(not record.can_tell for record in records),
        "n_patients": len(np.unique(patients)) if by == "patient" else None,
        "source": "measured by this repository's evaluation script",
        "synthetic": network.synthetic,
        "model": network.model,
        "checkpoint_sha256": network.sha256,
        "thresholds_sha256": sha256(network.thresholds_path),
        "date": date.today().isoformat(),
        "decisions": "calibration and thresholds of the thresholds file",
        "recalibrated": f"beside it, Platt calibration and thresholds ({network.criterion}) cross-fitted by {by} on "
        f"the collection, {PARTS} parts; nothing of it is kept",
        "intervals": f"95 %, {BOOTSTRAP_DRAWS} bootstrap resamples by {by}",
        "levels": list(network.classes),
    }


def _code_counts(records: list[LabelledRecord]) -> dict:
    """How many recordings have each code, mapped or not, the most frequent first."""
    counts = Counter(code for record in records for code in record.codes)
    listed = {"codes": {}, "unmapped_codes": {}}
    for code, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        known = SNOMED_CODES.get(code)
        entry = {"n": n, "name": known.name if known else "not among the Challenges' codes"}
        listed["codes" if is_mapped(code) else "unmapped_codes"][code] = entry
    return listed


def _what_was_read(chosen: list[LabelledRecord], predicted: list[dict], rows: list[dict]) -> dict:
    """Quality of the evaluated recordings, their rates and lengths, and the refused ones with reasons."""
    severities = Counter(row["quality"] for row in predicted)
    flags = Counter(flag for row in predicted for flag in (row["flags"] or "").split("; ") if flag)
    rates = Counter(f"{row['sampling_rate']:g}" for row in predicted)
    durations = [float(row["duration_s"]) for row in predicted]
    return {
        "quality": {
            "severity": {severity: severities[severity] for severity in SEVERITIES},
            "flags": dict(flags.most_common()),
        },
        "sampling_rates": dict(rates.most_common()),
        "duration_s": {"shortest": min(durations), "median": float(np.median(durations)), "longest": max(durations)},
        "refused": [{"file": row["file"], "reason": printable(row["error"], 400)} for row in rows if row["error"]],
    }
