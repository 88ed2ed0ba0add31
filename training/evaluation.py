"""What the threshold and eval scripts share: a checkpoint on a split, its figures, its files."""

import argparse
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.metrics import f1_score, precision_recall_curve, roc_curve

from calibration import Decisions, cross_fit, multilabel_score
from config import CHECKPOINT_NAMES, DEFAULT_OUT, SPLIT_FOLDS, SYNTHETIC_NOTICE, VALIDATION_FOLD, data_directory
from dataset import PTBXLDataset
from files import replacing, sha256, write_text
from models import count_parameters
from training.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from training.fit import predict_split
from training.metrics import BOOTSTRAP_DRAWS, CALIBRATION_BINS, TABLE_COLUMNS, cell, with_intervals

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")  # Okabe and Ito: safe for the colour-blind

MULTILABEL_HELP = "for binary tasks: the multi-label network to compare with (default: multilabel_best.pth in --out)"


@dataclass(frozen=True, eq=False)
class Scored:
    """A checkpoint's answers on one split: probabilities ``(n, classes)``, uncalibrated.

    score: "binary" if a binary network answered a binary question, "multilabel" otherwise.
    """

    path: Path
    sha256: str
    checkpoint: Checkpoint
    split: PTBXLDataset
    probabilities: np.ndarray
    score: str

    @property
    def synthetic(self) -> bool:
        return self.checkpoint.synthetic or self.split.is_synthetic


def add_shared_flags(parser: argparse.ArgumentParser) -> None:
    """Flags of every threshold and eval script."""
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where files go (default: artifacts)")
    parser.add_argument("--checkpoint", help="the network (default: the task's, in --out)")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0: all cores (default: %(default)s)")


def score_split(arguments, task: str, split: str) -> Scored:
    """Load the task's checkpoint and run it on a split. Raises CheckpointError or DatasetError."""
    scored = score_recordings(*load_for(arguments, task, split))
    if scored.synthetic:
        print(SYNTHETIC_NOTICE)
    return scored


def load_for(arguments, task: str, split: str) -> tuple[Path, Checkpoint, PTBXLDataset]:
    """The checkpoint the flags name and the recordings to judge it on. Raises CheckpointError or DatasetError."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    path = Path(arguments.checkpoint or Path(arguments.out) / CHECKPOINT_NAMES[task])
    checkpoint = load_checkpoint(path)
    if checkpoint.task != task:
        raise CheckpointError(f"{path} was trained for task {checkpoint.task}, not {task}")
    return path, checkpoint, PTBXLDataset(data_directory(arguments.data), split, task, checkpoint.input_scale)


def score_recordings(path: Path, checkpoint: Checkpoint, recordings: PTBXLDataset) -> Scored:
    """Run a checkpoint on recordings of any task; a multi-label one answers binary questions too."""
    probabilities = predict_split(
        checkpoint.network(), recordings, np.arange(len(recordings)), checkpoint.window_s, checkpoint.stride_s
    )
    score = "multilabel" if checkpoint.task == "multilabel" else "binary"
    if score == "multilabel" and recordings.task != "multilabel":
        probabilities = multilabel_score(probabilities, recordings.task)
    return Scored(path, sha256(path), checkpoint, recordings, probabilities, score)


def score_by_both(arguments, task: str, split: str) -> dict[str, Scored]:
    """A binary question answered by its own network and, where there is one, by the multi-label network."""
    own = score_split(arguments, task, split)
    path = Path(arguments.multilabel or Path(arguments.out) / CHECKPOINT_NAMES["multilabel"])
    if arguments.multilabel is None and not path.is_file():
        print(f"no multi-label network at {path}: only the binary network is measured (--multilabel names one)")
        return {own.score: own}
    checkpoint = load_checkpoint(path)
    if checkpoint.task != "multilabel":
        raise CheckpointError(f"{path} was trained for task {checkpoint.task}, not multilabel")
    recordings = PTBXLDataset(data_directory(arguments.data), split, task, checkpoint.input_scale)
    other = score_recordings(path, checkpoint, recordings)
    return {own.score: own, other.score: other}


def judge(scored: Scored, decisions: Decisions, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibrated probabilities and decisions ``(n, classes)`` and certainty ``(n,)`` that no fit has seen.

    Fold 9 is where thresholds were fitted, so there they are cross-fitted by patient; on any other
    split the fitted ones apply.
    """
    if split == "val":
        recordings = scored.split
        return cross_fit(
            scored.probabilities,
            recordings.targets,
            recordings.patient_ids,
            decisions.task,
            criterion=decisions.criterion,
            sensitivity_floor=decisions.sensitivity_floor,
        )
    calibrated = decisions.calibrate(scored.probabilities)
    return calibrated, decisions.decide(calibrated), decisions.clearance(calibrated) / decisions.margin


