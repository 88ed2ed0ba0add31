"""Where and why the networks err, and which claims about it hold.

    python train_multilabel.py --seeds 5
    python eval_multilabel.py --compare artifacts/multilabel_best.pth artifacts/*_baseline.pth \\
        artifacts/runs/multilabel_hmt_ecgnet_seed[1-4]/best.pth
    python -m tools.analyse_errors

Reads the predictions the comparison wrote, on fold 9 (val) or fold 10 (test), and writes a Markdown
report, its numbers as JSON and figures into artifacts/analysis/. Report texts of patients, which help
to understand the most confident mistakes, go to artifacts/analysis/private/, which git ignores.
"""

import argparse
import json
import re
import sys
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from config import (
    CHECKPOINT_NAMES,
    DEFAULT_OUT,
    RESEARCH_ONLY,
    SPLIT_FOLDS,
    SUPERCLASSES,
    SYNTHETIC_NOTICE,
    data_directory,
)
from dataset import PTBXLDataset
from ecg.plotting.draw import draw
from ecg.preprocessing import model_input
from ecg.quality import assess
from ecg.statements import BY_CODE
from evaluation import error_analysis as errors
from evaluation.cli import add_split_flag, exit_code
from evaluation.error_claims import conclusions
from evaluation.figures import draw_agreement, draw_groups
from evaluation.predictions import StoredPredictions, read_predictions
from evaluation.statement_errors import StoredStatements, analyse_statements, read_statements
from files import replacing, sha256, write_text
from inference.explain import explain
from models.checkpoint import CheckpointError, load_checkpoint
from ptbxl.index import DatasetError, read_index
from ptbxl.records import read_recording
from tools.documents import filled

OURS = re.compile(r"hmt_ecgnet(_seed\d+)?")
CONFUSIONS = 20  # the most frequent ones are listed
CREDIT = "PTB-XL 1.0.3, Wagner et al. 2022, CC BY 4.0"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument(
        "--out", default=str(DEFAULT_OUT), help="holds predictions/, gets analysis/ (default: artifacts)"
    )
    add_split_flag(parser)
    parser.add_argument("--mistakes", type=int, default=20, help="most confident ones to list (default: %(default)s)")
    parser.add_argument("--figures", type=int, default=20, help="of them to draw, at most 20 (default: %(default)s)")
    return parser


def analyse(arguments) -> None:
    """Analyse, write, draw and print."""
    out, split = Path(arguments.out), arguments.split
    networks = without_other_seeds(read_networks(out / "predictions", split), out / "predictions", split)
    seeds = [network for network in networks if OURS.fullmatch(network.name)]
    ours, architectures = seeds[0], [seeds[0], *(network for network in networks if network not in seeds)]
    index = read_index(data_directory(arguments.data))
    recordings = labelled_metadata(index, ours, split)
    columns = errors.group_columns(recordings["metadata"], ours.targets, recordings["certainty"])
    content = {
        "split": split,
        "fold": SPLIT_FOLDS[split][0],
        "n": len(ours.ecg_ids),
        "synthetic": index.is_synthetic,
        "checkpoints": {network.name: network.checkpoint_sha256 for network in networks},
        "data_sha256": recordings["data_sha256"],
        "metrics": {network.name: errors.macro_metrics(network) for network in tqdm(networks, desc="networks")},
        "architectures": errors.shared_errors(architectures),
        "accuracy_and_auroc": errors.accuracy_against_auroc(architectures),
        "groups": errors.all_group_metrics(ours, columns),
        "missed_by_likelihood": errors.missed_by_likelihood(
            ours, recordings["statements"], recordings["superclass_of"]
        ),
        "clear_and_doubtful": errors.clear_against_doubtful(ours, recordings["clear"]),
        "confident_mistakes": list_mistakes(ours, recordings, arguments.mistakes),
    }
    statements = read_statements(predictions_path(out / "predictions", ours.name, split))
    if statements is not None:
        content["statements"] = analyse_statements_of(index, statements, split)
    if len(seeds) > 1:
        content["seeds"] = errors.seed_spread(seeds)
        content["seed_errors"] = errors.shared_errors(seeds)
        content["squared_error"] = errors.squared_error_shares(seeds)
    if len(seeds) > 3:
        content["stability"] = errors.stability(seeds)
    content["conclusions"] = conclusions(content)
    write_report(out / "analysis", content)
    draw_mistakes(arguments, index, content, ours)
    write_private_reports(out / "analysis" / "private", recordings["metadata"], content)
    for item in content["conclusions"]:
        print(f"{item['verdict'].upper():15} {item['claim']} {item['numbers']}")
    print(f"written: {out / 'analysis' / 'errors.md'}")
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)


