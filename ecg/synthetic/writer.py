"""A generated data set in PTB-XL's layout, so that everything runs before the real data are there.

write_dataset(Path("demo/ptbxl"), patients=400, seed=0)
"""

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import wfdb
from tqdm import tqdm

from config import LEADS, SYNTHETIC_DEVICE
from ecg.synthetic.case import NATIVE_RATE, Case, Truth
from ecg.synthetic.noise import ARTEFACTS
from ecg.synthetic.pathology import EFFECTS, infarction
from ecg.synthetic.patients import LIKELIHOODS, Patient, draw_case, draw_patients, example_cases
from ecg.synthetic.simulation import simulate, to_100_hz

GENERATOR_VERSION = 3  # goes up whenever the bytes change
OLDEST_AGE = 89  # PTB-XL writes 300 above
SCP_OTHER_COLUMNS = (
    "Statement Category", "SCP-ECG Statement Description", "AHA code", "aECG REFID", "CDISC Code", "DICOM Code",
)  # fmt: skip
_SCP_PATH = Path(__file__).parents[1] / "scp_statements.csv"
_AXIS_TEXTS = {"LAD": "left axis", "ALAD": "marked left axis deviation", "RAD": "right axis",
               "ARAD": "marked right axis deviation", "AXR": "extreme axis"}  # fmt: skip


class DatasetExistsError(FileExistsError):
    """The destination holds something that this module did not write."""


def write_dataset(dest: Path, patients: int = 400, seed: int = 0, progress: bool = True) -> int:
    """Write a generated data set in PTB-XL's layout and return its number of recordings (about 1.2 a patient).

    The same arguments give the same bytes. The set appears whole or not at all. A generated set already at ``dest``
    is kept if it was made with the same arguments and replaced if not.

    Raises
    ------
    DatasetExistsError
        If ``dest`` holds anything that is not a generated set.
    ValueError
        If there are fewer than 10 patients.
    """
    dest = Path(dest)
    people = draw_patients(patients, seed)
    count = sum(person.recordings for person in people)
    readme = _readme(patients, seed, count)
    if _holds_anything(dest):
        if not is_synthetic(dest):
            raise DatasetExistsError(
                f"{dest} holds files that are not a generated data set; nothing was changed. "
                "Choose another directory, or move these files away first."
            )
        if _is_complete(dest, readme, count):
            return count
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest.parent, prefix=f".{dest.name}-") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        _write_files(new, people, seed, readme, progress)
        if dest.exists():
            os.replace(dest, old)
        os.replace(new, dest)
    return count


def is_synthetic(directory: Path) -> bool:
    """Whether a directory holds a generated data set, that is, whether each of its rows names the generator."""
    try:
        table = pd.read_csv(Path(directory) / "ptbxl_database.csv", usecols=["device"])
    except (OSError, ValueError):  # no such file, no table, or none with this column
        return False
    return set(table["device"]) == {SYNTHETIC_DEVICE}


def _holds_anything(path: Path) -> bool:
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def _is_complete(dest: Path, readme: str, count: int) -> bool:
    text = dest / "README.md"
    return (
        text.is_file()
        and text.read_text(encoding="utf-8") == readme
        and all(len(list(dest.glob(f"records{rate}/*/*"))) == 2 * count for rate in (100, 500))
    )


@dataclass(frozen=True)
class _Visit:
    """One recording to come: whose, the how many-th, and when."""

    ecg_id: int
    patient: Patient
    number: int
    date: datetime
    age: float


def _plan_visits(people: Sequence[Patient], seed: int) -> list[_Visit]:
    """The recordings in order of date, spread over PTB-XL's years; patients age between theirs."""
    rng = np.random.default_rng([seed, 2])
    slots = rng.permutation(np.repeat(np.arange(len(people)), [person.recordings for person in people]))
    start, step = datetime(1984, 11, 9), timedelta(days=6000) / len(slots)
    first, numbers, visits = {}, Counter(), []
    for k, slot in enumerate(slots):
        date = (start + step * (k + rng.uniform(0, 0.9))).replace(microsecond=0)
        since = first.setdefault(slot, date)
        age = people[slot].age + (date - since).days // 365
        visits.append(_Visit(ecg_id=k + 1, patient=people[slot], number=numbers[slot], date=date, age=age))
        numbers[slot] += 1
    return visits


