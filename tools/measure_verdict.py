"""What does the rule of inference/verdict.py change?

    python -m tools.measure_verdict                # fold 9; about five minutes; needs data/ptbxl
    python -m tools.measure_verdict --split test   # fold 10

Writes artifacts/verdict_SPLIT.json and artifacts/predictions/verdicts_SPLIT.npz. Every recording of the fold is
diagnosed as the product does it, and verdicts_SPLIT.npz holds these verdicts. Figures of fold 9 are of thresholds
cross-fitted by patient instead (`evaluation.verdicts`). The limits of `ecg.rhythm_signs` were chosen on folds 1-8,
which are counted beside the fold. `python -m tools.update_docs` writes the tables of docs/verdict.md.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from config import BINARY_TASKS, DEFAULT_OUT, SPLIT_FOLDS, SUPERCLASSES, TASK_CLASSES, data_directory
from dataset import PTBXLDataset
from ecg.rhythm_signs import MOST_IRREGULAR, P_CONSISTENCY, measure_rhythm
from ecg.statements import CODES
from evaluation.cli import add_split_flag
from evaluation.predictions import HeldOutFindings
from evaluation.verdicts import (
    TaskDecisions,
    certain_only,
    contradictions,
    decide,
    decide_cross_fitted,
    decide_statements,
    doubts_apart,
    effect,
    other_rules,
    statement_contradictions,
    statement_rules,
    uncertain_without_rule,
    withheld_counts,
)
from files import replacing, write_text
from inference import InferenceError
from inference.diagnoser import Diagnoser
from inference.diagnosis import IRREGULAR, Diagnosis
from inference.findings import assert_statements, implied_superclasses, keep_consistent, name_rhythm
from inference.verdict import NORM, Verdicts, reach_verdicts
from ptbxl.index import DatasetError, read_index

OTHER_RHYTHMS = ("AFIB", "STACH", "SARRH", "SBRAD", "PACE", "SVARR", "BIGU", "AFLT", "SVTAC", "PSVT", "TRIGU")
PREMATURE = ("PAC", "PVC", "PRC(S)")
FORMS = ("STD_", "STE_", "INVT", "NT_", "LOWT", "TAB_")  # of ST segment and T wave, none of them part of STTC


@dataclass(frozen=True, eq=False, kw_only=True)
class Decided:
    """What is said of n recordings, by thresholds that did not see them.

    tasks: superclasses and binary answers at their thresholds. statements: those at their thresholds.
    asserted: bool ``(n, 71)``, before the statements are held against the superclasses.
    verdicts: by the rule. classes_alone: by the rule without statements. signs: as `rhythm_table`.
    """

    tasks: dict[str, TaskDecisions]
    statements: HeldOutFindings
    asserted: np.ndarray
    verdicts: Verdicts
    classes_alone: Verdicts
    signs: pd.DataFrame

    @property
    def above(self) -> np.ndarray:
        """Superclasses at or above their threshold, bool ``(n, 5)``."""
        return self.tasks["multilabel"].above

    @property
    def kept(self) -> np.ndarray:
        """Statements that are asserted beside the verdict's superclasses, bool ``(n, 71)``."""
        return keep_consistent(self.asserted, self.verdicts.classes, self.verdicts.doubts["unusable"])

    @property
    def explained(self) -> np.ndarray:
        """Where another rhythm than a regular sinus rhythm is asserted, bool ``(n,)``."""
        return self.asserted[:, IRREGULAR].any(axis=1)


def diagnose_all(diagnoser: Diagnoser, recordings: PTBXLDataset) -> tuple[list[Diagnosis], dict[str, np.ndarray]]:
    """The diagnosis of each recording, and the uncalibrated probabilities behind them.

    Those are ``(n, classes)`` by task, and under "statements" ``(n, 71)``.
    """
    diagnoses, probabilities = [], []
    for number in tqdm(range(len(recordings)), desc="diagnosing", unit="ECG"):
        recording = recordings.recording(number)
        diagnoses.append(diagnoser.diagnose(recording))
        probabilities.append(diagnoser.probabilities(recording))
    return diagnoses, {name: np.array([of_one[name] for of_one in probabilities]) for name in probabilities[0]}