def measure_all(scored: Scored, decisions: Decisions, split: str, thresholds_path: Path) -> tuple[dict, dict]:
    """The metrics file's content and the predictions file's arrays for one split."""
    recordings, probabilities = scored.split, scored.probabilities
    calibrated, positive, certainty = judge(scored, decisions, split)
    labelled, everything = recordings.labelled, np.ones(len(recordings), bool)
    figures = _figures(scored, calibrated, positive, labelled)
    all_figures = _figures(scored, calibrated, positive, everything)
    content = {
        "task": decisions.task,
        "split": split,
        "fold": SPLIT_FOLDS[split][0],
        "n": int(labelled.sum()),
        "n_all": len(recordings),
        "source": "measured by this repository's evaluation script",
        "synthetic": scored.synthetic,
        "checkpoint_sha256": scored.sha256,
        "thresholds_sha256": sha256(thresholds_path),
        "data_sha256": recordings.fold_sha256,
        "model": scored.checkpoint.model,
        "parameters": count_parameters(scored.checkpoint.network()),
        "date": date.today().isoformat(),
        "decisions": (
            f"calibration and thresholds cross-fitted by patient inside fold {VALIDATION_FOLD}"
            if split == "val"
            else f"calibration and thresholds of fold {VALIDATION_FOLD}"
        ),
        "score": decisions.score,
        "criterion": decisions.criterion,
        "intervals": f"95 %, {BOOTSTRAP_DRAWS} bootstrap resamples by patient",
        "configuration": scored.checkpoint.training,
        "revision": scored.checkpoint.revision,
        "macro": figures.pop("macro"),
        "macro_all": all_figures.pop("macro"),
        **figures,
        "coverage": coverage(positive[labelled], certainty[labelled], recordings.targets[labelled]),
    }
    if len(recordings.classes) == 1:
        content["confusion"] = confusion(positive[:, 0], recordings.targets[:, 0])
    if split == "val":
        seen = decisions.calibrate(probabilities)
        content["in_sample"] = _figures(scored, seen, decisions.decide(seen), labelled)["macro"]
    return content, predictions_of(scored, calibrated, positive, certainty)


COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)


def coverage(positive: np.ndarray, certainty: np.ndarray, targets: np.ndarray) -> dict:
    """What is gained by calling the least certain recordings uncertain.

    positive, targets: ``(n, classes)``; certainty ``(n,)``, under 1 if the verdict is uncertain. Returns
    the figures of the verdict itself and of the curve, macro F1 and share of ECGs right in every class.
    """
    certain = certainty >= 1
    order = np.argsort(-certainty, kind="stable")
    curve = [_figures_of_covered(positive, targets, order[: round(share * len(order))]) for share in COVERAGES]
    return {
        "verdict_certain": {
            "share": round(float(certain.mean()), 4),
            **_figures_of_covered(positive, targets, certain),
        },
        "verdict_uncertain": {
            "share": round(float((~certain).mean()), 4),
            **_figures_of_covered(positive, targets, ~certain),
        },
        "curve": [{"coverage": share, **row} for share, row in zip(COVERAGES, curve, strict=True)],
    }


def _figures_of_covered(positive: np.ndarray, targets: np.ndarray, chosen: np.ndarray) -> dict:
    if not len(positive[chosen]):
        return {"f1": None, "exact_match": None}
    decided, truth = positive[chosen], targets[chosen] > 0
    scores = f1_score(truth, decided, average=None, zero_division=0) if truth.shape[1] > 1 else f1_score(truth, decided)
    return {
        "f1": round(float(np.mean(scores)), 4),
        "exact_match": round(float((decided == truth).all(1).mean()), 4),
    }


def confusion(positive: np.ndarray, targets: np.ndarray) -> dict[str, int]:
    """Counts of decisions ``(n,)`` against targets ``(n,)``."""
    truth = targets > 0
    return {
        "true_positive": int((positive & truth).sum()),
        "false_positive": int((positive & ~truth).sum()),
        "false_negative": int((~positive & truth).sum()),
        "true_negative": int((~positive & ~truth).sum()),
    }


def _figures(scored: Scored, calibrated: np.ndarray, positive: np.ndarray, chosen: np.ndarray) -> dict:
    recordings = scored.split
    return with_intervals(
        scored.probabilities[chosen],
        calibrated[chosen],
        positive[chosen],
        recordings.targets[chosen],
        recordings.classes,
        recordings.patient_ids[chosen],
    )


def write_results(out: Path, content: dict, predictions: dict) -> list[Path]:
    """Metrics, predictions and figures of one evaluation; returns the paths written."""
    task, split = content["task"], content["split"]
    metrics = out / f"{task}_metrics_{split}.json"
    write_text(metrics, json.dumps(content, indent=1) + "\n")
    arrays = write_predictions(out, content["model"], task, split, predictions)
    pictures, drawings = [], {"roc": draw_roc, "pr": draw_precision_recall, "reliability": draw_reliability}
    if "confusion" in content:
        drawings["confusion"] = draw_confusion
    for name, draw in drawings.items():
        path = out / "figures" / f"{task}_{name}_{split}.png"
        with replacing(path) as unfinished:
            draw(content, predictions).savefig(unfinished, dpi=130)
        pictures.append(path)
    return [metrics, arrays, *pictures]