def _write_files(dest: Path, people: Sequence[Patient], seed: int, readme: str, progress: bool) -> None:
    dest.mkdir()
    rows = []
    for visit in tqdm(_plan_visits(people, seed), desc="generating ECGs", unit="ECG", disable=not progress):
        rng = np.random.default_rng([seed, 3, visit.ecg_id])
        case = draw_case(visit.patient, visit.number, visit.age, rng)
        signal, truth = simulate(case, rng)
        low, high = (_record_path(visit.ecg_id, rate) for rate in (100, 500))
        write_record(dest / low, to_100_hz(signal), 100)
        write_record(dest / high, signal, NATIVE_RATE)
        rows.append(_row(visit, case, truth, rng) | {"filename_lr": low, "filename_hr": high})
    pd.DataFrame(rows).to_csv(dest / "ptbxl_database.csv", index=False, lineterminator="\n")
    statements = pd.DataFrame.from_dict(scp_statements(), orient="index")
    statements = statements.assign(**dict.fromkeys(SCP_OTHER_COLUMNS, ""))
    statements.to_csv(dest / "scp_statements.csv", lineterminator="\n")
    (dest / "README.md").write_text(readme, encoding="utf-8", newline="\n")


def _row(visit: _Visit, case: Case, truth: Truth, rng: np.random.Generator) -> dict[str, object]:
    """The visit's line of ``ptbxl_database.csv``, without its two file names."""
    patient = visit.patient
    codes = scp_codes(case, patient.superclasses, truth, rng)
    axis = heart_axis_name(truth.axis)
    stage = next((f.stage for f in case.findings if EFFECTS[f.code] is infarction), "")
    stadium = ("unknown" if rng.random() < 0.6 else f"Stadium {stage}") if stage else ""
    certified = visit.patient.fold >= 9 or rng.random() < 0.7  # PTB-XL: folds 9 and 10 were seen by a human
    return {
        "ecg_id": visit.ecg_id,
        "patient_id": float(patient.patient_id),
        "age": float(visit.age) if visit.age <= OLDEST_AGE else 300.0,
        "sex": patient.sex,
        "height": patient.height,
        "weight": patient.weight,
        "nurse": 0.0,
        "site": 0.0,
        "device": SYNTHETIC_DEVICE,
        "recording_date": visit.date.isoformat(sep=" "),
        "report": report_text(codes, axis, stadium),
        "scp_codes": str(codes),
        "heart_axis": axis,
        "infarction_stadium1": stadium,
        "infarction_stadium2": "",
        "validated_by": 0.0 if certified else "",
        "second_opinion": False,
        "initial_autogenerated_report": not certified,
        "validated_by_human": certified,
        **dict.fromkeys(ARTEFACTS, ""),
        **{artefact.column: artefact.annotation for artefact in case.artefacts},
        "extra_beats": "",
        "pacemaker": "ja, pacemaker" if case.rhythm == "PACE" else "",
        "strat_fold": patient.fold,
    }


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


def report_text(codes: dict[str, float], axis: str, stadium: str) -> str:
    """The text of a report: its statements in English, the axis if abnormal, the stage of an infarction."""
    table = scp_statements()
    statements = [table[code]["description"] for code in codes]
    if axis in _AXIS_TEXTS:
        statements.append(_AXIS_TEXTS[axis])
    if stadium:
        statements.append("stage unknown" if stadium == "unknown" else stadium.replace("Stadium", "stage"))
    return "SYNTHETIC " + ", ".join(statements)


def _record_path(ecg_id: int, rate: int) -> str:
    return f"records{rate}/{ecg_id // 1000 * 1000:05d}/{ecg_id:05d}_{'lr' if rate == 100 else 'hr'}"


def write_record(path: Path, signal: np.ndarray, sampling_rate: int) -> None:
    """Write leads ``(12, n)`` in mV as PTB-XL does: ``path.hea`` and ``path.dat``, WFDB format 16, 1 uV a step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record = wfdb.Record(
        record_name=path.name,
        fs=sampling_rate,
        units=["mV"] * len(LEADS),
        sig_name=[lead.upper() for lead in LEADS],
        d_signal=np.clip(np.round(signal.T * 1000), -32767, 32767).astype(np.int16),
        fmt=["16"] * len(LEADS),
        adc_gain=[1000.0] * len(LEADS),
        baseline=[0] * len(LEADS),
        comments=["SYNTHETIC: generated by a program, not recorded from a person"],
    )
    record.set_d_features()
    record.set_defaults()
    # What wfdb.wrsamp does, without its checks of every field, which take longer than the writing.
    record.wr_header_file(*record.get_write_fields(), write_dir=str(path.parent))
    record.wr_dat_files(write_dir=str(path.parent))


def _readme(patients: int, seed: int, recordings: int) -> str:
    pictures = "\n\n".join(f"![{name}](examples/{name}.png)" for name in example_cases())
    return f"""# Generated ECGs: not patients' data

A program (`ecg/synthetic/`, version {GENERATOR_VERSION}) made all {recordings} recordings of {patients} imaginary
patients here from seed {seed}. No one's heart was recorded. The files have the layout of PTB-XL 1.0.3, so that every
command can be tried without the real data. Every row says `{SYNTHETIC_DEVICE}` in its `device` column.

Results on this set prove that the software runs. They say nothing about accuracy on people.

One textbook case of each class, drawn by `python dataset.py demo`:

{pictures}
"""
