"""Patients with the ages, sexes, diseases and likelihoods of PTB-XL (Wagner et al., Sci Data 2020;7:154)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecg.synthetic.beat import draw_axis
from ecg.synthetic.case import FEMALE, MALE, Case
from ecg.synthetic.noise import draw_artefacts
from ecg.synthetic.pathology import Finding

# PTB-XL's combinations of superclasses, in parts per thousand of its recordings.
COMBINATIONS = {
    ("NORM",): 416,
    ("MI",): 116,
    ("STTC",): 110,
    ("CD",): 78,
    ("MI", "CD"): 59,
    ("STTC", "HYP"): 36,
    ("MI", "STTC"): 28,
    ("HYP",): 25,
    ("STTC", "CD"): 22,
    (): 20,
    ("NORM", "CD"): 18,
    ("MI", "STTC", "HYP"): 16,
    ("CD", "HYP"): 14,
    ("MI", "STTC", "CD"): 10,
    ("STTC", "CD", "HYP"): 10,
    ("MI", "HYP"): 8,
    ("MI", "STTC", "CD", "HYP"): 7,
    ("MI", "CD", "HYP"): 6,
    ("NORM", "STTC"): 1,
}
STATEMENTS = {  # how often PTB-XL uses each statement that can be drawn here
    "MI": {"IMI": 2409, "ASMI": 2123, "ILMI": 430, "AMI": 318, "ALMI": 261, "INJAS": 192, "LMI": 181, "INJAL": 131,
           "IPLMI": 46, "IPMI": 30, "PMI": 15},
    "STTC": {"NDT": 1643, "ISC_": 1144, "NST_": 690, "ISCAL": 593, "ISCIN": 196, "DIG": 163, "ISCIL": 161,
             "ISCAS": 152, "ISCLA": 127, "LNGQT": 106, "EL": 87, "ISCAN": 40},
    "CD": {"LAFB": 1461, "IRBBB": 1006, "1AVB": 714, "IVCD": 708, "CRBBB": 487, "CLBBB": 482, "LPFB": 159,
           "ILBBB": 69},
    "HYP": {"LVH": 1918, "LAO/LAE": 384, "RVH": 114, "RAO/RAE": 89},
}  # fmt: skip
# Likelihoods in PTB-XL with their shares, from the least to the most certain.
LIKELIHOODS = {
    "NORM": {15: 0.01, 50: 0.05, 80: 0.19, 100: 0.75},
    "MI": {15: 0.20, 35: 0.03, 50: 0.20, 80: 0.05, 100: 0.52},
    "STTC": {15: 0.01, 50: 0.09, 80: 0.02, 100: 0.88},
    "CD": {50: 0.02, 80: 0.02, 100: 0.96},
    "HYP": {15: 0.09, 35: 0.08, 50: 0.27, 80: 0.04, 100: 0.52},
    "NST_": {0: 0.27, 50: 0.03, 100: 0.70},
}
AGE_AND_FEMALE_SHARE = {"MI": (67, 0.37), "CD": (66, 0.38), "HYP": (66, 0.42), "STTC": (66, 0.50), "NORM": (53, 0.55)}


@dataclass(frozen=True)
class Patient:
    """One generated person: what stays the same from one recording to the next. height in cm, weight in kg."""

    patient_id: int
    fold: int
    age: float
    sex: int
    height: float
    weight: float
    axis: float
    voltage: float
    superclasses: tuple[str, ...]
    findings: tuple[Finding, ...]
    rhythm: str
    recordings: int


def draw_patients(count: int, seed: int) -> list[Patient]:
    """Patients with PTB-XL's combinations of superclasses, spread evenly over the ten folds.

    Six in forty have two recordings and one in forty has three.
    """
    if count < 10:
        raise ValueError(f"ten folds need at least 10 patients, not {count}")
    rng = np.random.default_rng([seed, 0])
    # Evenly spaced quantiles: shares as exact as the number of patients allows, classes spread over the folds.
    shares = np.cumsum(list(COMBINATIONS.values())) / sum(COMBINATIONS.values())
    drawn = np.searchsorted(shares, (np.arange(count) + 0.5) / count)
    recordings = rng.permutation(np.where(np.arange(count) % 40 < 6, 2, np.where(np.arange(count) % 40 == 6, 3, 1)))
    identifiers = rng.permutation(count) + 1
    patients = [
        _draw_patient(int(identifiers[k]), k % 10 + 1, list(COMBINATIONS)[drawn[k]], int(recordings[k]), seed)
        for k in range(count)
    ]
    return sorted(patients, key=lambda patient: patient.patient_id)


def _draw_patient(patient_id: int, fold: int, superclasses: tuple[str, ...], recordings: int, seed: int) -> Patient:
    rng = np.random.default_rng([seed, 1, patient_id])
    mean_age, female = next((v for k, v in AGE_AND_FEMALE_SHARE.items() if k in superclasses), (70, 0.4))
    sex = FEMALE if rng.random() < female else MALE
    age = float(np.clip(round(rng.normal(mean_age, 18 if "NORM" in superclasses else 12)), 18, 93))
    height = float(round(rng.normal(164 if sex else 176, 7)))
    findings = _draw_findings(superclasses, rng)
    rhythm = "PACE" if any(f.code == "PACE" for f in findings) else "SR"
    p_needed = any(f.code in ("1AVB", "LAO/LAE", "RAO/RAE", "LVOLT") for f in findings)
    fibrillates = 0.4 if not superclasses else 0.1
    if rhythm == "SR" and "NORM" not in superclasses and not p_needed and rng.random() < fibrillates:
        rhythm = "AFIB"
    return Patient(
        patient_id=patient_id,
        fold=fold,
        age=age,
        sex=sex,
        height=height,
        weight=float(round(np.clip(rng.normal(25.5, 3.5), 18, 40) * (height / 100) ** 2)),
        axis=draw_axis(age, rng),
        voltage=float(np.clip(rng.lognormal(0, 0.22), 0.55, 1.5)),
        superclasses=superclasses,
        findings=findings,
        rhythm=rhythm,
        recordings=recordings,
    )


def _draw_code(superclass: str, rng: np.random.Generator, allowed: Sequence[str] = ()) -> str:
    counts = {code: n for code, n in STATEMENTS[superclass].items() if not allowed or code in allowed}
    weights = np.array(list(counts.values()), dtype=float)
    return str(rng.choice(list(counts), p=weights / weights.sum()))


def _draw_findings(superclasses: tuple[str, ...], rng: np.random.Generator) -> tuple[Finding, ...]:
    """Diseases for a set of superclasses, with the company they keep in PTB-XL."""
    codes = []
    if "MI" in superclasses:
        codes.append(_draw_code("MI", rng))
        if codes[0] in ("IMI", "ASMI") and rng.random() < 0.2:
            codes.append("ASMI" if codes[0] == "IMI" else "IMI")
    if "HYP" in superclasses:
        codes.append(_draw_code("HYP", rng))
    if "CD" in superclasses:
        codes += _draw_conduction(superclasses, codes, rng)
    if "STTC" in superclasses:
        strain = {"LVH", "RVH"} & set(codes) and rng.random() < 0.7
        codes.append("ISC_" if strain else _draw_code("STTC", rng, ("NDT", "NST_") if "NORM" in superclasses else ()))
    if not superclasses:
        codes += [[], ["PACE"], ["LVOLT"]][rng.choice(3, p=[0.35, 0.4, 0.25])]
    ceiling = 0.4 if "NORM" in superclasses else 1.0  # what is still called normal is slight
    return tuple(Finding(code=code, severity=round(float(rng.uniform(0, ceiling)), 3)) for code in codes)


def _draw_conduction(superclasses: tuple[str, ...], codes: Sequence[str], rng: np.random.Generator) -> list[str]:
    if "NORM" in superclasses:
        return [_draw_code("CD", rng, ("IRBBB", "1AVB", "LAFB"))]
    first = _draw_code("CD", rng, ("LPFB", "IRBBB", "1AVB", "CRBBB") if "RVH" in codes else ())
    if first == "LAFB" and rng.random() < 0.2:
        return [first, str(rng.choice(["CRBBB", "IRBBB"]))]
    if first != "1AVB" and rng.random() < 0.12:
        return [first, "1AVB"]
    return [first]


def draw_case(patient: Patient, number: int, age: float, rng: np.random.Generator) -> Case:
    """The case of a patient's recording ``number`` (0, 1, ...): a fresh day of the same heart, infarctions ageing."""
    stages = ("I", "II", "III")
    youngest = rng.choice(3, p=[0.15, 0.25, 0.60])
    stage = stages[min(youngest + number, 2)]
    findings = tuple(
        replace(f, severity=float(np.clip(f.severity + rng.normal(0, 0.05), 0, 1)), stage=stage)
        for f in patient.findings
    )
    fast = {"AFIB": 15, "PACE": 2}.get(patient.rhythm, 4 if findings else 0)
    swing = 0.05 * np.exp(-(age - 20) / 35) * rng.lognormal(0, 0.5)  # breathing moves young hearts more
    return Case(
        age=age,
        sex=patient.sex,
        heart_rate=float(np.clip(rng.normal(68 + fast, 12), 46, 125)),
        findings=findings,
        rhythm=patient.rhythm,
        axis=float(patient.axis + rng.normal(0, 4)),
        voltage=float(patient.voltage * rng.lognormal(0, 0.05)),
        respiratory_arrhythmia=float(min(swing, 0.15)),
        noise=float(rng.lognormal(0, 0.4)),
        artefacts=draw_artefacts(rng),
    )


def example_cases() -> dict[str, Case]:
    """One textbook case for each superclass, for drawings."""
    infarction = Finding(code="AMI", severity=0.8, stage="I")
    ischaemia = Finding(code="ISCAL", severity=0.7)
    block = Finding(code="CLBBB", severity=0.6)
    hypertrophy = (Finding(code="LVH", severity=0.6), Finding(code="ISC_", severity=0.6))
    return {
        "NORM": Case(age=45, sex=MALE, heart_rate=66, axis=50, noise=0.4),
        "MI": Case(age=61, sex=MALE, heart_rate=78, axis=40, findings=(infarction,), noise=0.4),
        "STTC": Case(age=66, sex=FEMALE, heart_rate=74, axis=40, findings=(ischaemia,), noise=0.4),
        "CD": Case(age=72, sex=MALE, heart_rate=70, axis=20, findings=(block,), noise=0.4),
        "HYP": Case(age=68, sex=MALE, heart_rate=68, axis=10, findings=hypertrophy, noise=0.4),
    }