def write_predictions(out: Path, name: str, task: str, split: str, predictions: dict) -> Path:
    """The arrays every figure and every paired comparison can be recomputed from."""
    path = out / "predictions" / f"{name}_{task}_{split}.npz"
    with replacing(path) as unfinished:
        np.savez_compressed(unfinished, **predictions)
    return path


def predictions_of(
    scored: Scored, calibrated: np.ndarray, positive: np.ndarray, certainty: np.ndarray
) -> dict[str, np.ndarray]:
    """Contents of a predictions file; arrays ``(n, classes)`` but for the identifiers and the certainty ``(n,)``."""
    recordings = scored.split
    return {
        "ecg_id": recordings.ecg_ids,
        "patient_id": recordings.patient_ids,
        "labelled": recordings.labelled,
        "classes": np.array(recordings.classes),
        "checkpoint_sha256": np.array(scored.sha256),
        "targets": recordings.targets.astype(np.uint8),
        "probabilities": scored.probabilities.astype(np.float32),
        "calibrated": calibrated.astype(np.float32),
        "positive": positive,
        "certainty": certainty.astype(np.float32),
    }


def draw_roc(content: dict, predictions: dict) -> Figure:
    """ROC curve of each class on labelled recordings."""
    figure, axes = _square("1 - specificity", "sensitivity", content)
    for name, colour, scores, targets in _classes(predictions, "probabilities"):
        fallout, recall, _ = roc_curve(targets, scores)
        axes.plot(fallout, recall, color=colour, label=f"{name}  {content[name]['auroc']['value']:.3f}")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
    axes.legend(title="AUROC", loc="lower right", frameon=False)
    return figure


def draw_precision_recall(content: dict, predictions: dict) -> Figure:
    """Precision against recall of each class on labelled recordings."""
    figure, axes = _square("sensitivity (recall)", "positive predictive value (precision)", content)
    for name, colour, scores, targets in _classes(predictions, "probabilities"):
        precision, recall, _ = precision_recall_curve(targets, scores)
        axes.plot(recall, precision, color=colour, label=f"{name}  {content[name]['auprc']['value']:.3f}")
    axes.legend(title="AUPRC", loc="lower left", frameon=False)
    return figure


def draw_reliability(content: dict, predictions: dict) -> Figure:
    """Frequency against calibrated probability in bins of at least ten recordings."""
    figure, axes = _square("calibrated probability", "frequency", content)
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8, zorder=0)
    for name, colour, scores, targets in _classes(predictions, "calibrated"):
        bins = np.minimum((scores * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
        filled = [number for number in range(CALIBRATION_BINS) if (bins == number).sum() >= 10]
        axes.plot(
            [scores[bins == number].mean() for number in filled],
            [targets[bins == number].mean() for number in filled],
            "o-",
            markersize=3.5,
            color=colour,
            label=f"{name}  {content[name]['ece']['value']:.3f}",
        )
    axes.legend(title="calibration error", loc="upper left", frameon=False)
    return figure


def draw_confusion(content: dict, predictions: dict) -> Figure:
    """Decisions against annotations: counts, shaded by the share of their row."""
    counts = content["confusion"]
    yes, no = {"mi_vs_norm": ("MI", "NORM"), "norm_vs_abnormal": ("abnormal", "NORM")}[content["task"]]
    table = np.array(
        [
            [counts["true_positive"], counts["false_negative"]],
            [counts["false_positive"], counts["true_negative"]],
        ]
    )
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.1)
    for (row, column), count in np.ndenumerate(table):
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count:,}\n{shares[row, column]:.1%}", ha="center", va="center", color=ink)
    axes.set_xticks([0, 1], [f"says {yes}", f"says {no}"])
    axes.set_yticks([0, 1], [f"labelled {yes}", f"labelled {no}"], rotation=90, va="center")
    axes.set_title(_title(content), fontsize=10)
    return figure


def _classes(predictions: dict, key: str):
    chosen = predictions["labelled"]
    for k, name in enumerate(predictions["classes"]):
        yield str(name), COLOURS[k], predictions[key][chosen, k], predictions["targets"][chosen, k]


def _square(x: str, y: str, content: dict) -> tuple[Figure, object]:
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_title(_title(content), fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _title(content: dict) -> str:
    title = f"{content['model']}, {content['task']}, fold {content['fold']}, n = {content['n']:,}"
    return f"SYNTHETIC DATA: {title}" if content["synthetic"] else title


def markdown_table(content: dict) -> str:
    """The figures of a metrics file with their intervals, a row a class."""
    classes = [key for key, value in content.items() if isinstance(value, dict) and "auroc" in value]
    ordered = [*(name for name in classes if name not in ("macro", "macro_all", "in_sample")), "macro", "macro_all"]
    n = {"macro": f"macro, labelled (n = {content['n']:,})", "macro_all": f"macro, all (n = {content['n_all']:,})"}
    lines = [
        "| class | " + " | ".join(TABLE_COLUMNS.values()) + " |",
        "|---" * (len(TABLE_COLUMNS) + 1) + "|",
    ]
    for name in ordered:
        lines.append(f"| {n.get(name, name)} | " + " | ".join(cell(content[name][key]) for key in TABLE_COLUMNS) + " |")
    return "\n".join(lines)
