"""Mistakes in whole files: leads in another order, a wrong sampling rate, inverted signals. How many are flagged?

Made in real recordings at 100 Hz: the order and sign of leads are exact, a wrong sampling rate is made by resampling.
The weights behind `ecg.lead_order.measure_orientation` and `ecg.time_scale` are fitted here, on folds 1-8.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, compress, cycle

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from config import LEADS, LIMB_LEADS, VALIDATION_FOLD
from ecg.electrode_swaps import INDEPENDENT, SWAPS, normalised_waves
from ecg.lead_order import wave_extremes
from ecg.leads import TWELVE_FROM_EIGHT
from ecg.preprocessing import resample
from ecg.quality import ORIENTATION, WRONG_FILE, Quality, assess
from ecg.recording import Recording
from ecg.time_scale import time_features
from ptbxl.cache import SignalCache
from tools.quality.annotations import annotations, cached_recordings

FLAGS = (*WRONG_FILE, *ORIENTATION)
FALSE_ALARMS = 0.0005  # of each flag but the limb leads', in all recordings of folds 1-8
CABRERA = ("aVL", "I", "-aVR", "II", "aVF", "III")
FITTED = 2000  # recordings of folds 1-8 whose sampling rate is falsified for the weights
MADE = 500  # recordings in which each mistake is made, of fold 9 and of those of folds 1-8


@dataclass(frozen=True)
class Mistake:
    """A mistake: how it is made in a recording, the flag it must get, and what the flag's sentence must name."""

    change: Callable[[Recording], Recording]
    flag: str
    named_as: str = ""


def limb_order(recording: Recording, order: tuple[str, ...]) -> Recording:
    """The recording with these limb leads, a minus for inverted ones, under the six standard names."""
    rows = [recording.signal[LEADS.index(lead.lstrip("-"))] * (-1 if lead[0] == "-" else 1) for lead in order]
    return replace(recording, signal=np.stack([*rows, *recording.signal[len(LIMB_LEADS) :]]))


def exchanged(first: str, second: str) -> tuple[str, ...]:
    """The limb leads with two of them exchanged."""
    return tuple({first: second, second: first}.get(lead, lead) for lead in LIMB_LEADS)


def slowed(recording: Recording, factor: float) -> Recording:
    """As when the file declares 1 / factor of its true sampling rate."""
    return replace(recording, signal=resample(recording.signal, 1, factor).astype(np.float32))


def declared(recording: Recording, sampling_rate: float) -> Recording:
    return replace(recording, sampling_rate=sampling_rate)


def inverted(recording: Recording) -> Recording:
    return replace(recording, signal=-recording.signal)


def chest_reversed(recording: Recording) -> Recording:
    limb, chest = np.split(recording.signal, [len(LIMB_LEADS)])
    return replace(recording, signal=np.concatenate([limb, chest[::-1]]))


def _of_order(order: tuple[str, ...]) -> Mistake:
    return Mistake(partial(limb_order, order=order), "limb leads out of order", f"look like {', '.join(order)}.")


OTHER_PAIRS = [pair for pair in combinations(LIMB_LEADS, 2) if pair != ("aVR", "aVL")]
MISTAKES: dict[str, list[Mistake]] = {  # of several kinds, each recording gets one in turn
    "aVR and aVL exchanged": [_of_order(exchanged("aVR", "aVL"))],
    "two other limb leads exchanged (14 pairs)": [_of_order(exchanged(*pair)) for pair in OTHER_PAIRS],
    "Cabrera order under standard names": [_of_order(CABRERA)],
    "Cabrera order with +aVR": [_of_order(tuple(lead.lstrip("-") for lead in CABRERA))],
    "aVR inverted": [_of_order(tuple("-aVR" if lead == "aVR" else lead for lead in LIMB_LEADS))],
    "500 Hz declared as 250": [Mistake(partial(slowed, factor=2), "sampling rate too low")],
    "500 Hz declared as 100": [Mistake(partial(slowed, factor=5), "sampling rate too low")],
    "500 Hz declared as 1000": [Mistake(partial(slowed, factor=0.5), "sampling rate too high")],
    "all leads inverted": [Mistake(inverted, "polarity inverted")],
    "V1-V6 reversed": [Mistake(chest_reversed, "chest leads reversed")],
}
RATES_AT_500_HZ = {
    "as 250": "sampling rate too low",
    "as 100": "sampling rate too low",
    "as 1000": "sampling rate too high",
}
MISTAKES_AT_500_HZ = {name: made for name, made in MISTAKES.items() if "declared" not in name} | {
    f"500 Hz declared {name}": [Mistake(partial(declared, sampling_rate=float(name.split()[1])), flag)]
    for name, flag in RATES_AT_500_HZ.items()
}


def made(recordings: list[Recording], mistakes: dict[str, list[Mistake]]) -> dict[str, dict]:
    """Of recordings with each mistake, the shares with any warning, with the right one, with another in its place."""
    return {
        name: pd.DataFrame(map(_found, recordings, cycle(kinds))).mean().to_dict()
        for name, kinds in tqdm(mistakes.items(), desc="mistakes", unit="kind")
    }