def product_verdicts(diagnoses: list[Diagnosis], ecg_ids: np.ndarray, files: dict[str, str]) -> dict[str, np.ndarray]:
    """What a diagnosis says of each recording, as arrays; files: of the networks and thresholds behind it."""
    return {
        "ecg_id": ecg_ids,
        "classes": np.array(
            [[name in diagnosis.predicted_classes for name in SUPERCLASSES] for diagnosis in diagnoses]
        ),
        "uncertain": np.array([diagnosis.uncertain for diagnosis in diagnoses]),
        "files": np.array(json.dumps(files, sort_keys=True)),
    }


def decide_tasks(
    diagnoser: Diagnoser, probabilities: dict[str, np.ndarray], recordings: PTBXLDataset
) -> dict[str, TaskDecisions]:
    """Every task's decisions on every recording, by thresholds that did not see them."""
    if recordings.split != "val":
        return {task: decide(diagnoser.decisions[task], probabilities[task]) for task in TASK_CLASSES}
    return {
        task: decide_cross_fitted(
            diagnoser.decisions[task], probabilities[task], recordings.targets > 0, recordings.patient_ids
        )
        for task in TASK_CLASSES
    }


def decide_all(
    diagnoser: Diagnoser, probabilities: dict[str, np.ndarray], severity: np.ndarray, recordings: PTBXLDataset
) -> Decided:
    """The product's rule, applied to decisions by thresholds that did not see the recordings."""
    findings = diagnoser.decisions["multilabel"].statements
    if findings is None:
        raise InferenceError("the multi-label network has no statements, which the rule of docs/verdict.md is about")
    statements = decide_statements(
        findings,
        probabilities["statements"],
        recordings.made(CODES),
        recordings.patient_ids if recordings.split == "val" else None,
    )
    tasks = decide_tasks(diagnoser, probabilities, recordings)
    return apply_rule(tasks, statements, severity, rhythm_table(recordings))


def apply_rule(
    tasks: dict[str, TaskDecisions], statements: HeldOutFindings, severity: np.ndarray, signs: pd.DataFrame
) -> Decided:
    """The product's rule, applied to decisions; severity ``(n,)`` of quality, signs as `rhythm_table`."""
    asserted = assert_statements(statements.calibrated, statements.above, statements.validated)
    arguments = (
        tasks["multilabel"].above,
        tasks["multilabel"].near,
        {task: tasks[task].above[:, 0] for task in BINARY_TASKS},
        severity,
        signs["either"].to_numpy() & ~asserted[:, IRREGULAR].any(axis=1),
    )
    return Decided(
        tasks=tasks,
        statements=statements,
        asserted=asserted,
        verdicts=reach_verdicts(*arguments, implied_superclasses(asserted)),
        classes_alone=reach_verdicts(*arguments),
        signs=signs,
    )


def contradiction_rows(decided: Decided) -> dict[str, dict]:
    """Each contradiction's count: at the thresholds, by the superclasses' rule alone, and in verdicts."""
    answers = {task: decided.tasks[task].above[:, 0] for task in BINARY_TASKS}
    everything = dict.fromkeys(BINARY_TASKS, np.ones(len(decided.above), bool))
    alone, verdicts = decided.classes_alone, decided.verdicts
    shown, shown_alone = (
        {task: one.withheld[task] == "" for task in BINARY_TASKS} for one in (verdicts, decided.classes_alone)
    )
    at_thresholds = decided.statements.above & decided.statements.validated
    return {
        "before": contradictions(decided.above, answers, everything)
        | statement_contradictions(decided.above, at_thresholds),
        "classes_alone": contradictions(alone.classes, answers, shown_alone)
        | statement_contradictions(alone.classes, at_thresholds),
        "after": contradictions(verdicts.classes, answers, shown)
        | statement_contradictions(verdicts.classes, decided.kept),
    }