def read_networks(directory: Path, split: str) -> list[StoredPredictions]:
    """All multi-label predictions on a split, our seeds first. Raises DatasetError if ours is not among them."""
    paths = sorted(directory.glob(f"*_multilabel_{split}.npz"))
    networks = sorted(map(read_predictions, paths), key=lambda n: (not OURS.fullmatch(n.name), n.name))
    if not networks or not OURS.fullmatch(networks[0].name):
        raise DatasetError(
            f"no predictions of hmt_ecgnet in {directory}: run python eval_multilabel.py --split {split} first"
        )
    for network in networks[1:]:
        if not np.array_equal(network.ecg_ids, networks[0].ecg_ids):
            raise DatasetError(
                f"{network.name} was evaluated on other recordings than {networks[0].name}: evaluate it again"
            )
    return networks


def predictions_path(directory: Path, name: str, split: str) -> Path:
    return directory / f"{name}_multilabel_{split}.npz"


def without_other_seeds(networks: list[StoredPredictions], directory: Path, split: str) -> list[StoredPredictions]:
    """The networks without seeds of another recipe: those with statements where seed 0 has none, or the reverse."""
    has_statements = {
        network.name: read_statements(predictions_path(directory, network.name, split)) is not None
        for network in networks
        if OURS.fullmatch(network.name)
    }
    ours = has_statements[networks[0].name]
    others = [name for name, there in has_statements.items() if there != ours]
    if others:
        print(f"left out, as seeds of another recipe than {networks[0].name}: {', '.join(others)}")
    return [network for network in networks if network.name not in others]


def analyse_statements_of(index, statements: StoredStatements, split: str) -> dict:
    """`evaluation.statement_errors.analyse_statements` of all recordings of the split."""
    recordings = PTBXLDataset(index, split, "multilabel", input_scale=1.0)
    if not np.array_equal(recordings.ecg_ids, statements.ecg_ids):
        raise DatasetError("the stored statements are not of this data set: evaluate again with the same --data")
    numbers = tqdm(range(len(recordings)), desc="heart rates", unit="ECG")
    rates = [assess(recordings.recording(number)).heart_rate for number in numbers]
    heart_rates = np.array([np.nan if rate is None else rate for rate in rates])
    return analyse_statements(statements, errors.age_and_sex(recordings.metadata), heart_rates, CONFUSIONS)


def labelled_metadata(index, ours: StoredPredictions, split: str) -> dict:
    """What PTB-XL says of the recordings behind the predictions, in their order."""
    recordings = PTBXLDataset(index, split, "multilabel", input_scale=1.0)
    chosen = recordings.labelled
    if not np.array_equal(recordings.ecg_ids[chosen], ours.ecg_ids):
        raise DatasetError(
            f"the predictions of {ours.name} are not of this data set: evaluate again with the same --data"
        )
    table = index.statement_table
    superclass_of = table["diagnostic_class"].where(table["diagnostic"] == 1).to_numpy()
    diagnostic = np.isin(superclass_of.astype(str), SUPERCLASSES)
    statements, metadata = recordings.statements[chosen], recordings.metadata[chosen]
    if not diagnostic.any() or metadata["report"].isna().all():
        raise DatasetError(
            "errors are analysed by the likelihoods of statements and the doubts of reports, "
            "and this data set lacks scp_codes or report"
        )
    certainty = errors.least_certainty(statements, diagnostic)
    return {
        "metadata": metadata,
        "statements": statements,
        "superclass_of": superclass_of,
        "codes": table.index.to_numpy(),
        "certainty": certainty,
        "clear": errors.clear_recordings(certainty, ours.targets, metadata["report"]),
        "data_sha256": recordings.fold_sha256,
    }