def _found(recording: Recording, mistake: Mistake) -> dict[str, bool]:
    result = assess(mistake.change(recording))
    right = [flag for flag in result.flags if flag.name == mistake.flag]
    others = {*FLAGS, "electrodes swapped"} - {mistake.flag}
    return {
        "warned": result.severity in ("caution", "unusable"),
        "flagged": bool(right),
        "named": any(mistake.named_as in flag.sentence for flag in right),
        "misnamed": any(flag.name in others for flag in result.flags),
    }


def false_alarms(results: list[Quality], groups: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The share of untouched recordings with each of `FLAGS`, in each group (which rows)."""
    raised = pd.DataFrame([{name: any(f.name == name for f in result.flags) for name in FLAGS} for result in results])
    raised["any of these"] = raised.any(axis=1)
    raised["unusable"] = [not result.usable for result in results]
    return {name: {group: float(raised.loc[rows, name].mean()) for group, rows in groups.items()} for name in raised}


def chosen_limits(results: list[Quality]) -> dict[str, float]:
    """Limits that the false alarms of these recordings would choose, unrounded."""
    scores = pd.DataFrame([result.record for result in results])
    return {name: float(scores[name].quantile(1 - FALSE_ALARMS)) for name in FLAGS if name in scores}


# -- Weights ----------------------------------------------------------------------------------------------------------


def fit_orientation(averages: list[np.ndarray]) -> np.ndarray:
    """Weights ``(2, 3, 2, 8)`` of `wave_extremes`: log odds of inverted leads and of V6 to V1 against neither.

    Logistic regression of three classes without intercept; recordings with swapped electrodes are neither, too.
    """
    eight = [average[list(INDEPENDENT)] for average in averages]
    reverse = np.eye(8)[[0, 1, 7, 6, 5, 4, 3, 2]]
    changes = [(0, 1, 1, np.eye(8)), (1, 1, 1, -np.eye(8)), (2, 1, 1, reverse)]
    changes += [(0, 3, 3 / len(SWAPS), swap) for swap in SWAPS.values()]
    features, classes, weights = [], [], []
    for number, every, weight, change in changes:
        rows = [
            wave_extremes(normalised_waves(TWELVE_FROM_EIGHT @ change @ average)).ravel() for average in eight[::every]
        ]
        features += rows
        classes += [number] * len(rows)
        weights += [weight] * len(rows)
    features = np.array(features)
    scale = features.std(0)
    model = LogisticRegression(fit_intercept=False, C=0.05, max_iter=2000, tol=1e-3)
    found = model.fit(features / scale, classes, sample_weight=weights).coef_ / scale
    return (found[1:] - found[0]).reshape(2, 3, 2, 8)


def fit_time_scale(right: Iterable[Quality], wrong: Iterable[Quality]) -> np.ndarray:
    """Weights of `time_features`: log odds of a wrong sampling rate against a right one, even odds to begin with."""
    groups = [
        np.stack([time_features(q.average_beat, q.heart_rate) for q in group if q.average_beat is not None])[:, 1:]
        for group in (right, wrong)
    ]
    features = np.concatenate(groups)
    mean, scale = features.mean(0), features.std(0)
    model = LogisticRegression(C=1, max_iter=2000, class_weight="balanced")
    model.fit((features - mean) / scale, np.repeat([0, 1], [len(group) for group in groups]))
    weights = model.coef_[0] / scale
    return np.array([model.intercept_[0] - weights @ mean, *weights])


def fitted(results: list[Quality], drawn: list[Recording]) -> dict[str, list]:
    """All weights from folds 1-8: results of every recording, and the recordings drawn to make mistakes in."""
    wrong = {factor: [assess(slowed(recording, factor)) for recording in drawn] for factor in (2, 5, 0.5)}
    weights = {
        "orientation": fit_orientation([result.average_beat for result in results if result.average_beat is not None]),
        "too_low": fit_time_scale(results, wrong[2] + wrong[5]),
        "too_high": fit_time_scale(results, wrong[0.5]),
    }
    return {name: np.round(values, 2).tolist() for name, values in weights.items()}


def against_mistakes(
    table: pd.DataFrame, cache: SignalCache, results: list[Quality], at_500_hz: list[Recording]
) -> dict[str, dict]:
    """False alarms in all recordings of folds 1-9, detection in fold 9 and some of folds 1-8, limits and weights.

    results: of `assess`, one for each row of the table.
    """
    validation = (table["strat_fold"] == VALIDATION_FOLD).to_numpy()
    clean = ~annotations(table)["any of the four"].to_numpy()
    train, fold_9 = (np.random.default_rng(0).permutation(np.flatnonzero(rows)) for rows in (~validation, validation))
    drawn = list(cached_recordings(cache, table.iloc[train[:FITTED]], "folds 1-8"))
    groups = {"folds_1_8": ~validation, "fold_9": validation, "fold_9_not_annotated": validation & clean}
    training = list(compress(results, ~validation))
    return {
        "n": {"made": MADE, "at_500_hz": len(at_500_hz)},
        "false_alarms": false_alarms(results, groups),
        "chosen_limits": chosen_limits(training),
        "made": {
            "folds_1_8": made(drawn[:MADE], MISTAKES),
            "fold_9": made(list(cached_recordings(cache, table.iloc[fold_9[:MADE]], "fold 9")), MISTAKES),
            "at_500_hz": made(at_500_hz, MISTAKES_AT_500_HZ),
        },
        "weights": fitted(training, drawn),
    }