def effects(decided: Decided, recordings: PTBXLDataset) -> dict[str, dict]:
    """What the rule does to F1, exact match and coverage, and what other rules would do."""
    targets, labelled, verdicts, alone = (
        recordings.targets, recordings.labelled, decided.verdicts, decided.classes_alone
    )  # fmt: skip
    return {
        "effect": effect(
            {"before": decided.above, "classes_alone": alone.classes, "after": verdicts.classes}, targets, labelled
        ),
        "certain": certain_only(
            {
                "before": (decided.above, uncertain_without_rule(verdicts)),
                "classes_alone": (alone.classes, alone.uncertain),
                "after": (verdicts.classes, verdicts.uncertain),
            },
            targets,
            labelled,
        ),
        "statement_rules": statement_rules(
            decided.above, decided.statements, decided.asserted, targets, labelled, recordings.patient_ids
        ),
        "other_rules": other_rules(decided.tasks["multilabel"], targets, labelled),
    }


def rhythm_table(recordings: PTBXLDataset) -> pd.DataFrame:
    """Signs against sinus rhythm and groups of annotated rhythms, a row a recording."""
    numbers = tqdm(range(len(recordings)), desc=f"rhythm, {recordings.split}", unit="ECG")
    signs = [measure_rhythm(recordings.recording(number)) for number in numbers]
    codes = pd.DataFrame(~np.isnan(recordings.statements), columns=recordings.statement_table.index)
    sinus = codes["SR"] & ~codes[list(OTHER_RHYTHMS)].any(axis=1)
    premature = codes[list(PREMATURE)].any(axis=1)
    groups = {
        "atrial fibrillation (AFIB)": codes["AFIB"],
        "atrial flutter (AFLT)": codes["AFLT"],
        "sinus rhythm (SR) without premature beats": sinus & ~premature,
        "the same, labelled NORM": sinus & ~premature & (recordings.targets[:, NORM] > 0),
        "sinus rhythm with premature beats": sinus & premature,
        "sinus arrhythmia (SARRH)": codes["SARRH"],
    }
    irregular = [sign is not None and sign.irregularity > MOST_IRREGULAR for sign in signs]
    without_p = [sign is not None and sign.p_consistency < P_CONSISTENCY for sign in signs]
    table = pd.DataFrame(groups).assign(irregular=irregular, without_p=without_p)
    return table.assign(either=table["irregular"] | table["without_p"])


def rhythm_rows(table: pd.DataFrame) -> dict[str, dict]:
    """How many of each group have each sign."""
    found = ["irregular", "without_p", "either"]
    groups = [name for name in table if name not in found]
    return {name: {"n": int(table[name].sum()), **table.loc[table[name], found].mean().round(4)} for name in groups}


def rhythm_facts(decided: Decided) -> dict:
    """Signs against sinus rhythm beside the rhythm that is named."""
    statements, table = decided.statements, decided.signs
    named = name_rhythm(statements.calibrated, statements.above, statements.validated)
    sign, norm = table["either"].to_numpy(), decided.verdicts.classes[:, NORM]
    afib = norm & table["atrial fibrillation (AFIB)"].to_numpy()
    silent = ~sign & ~decided.explained
    rows = rhythm_rows(table)
    for name, row in rows.items():
        of_group = table[name].to_numpy()
        row["named_other"] = round(float(decided.explained[of_group].mean()), 4) if of_group.any() else None
        row["silent"] = round(float(silent[of_group].mean()), 4) if of_group.any() else None
    return {
        "fold": rows,
        "named": int(named.certain.sum()),
        "possibly": int(((named.code != "") & ~named.certain).sum()),
        "uncertain": int((~named.certain).sum()),
        "with_a_sign": int(sign.sum()),
        "explained": int((sign & decided.explained).sum()),
        "doubted": int(decided.verdicts.doubts["rhythm"].sum()),
        "afib_headed_norm": int(afib.sum()),
        "of_these_named": int((afib & (named.code == "AFIB") & named.certain).sum()),
        "of_these_doubted": int((afib & ~decided.explained & sign).sum()),
    }