def list_mistakes(ours: StoredPredictions, recordings: dict, count: int) -> list[dict]:
    """The most confident mistakes with all that is needed to look them up."""
    rows = []
    for row, column in errors.confident_mistakes(ours, count):
        rows.append(
            {
                "ecg_id": int(ours.ecg_ids[row]),
                "label": list(compress(SUPERCLASSES, ours.targets[row])),
                "predicted": list(compress(SUPERCLASSES, ours.positive[row])),
                "wrong_about": SUPERCLASSES[column],
                "probabilities": pd.Series(ours.calibrated[row].astype(float), SUPERCLASSES).round(3).to_dict(),
                "statements": pd.Series(recordings["statements"][row], recordings["codes"], float).dropna().to_dict(),
            }
        )
    return rows


def write_report(directory: Path, content: dict) -> None:
    """errors.md, errors.json and the figures of groups and agreement."""
    write_text(directory / "errors.json", json.dumps(content, indent=1) + "\n")
    constants = {name: getattr(errors, name) for name in ("EXACT_MATCH_MARGIN", "SMALLEST_CLASS", "SMALLEST_GROUP")}
    names = {code: statement.name for code, statement in BY_CODE.items()}
    report = filled(
        "errors.md.j2",
        **content,
        **constants,
        SUPERCLASSES=SUPERCLASSES,
        STATEMENT_NAMES=names,
        SYNTHETIC_NOTICE=SYNTHETIC_NOTICE,
    )
    write_text(directory / "errors.md", report)
    for name, draw_figure in (("groups", draw_groups), ("agreement", draw_agreement)):
        with replacing(directory / f"{name}.png") as unfinished:
            draw_figure(content).savefig(unfinished, dpi=110)


def write_private_reports(directory: Path, metadata: pd.DataFrame, content: dict) -> None:
    """The cardiologists' reports of the listed mistakes, kept out of git."""
    chosen = metadata.loc[[row["ecg_id"] for row in content["confident_mistakes"]], ["age", "sex", "report"]]
    write_text(directory / "reports.csv", chosen.to_csv())


def draw_mistakes(arguments, index, content: dict, ours: StoredPredictions) -> None:
    """The most confident mistakes on ECG paper, shaded where the evidence for the wrong class was."""
    directory = Path(arguments.out) / "analysis" / "mistakes"
    path = Path(arguments.out) / CHECKPOINT_NAMES["multilabel"]
    if sha256(path) != ours.checkpoint_sha256:
        raise CheckpointError(f"{path} is not the network behind the predictions of {ours.name}: evaluate it again")
    checkpoint = load_checkpoint(path)
    network = checkpoint.network()
    for old in directory.glob("ecg_*.png"):
        old.unlink()
    for row in tqdm(content["confident_mistakes"][: min(arguments.figures, 20)], desc="figures", unit="ECG"):
        recording = read_recording(index, row["ecg_id"])
        signal = model_input(recording, checkpoint.input_scale)
        why = explain(network, signal, explained=(row["wrong_about"],))
        title = (
            f"ECG {row['ecg_id']}: annotated {', '.join(row['label'])}; "
            f"p({row['wrong_about']}) = {row['probabilities'][row['wrong_about']]:.2f}"
        )
        figure = draw(
            recording,
            caption=title,
            notice=f"Shaded: what spoke for {row['wrong_about']}. {CREDIT}. {RESEARCH_ONLY}",
            shading=why.spans(row["wrong_about"]),
        )
        with replacing(directory / f"ecg_{row['ecg_id']}.png") as unfinished:
            figure.savefig(unfinished, dpi=90, pil_kwargs={"optimize": True})


def main(argv: list[str] | None = None) -> int:
    return exit_code(analyse, make_parser().parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
