"""Fit calibration and decision thresholds on fold 9, for any checkpoint.

    python threshold_search.py                                           # the shipped multi-label network
    python threshold_search.py --task mi_vs_norm                         # by the multi-label network or its own
    python threshold_search.py --task mi_vs_norm --criterion sensitivity --sensitivity-floor 0.95
    python threshold_search.py --task anylead                            # of the any-leads network, a set of leads each
    python threshold_search.py --checkpoint artifacts/runs/NAME/best.pth --out artifacts/runs/NAME

Writes <task>_thresholds.json, valid for that checkpoint alone. Every other fold is refused.
"""

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from config import ANYLEAD, ANYLEAD_CHECKPOINT, BINARY_TASKS, SYNTHETIC_NOTICE, TASK_CLASSES, VALIDATION_FOLD, script
from evaluation.cli import MULTILABEL_HELP, add_shared_flags, exit_code
from evaluation.comparison import choose_score
from evaluation.lead_set_fits import describe, fit_lead_sets
from evaluation.metrics import macro_auroc_and_auprc
from evaluation.predictions import SplitPredictions, finding_arrays, load_network, predict_by_both, predict_task
from evaluation.statements import FEWEST_POSITIVES, LEAST_AUROC, ranking_by_name, validated
from files import sha256
from inference.calibration import calibration_losses, fit_decisions, fit_findings, has_both_outcomes
from inference.decisions import FINDING_NAMES, Decisions, ThresholdsError, save_decisions
from inference.lead_sets import LeadSets, save_lead_sets


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_flags(parser)
    parser.add_argument(
        "--task",
        default="multilabel",
        choices=(*TASK_CLASSES, ANYLEAD),
        help="whose thresholds; anylead: of the any-leads network, for each canonical set of leads (default: "
        "%(default)s)",
    )
    parser.add_argument("--split", default="val", help="only val, fold 9, is allowed (default: %(default)s)")
    parser.add_argument(
        "--criterion",
        default="f1",
        choices=("f1", "youden", "sensitivity"),
        help="what a threshold maximises; sensitivity: specificity above the floor (default: %(default)s)",
    )
    parser.add_argument(
        "--sensitivity-floor",
        type=float,
        default=0.95,
        help="with --criterion sensitivity: at least this sensitivity, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument("--multilabel", help=MULTILABEL_HELP)
    parser.add_argument(
        "--score",
        default="auto",
        choices=("auto", "binary", "multilabel"),
        help="network of a binary task; auto: multilabel, unless binary has a significantly better AUROC on fold 9 "
        "(default: %(default)s)",
    )
    return parser


def search(arguments) -> None:
    """Fit on all of fold 9, write a file and print what was chosen and the next command."""
    if arguments.split != "val":
        raise ThresholdsError(
            f"thresholds may only be fitted on fold {VALIDATION_FOLD} (--split val): "
            "fitted on training folds they are optimistic, on fold 10 they are leakage"
        )
    if arguments.task == ANYLEAD:
        search_lead_sets(arguments)
    else:
        search_task(arguments)
    print(next_command(arguments))


def search_task(arguments) -> None:
    """Fit one task and write ``<task>_thresholds.json``."""
    if arguments.task == "multilabel":
        candidates = {"multilabel": predict_task(arguments, "multilabel", "val")}
    else:
        candidates = predict_by_both(arguments, arguments.task, "val")
    score, choice = choose_from(candidates)
    if arguments.score != "auto":
        score, choice = arguments.score, {"rule": f"--score {arguments.score}"}
    if score not in candidates:
        raise ThresholdsError(f"--score {score}: there is no {score} network for task {arguments.task} here")
    predictions = candidates[score]
    recordings = predictions.recordings
    arrays = (predictions.probabilities, recordings.targets, recordings.patient_ids)
    losses = calibration_losses(*arrays)
    decisions = fit_decisions(*arrays, arguments.task, arguments.criterion, arguments.sensitivity_floor, score, losses)
    facts = {
        "n": len(recordings),
        "auroc_by_score": {
            name: auroc_or_none(one.probabilities, one.recordings.targets) for name, one in candidates.items()
        },
        "not_fitted": [
            name
            for name, both in zip(decisions.classes, has_both_outcomes(recordings.targets), strict=True)
            if not both
        ],
        "score_choice": choice,
        "synthetic": predictions.synthetic,
        "data_sha256": recordings.fold_sha256,
        "calibration_log_loss": {kind: round(loss, 5) for kind, loss in losses.items()},
    }
    if predictions.score == "multilabel" and predictions.statements.shape[1] and arguments.task == "multilabel":
        decisions, facts["findings"] = with_findings(decisions, predictions)
    path = Path(arguments.out) / f"{arguments.task}_thresholds.json"
    save_decisions(path, decisions, predictions.sha256, VALIDATION_FOLD, facts)
    print_fit(decisions, facts)
    print(f"written: {path}")


def search_lead_sets(arguments) -> None:
    """Fit the any-leads network for every canonical set of leads and write ``anylead_thresholds.json``."""
    path = Path(arguments.checkpoint or Path(arguments.out) / ANYLEAD_CHECKPOINT)
    _, checkpoint, recordings = load_network(arguments, path, "multilabel", "multilabel", arguments.split)
    fitted = fit_lead_sets(checkpoint.network(), recordings, arguments.criterion, arguments.sensitivity_floor)
    facts = {
        "n": len(recordings),
        "rule": f"assessable: AUROC's interval on fold {VALIDATION_FOLD} not below {LEAST_AUROC}; statements also need "
        f"{FEWEST_POSITIVES} positives and a superclass that is assessable",
        "synthetic": checkpoint.synthetic or recordings.is_synthetic,
        "data_sha256": recordings.fold_sha256,
    }
    written = Path(arguments.out) / f"{ANYLEAD}_thresholds.json"
    lead_sets = LeadSets(by_name={name: one.decisions for name, one in fitted.items()})
    save_lead_sets(
        written, lead_sets, sha256(path), VALIDATION_FOLD, facts, {name: one.facts for name, one in fitted.items()}
    )
    if facts["synthetic"]:
        print(SYNTHETIC_NOTICE)
    for name, one in fitted.items():
        print(describe(name, one))
    print(f"written: {written}")


def with_findings(decisions: Decisions, predictions: SplitPredictions) -> tuple[Decisions, dict]:
    """Thresholds of statements and subclasses added, and by which metrics of fold 9 they count as validated."""
    fitted, facts, patients = {}, {}, predictions.recordings.patient_ids
    for level, names in FINDING_NAMES.items():
        scores, made = finding_arrays(predictions, names)
        metrics = ranking_by_name(names, scores, made, patients)
        fitted[level] = fit_findings(names, scores, made, validated(metrics))
        facts[level] = metrics
    rule = (
        f"validated: {FEWEST_POSITIVES} positives in fold {VALIDATION_FOLD}, AUROC's interval not below {LEAST_AUROC}"
    )
    return replace(decisions, **fitted), {"validated": rule, **facts}


def choose_from(candidates: dict[str, SplitPredictions]) -> tuple[str, dict]:
    """As `choose_score`, and the multi-label network where fold 9 has one outcome only and nothing can be compared."""
    if len(candidates) == 1 or has_both_outcomes(candidates["multilabel"].recordings.targets).all():
        return choose_score(candidates)
    return "multilabel", {"rule": f"multilabel, because fold {VALIDATION_FOLD} has one outcome only"}


def auroc_or_none(probabilities: np.ndarray, targets: np.ndarray) -> float | None:
    """Macro AUROC over the classes with both outcomes; None if there are none."""
    auroc = macro_auroc_and_auprc(probabilities, targets)[0]
    return None if np.isnan(auroc) else round(auroc, 5)


def print_fit(decisions: Decisions, facts: dict) -> None:
    """Which network, calibrator and thresholds were chosen, and by what."""
    aurocs, losses = facts["auroc_by_score"], facts["calibration_log_loss"]
    if len(aurocs) > 1:
        compared = ", ".join(f"{name} {'none' if a is None else format(a, '.4f')}" for name, a in aurocs.items())
        print(f"score: {decisions.score} (AUROC {compared}; rule: {facts['score_choice']['rule']})")
    print(f"calibration: {decisions.calibrators[0]['kind']} (held-out log loss inside fold {VALIDATION_FOLD}: ", end="")
    print(", ".join(f"{kind} {loss:.4f}" for kind, loss in losses.items()) + ")")
    for name, threshold in zip(decisions.classes, decisions.thresholds, strict=True):
        print(f"{name:>8}  positive from {threshold:.3f}")
    for level in FINDING_NAMES:
        if findings := getattr(decisions, level):
            left_out = [name for name, ok in zip(findings.names, findings.validated, strict=True) if not ok]
            print(f"{level}: {findings.validated.sum()} of {len(findings.names)} validated; not {', '.join(left_out)}")
    if facts["not_fitted"]:
        print(
            f"fold {VALIDATION_FOLD} has no positives or no negatives of {', '.join(facts['not_fitted'])}: nothing "
            "could be fitted; the probability stays uncalibrated and 0.5, which nothing confirms, is the threshold"
        )


def next_command(arguments) -> str:
    """The command that evaluates by these thresholds."""
    if arguments.task == ANYLEAD:
        words = ["python", script("tools/eval_leads.py")]
    elif arguments.task == "multilabel":
        words = ["python", script("eval_multilabel.py")]
    else:
        words = ["python", script("eval_binary.py"), "--task", arguments.task]
    for name in ("out", "checkpoint", "data", *(["multilabel"] if arguments.task in BINARY_TASKS else [])):
        if value := getattr(arguments, name):
            words += [f"--{name}", value]
    return shlex.join(words)


def main(argv: list[str] | None = None) -> int:
    return exit_code(search, make_parser().parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