def form_rows(recordings: PTBXLDataset, classes: np.ndarray) -> dict[str, dict]:
    """How often form statements of ST segment and T wave come with the label STTC, and with the asserted class."""
    codes, sttc = list(recordings.statement_table.index), SUPERCLASSES.index("STTC")
    rows = {}
    for form in FORMS:
        there = ~np.isnan(recordings.statements[:, codes.index(form)])
        labelled = recordings.targets[there, sttc] > 0
        rows[form] = {
            "name": recordings.statement_table.loc[form, "description"],
            "n": int(there.sum()),
            "labelled": int(labelled.sum()),
            "asserted": int(classes[there, sttc].sum()),
            "asserted_not_labelled": int((classes[there, sttc] & ~labelled).sum()),
        }
    return rows


def measure(data: str | None, artifacts: Path, split: str) -> tuple[dict, dict[str, np.ndarray]]:
    """The content of verdict_SPLIT.json and of verdicts_SPLIT.npz. Raises DatasetError or InferenceError."""
    index = read_index(data_directory(data))
    if not index.is_ptbxl:
        raise DatasetError("the real PTB-XL is needed: `python dataset.py download` fetches it")
    recordings = PTBXLDataset(index, split, "multilabel", input_scale=1.0)
    diagnoser = Diagnoser.load(artifacts)
    diagnoses, probabilities = diagnose_all(diagnoser, recordings)
    severity = np.array([diagnosis.quality.severity for diagnosis in diagnoses])
    decided = decide_all(diagnoser, probabilities, severity, recordings)
    verdicts, targets, labelled = decided.verdicts, recordings.targets, recordings.labelled
    content = {
        "date": date.today().isoformat(),
        "split": split,
        "fold": SPLIT_FOLDS[split][0],
        "n": len(recordings),
        "n_labelled": int(labelled.sum()),
        "decisions": "cross-fitted by patient inside fold 9" if split == "val" else "thresholds of fold 9",
        "files": diagnoser.files,
        "checkpoint_sha256": diagnoser.networks["multilabel"].checkpoint_sha256,
        "data_sha256": recordings.fold_sha256,
        "contradictions": contradiction_rows(decided),
        "norm_beside_others_in_labels": int(((targets[:, NORM] > 0) & (targets > 0)[:, 1:].any(axis=1)).sum()),
        **effects(decided, recordings),
        "doubts": doubts_apart(verdicts, targets, labelled),
        "withheld": withheld_counts(verdicts),
        "rhythm": {
            "most_irregular": MOST_IRREGULAR,
            "p_consistency": P_CONSISTENCY,
            "folds_1_8": rhythm_rows(rhythm_table(PTBXLDataset(index, "train", "multilabel", 1.0))),
            **rhythm_facts(decided),
        },
        "forms": form_rows(recordings, verdicts.classes),
    }
    return content, product_verdicts(diagnoses, recordings.ecg_ids, diagnoser.files)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="the networks; results go there (default: artifacts)")
    add_split_flag(parser)
    arguments = parser.parse_args(argv)
    out, split = Path(arguments.out), arguments.split
    results, stored = out / f"verdict_{split}.json", out / "predictions" / f"verdicts_{split}.npz"
    try:
        content, arrays = measure(arguments.data, out, split)
        write_text(results, json.dumps(content, indent=1) + "\n")
        with replacing(stored) as unfinished:
            np.savez_compressed(unfinished, **arrays)
    except (DatasetError, InferenceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {results}, {stored}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
