"""Where and why the networks err, and which claims about it hold.

    python train_multilabel.py --seeds 5
    python eval_multilabel.py --compare artifacts/multilabel_best.pth artifacts/*_baseline.pth \\
        artifacts/runs/multilabel_hmt_ecgnet_seed[1-4]/best.pth
    python analyse_errors.py

Reads the predictions the comparison wrote, on fold 9 (val) or fold 10 (test), and writes a Markdown
report, its numbers as JSON and figures into artifacts/analysis/. Report texts of patients, which help
to judge the most confident mistakes, go to artifacts/analysis/private/, which git ignores.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
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
from evaluation.error_analysis import (
    SMALLEST_CLASS,
    SMALLEST_GROUP,
    NetworkPredictions,
    accuracy_against_auroc,
    all_group_metrics,
    clear_against_doubtful,
    clear_recordings,
    confident_mistakes,
    group_columns,
    least_certainty,
    load_predictions,
    macro_metrics,
    missed_by_likelihood,
    seed_spread,
    shared_errors,
    squared_error_shares,
    stability,
)
from evaluation.figures import COLOURS
from evaluation.tables import metric_cell
from files import replacing, sha256, write_text
from inference.explain import explain
from models.checkpoint import CheckpointError, load_checkpoint
from ptbxl.index import DatasetError, read_index
from ptbxl.records import read_recording

OURS = re.compile(r"hmt_ecgnet(_seed\d+)?")
CREDIT = "PTB-XL 1.0.3, Wagner et al. 2022, CC BY 4.0"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="PTB-XL's directory (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument(
        "--out", default=str(DEFAULT_OUT), help="holds predictions/, gets analysis/ (default: artifacts)"
    )
    parser.add_argument("--split", default="val", choices=("val", "test"), help="(default: %(default)s)")
    parser.add_argument("--mistakes", type=int, default=20, help="most confident ones to list (default: %(default)s)")
    parser.add_argument("--figures", type=int, default=20, help="of them to draw, at most 20 (default: %(default)s)")
    return parser


# --------------------------------------------------------------------------- measuring


def analyse(arguments) -> dict:
    """Measure, draw and write; returns the content of errors.json."""
    out, split = Path(arguments.out), arguments.split
    networks = read_networks(out / "predictions", split)
    seeds = [network for network in networks if OURS.fullmatch(network.name)]
    ours, architectures = seeds[0], [seeds[0], *(network for network in networks if network not in seeds)]
    index = read_index(data_directory(arguments.data))
    recordings = labelled_metadata(index, ours, split)
    certainty, clear = recordings["certainty"], recordings["clear"]
    columns = group_columns(recordings["metadata"], ours.targets, certainty)
    content = {
        "split": split,
        "fold": SPLIT_FOLDS[split][0],
        "n": len(ours.ecg_ids),
        "synthetic": index.is_synthetic,
        "checkpoints": {network.name: network.checkpoint_sha256 for network in networks},
        "data_sha256": recordings["data_sha256"],
        "figures": {network.name: macro_metrics(network) for network in tqdm(networks, desc="networks")},
        "architectures": shared_errors(architectures),
        "accuracy_and_auroc": accuracy_against_auroc(architectures),
        "groups": all_group_metrics(ours, columns),
        "missed_by_likelihood": missed_by_likelihood(ours, recordings["statements"], recordings["superclass_of"]),
        "clear_and_doubtful": clear_against_doubtful(ours, clear),
        "confident_mistakes": list_mistakes(ours, recordings, arguments.mistakes),
    }
    if len(seeds) > 1:
        content["seeds"] = seed_spread(seeds)
        content["seed_errors"] = shared_errors(seeds)
        content["squared_error"] = squared_error_shares(seeds)
    if len(seeds) > 3:
        content["stability"] = stability(seeds)
    content["conclusions"] = conclusions(content)
    write_report(out / "analysis", content)
    draw_mistakes(arguments, index, content, ours)
    write_private_reports(out / "analysis" / "private", recordings["metadata"], content)
    return content


def read_networks(directory: Path, split: str) -> list[NetworkPredictions]:
    """All multi-label predictions on a split, our seeds first; ValueError if ours is not among them."""
    paths = sorted(directory.glob(f"*_multilabel_{split}.npz"))
    networks = sorted(map(load_predictions, paths), key=lambda n: (not OURS.fullmatch(n.name), n.name))
    if not networks or not OURS.fullmatch(networks[0].name):
        raise ValueError(
            f"no predictions of hmt_ecgnet in {directory}: run python eval_multilabel.py --split {split} first"
        )
    for network in networks[1:]:
        if not np.array_equal(network.ecg_ids, networks[0].ecg_ids):
            raise ValueError(
                f"{network.name} was scored on other recordings than {networks[0].name}: evaluate it again"
            )
    return networks


def labelled_metadata(index, ours: NetworkPredictions, split: str) -> dict:
    """What PTB-XL says of the recordings behind the predictions, in their order."""
    recordings = PTBXLDataset(index, split, "multilabel", input_scale=1.0)
    chosen = recordings.labelled
    if not np.array_equal(recordings.ecg_ids[chosen], ours.ecg_ids):
        raise ValueError(
            f"the predictions of {ours.name} are not of this data set: evaluate again with the same --data"
        )
    table = index.statement_table
    superclass_of = table["diagnostic_class"].where(table["diagnostic"] == 1).to_numpy()
    diagnostic = np.isin(superclass_of.astype(str), SUPERCLASSES)
    statements, metadata = recordings.statements[chosen], recordings.metadata[chosen]
    certainty = least_certainty(statements, diagnostic)
    return {
        "metadata": metadata,
        "statements": statements,
        "superclass_of": superclass_of,
        "codes": table.index.to_numpy(),
        "certainty": certainty,
        "clear": clear_recordings(certainty, ours.targets, metadata["report"]),
        "data_sha256": recordings.fold_sha256,
    }


def list_mistakes(ours: NetworkPredictions, recordings: dict, count: int) -> list[dict]:
    """The most confident mistakes with all that is needed to look them up."""
    rows = []
    for row, column in confident_mistakes(ours, count):
        present = ~np.isnan(recordings["statements"][row])
        rows.append(
            {
                "ecg_id": int(ours.ecg_ids[row]),
                "label": [name for name, yes in zip(SUPERCLASSES, ours.targets[row], strict=True) if yes],
                "predicted": [name for name, yes in zip(SUPERCLASSES, ours.positive[row], strict=True) if yes],
                "wrong_about": SUPERCLASSES[column],
                "probabilities": {
                    name: round(float(p), 3) for name, p in zip(SUPERCLASSES, ours.calibrated[row], strict=True)
                },
                "statements": {
                    str(code): float(likelihood)
                    for code, likelihood in zip(
                        recordings["codes"][present], recordings["statements"][row][present], strict=True
                    )
                },
            }
        )
    return rows


# --------------------------------------------------------------------------- conclusions


def conclusions(content: dict) -> list[dict]:
    """Which of the four claims the numbers bear out; each verdict states the rule it follows."""
    found = []
    if "stability" in content:
        found.append(ensembles_claim(content))
        found.append(systematic_claim(content))
    if len(content["architectures"]["networks"]) > 1:
        found.append(saturation_claim(content))
    found.append(ambiguity_claim(content))
    return found


def ensembles_claim(content: dict) -> dict:
    accuracy = content["seeds"]["exact_match"]["ensemble_minus_single"]
    auroc = content["seeds"]["auroc"]["ensemble_minus_single"]
    single, pair = (content["stability"][key] for key in ("single_against_single", "pair_against_pair"))
    steadier, better = pair < single, accuracy["ci95"][0] > 0
    return {
        "claim": "Ensembles improve stability, not accuracy.",
        "verdict": "holds" if steadier and not better else "holds in part" if steadier else "does not hold",
        "rule": "holds if ensembles of two disagree less than single seeds and the exact-match accuracy of the "
        "ensemble of all is not significantly above that of a single seed",
        "numbers": f"Decisions differ in {single:.1%} between two seeds and in {pair:.1%} between two ensembles of "
        f"two. The ensemble gains {signed(accuracy)} exact match and {signed(auroc)} AUROC over the mean single seed.",
    }


def systematic_claim(content: dict) -> dict:
    shared, share = content["seed_errors"], content["squared_error"]["variance_share"]
    return {
        "claim": "Remaining errors are systematic, not variance.",
        "verdict": "holds" if shared["share_wrong_in_all"] >= 0.5 and share <= 0.25 else "does not hold",
        "rule": "holds if at least half of a seed's wrong decisions are wrong in every seed and the variance among "
        "seeds makes up at most a quarter of the squared error",
        "numbers": f"{shared['share_wrong_in_all']:.0%} of a seed's wrong decisions are wrong in all "
        f"{len(shared['networks'])} seeds (independent errors: {shared['share_by_chance']:.2%}); variance is "
        f"{share:.1%} of the squared error. {across_architectures(content)}",
    }


def across_architectures(content: dict) -> str:
    facts = content["architectures"]
    if len(facts["networks"]) < 2:
        return ""
    return (
        f"Across {len(facts['networks'])} architectures {facts['share_wrong_in_all']:.0%} of a network's wrong "
        f"decisions "
        "are wrong in all."
    )


def saturation_claim(content: dict) -> dict:
    facts = content["accuracy_and_auroc"]
    auroc, accuracy = facts["auroc_difference"], facts["exact_match_difference"]
    follows = accuracy["ci95"][0] > 0
    return {
        "claim": "Accuracy saturates while AUROC stays high.",
        "verdict": "does not hold" if follows else "holds" if auroc["ci95"][0] > 0 else "cannot be told",
        "rule": "holds if the network of highest AUROC beats the one of lowest AUROC significantly in AUROC but not in "
        "exact-match accuracy",
        "numbers": f"{facts['best']} against {facts['worst']}: {signed(auroc)} AUROC, {signed(accuracy)} exact match. "
        f"{facts['best']} has macro AUROC {content['figures'][facts['best']]['auroc']['value']:.3f} and all five "
        f"classes right in {content['figures'][facts['best']]['exact_match']['value']:.1%} of ECGs.",
    }


def ambiguity_claim(content: dict) -> dict:
    facts = content["clear_and_doubtful"]
    low = facts["difference"]["ci95"][0]
    explained = facts["explained_share"]["value"]
    verdict = "does not hold" if low <= 0 else "holds" if explained >= 0.5 else "holds in part"
    return {
        "claim": "Label ambiguity, disagreement of observers and borderline patterns set a ceiling.",
        "verdict": verdict,
        "rule": "holds if doubtful ECGs (several superclasses, a statement below 100 %, or a hedging report) are wrong "
        "significantly more often and at least half of all errors would vanish if they were judged as well as clear "
        "ones; "
        "in part if only the first is true. Doubtful ECGs are also harder for other reasons, so this is an upper bound",
        "numbers": f"Wrong about any class: {percent(facts['error_rate_doubtful'])} of {facts['n_doubtful']:,} "
        "doubtful ECGs, "
        f"{percent(facts['error_rate_clear'])} of {facts['n_clear']:,} clear ones; doubt explains at most "
        f"{percent(facts['explained_share'])} of the errors.",
    }


def signed(figure: dict) -> str:
    low, high = figure["ci95"]
    return f"{figure['value']:+.4f} ({low:+.4f} to {high:+.4f})"


def percent(figure: dict) -> str:
    low, high = figure["ci95"]
    return f"{figure['value']:.1%} ({low:.1%}–{high:.1%})"


# --------------------------------------------------------------------------- the report


def write_report(directory: Path, content: dict) -> None:
    """errors.md, errors.json and the figures of groups and agreement."""
    write_text(directory / "errors.json", json.dumps(content, indent=1) + "\n")
    with replacing(directory / "groups.png") as unfinished:
        draw_groups(content).savefig(unfinished, dpi=110)
    with replacing(directory / "agreement.png") as unfinished:
        draw_agreement(content).savefig(unfinished, dpi=110)
    sections = [
        introduction(content),
        conclusion_text(content),
        seeds_text(content),
        architectures_text(content),
        groups_text(content),
        likelihood_text(content),
        mistakes_text(content),
    ]
    write_text(directory / "errors.md", "\n\n".join(section for section in sections if section) + "\n")


def introduction(content: dict) -> str:
    lines = [
        "# Where the networks err",
        f"Written by `python analyse_errors.py` from `errors.json` beside it. Fold {content['fold']}, {content['n']:,} "
        "recordings with a superclass. Decisions are cross-fitted by patient; brackets are 95 % intervals, "
        "bootstrapped "
        "by patient. Groups overlap and many are looked at: single intervals that just exclude a value are not "
        "findings.",
        "Checkpoints: " + ", ".join(f"{name} `{digest[:12]}`" for name, digest in content["checkpoints"].items()) + ".",
    ]
    return "\n\n".join([*lines, *([SYNTHETIC_NOTICE] if content["synthetic"] else [])])


def conclusion_text(content: dict) -> str:
    lines = ["## Which claims hold"]
    for item in content["conclusions"]:
        lines.append(f"**{item['claim']}** *{item['verdict'].capitalize()}.* {item['numbers']} (Rule: {item['rule']}.)")
    return "\n\n".join(lines)


def seeds_text(content: dict) -> str:
    if "seeds" not in content:
        return ""
    count = len(content["seed_errors"]["networks"])
    lines = [
        "## Seeds and their ensemble",
        f"| figure | mean of {count} seeds | standard deviation | ensemble | ensemble minus single | p "
        f"|\n|---|---|---|---|---|---|",
    ]
    for key, row in content["seeds"].items():
        difference = row["ensemble_minus_single"]
        lines[-1] += (
            f"\n| {key.replace('_', ' ')} | {row['mean']:.4f} | {row['standard_deviation']:.4f} | "
            f"{metric_cell(row['ensemble'])} | "
            f"{signed(difference)} | {difference['p']:.3f} |"
        )
    shared, error = content["seed_errors"], content["squared_error"]
    lines.append(
        f"Of the wrong decisions of one seed, {shared['share_wrong_in_all']:.0%} are wrong in all {count}. The "
        f"squared error "
        f"of a seed's calibrated probabilities is {error['squared_error']:.4f}, of which "
        f"{error['variance_share']:.1%} is "
        "variance among seeds: the most an ensemble of very many could remove."
    )
    return "\n\n".join(lines)


def architectures_text(content: dict) -> str:
    facts = content["architectures"]
    if len(facts["networks"]) < 2:
        return ""
    counts = ", ".join(f"{n} {c:,}" for n, c in zip(facts["networks"], facts["wrong_decisions"], strict=True))
    return (
        "## Are the same ECGs wrong everywhere?\n\n"
        f"Wrong decisions out of {content['n'] * len(SUPERCLASSES):,}: {counts}; {facts['wrong_in_all']:,} are wrong "
        f"in all, "
        f"{facts['share_wrong_in_all']:.0%} of an average network's (independent errors: "
        f"{facts['share_by_chance']:.2%}).\n\n"
        "![Cohen's kappa between the errors of networks](agreement.png)"
    )


def groups_text(content: dict) -> str:
    lines = [
        "## Groups",
        "An ECG is wrong if any of its five classes is. AUROC, AUPRC and calibration error are means over the "
        "classes with "
        f"at least {SMALLEST_CLASS} positives and negatives in the group, so they compare groups only roughly "
        f"where classes are missing; groups under {SMALLEST_GROUP} recordings are not judged. The calibration "
        "error of a small group is inflated by chance: compare groups of like size.",
        "![Error rate by group](groups.png)",
        "| group | N | wrong | AUROC | AUPRC | ECE | classes |\n|---|---|---|---|---|---|---|",
    ]
    for name, groups in content["groups"].items():
        for label, facts in groups.items():
            if facts["too_small"]:
                cells = "too small to judge | | | | "
            else:
                classes = "all" if len(facts["classes"]) == len(SUPERCLASSES) else ", ".join(facts["classes"])
                figures = " | ".join(metric_cell(facts[key]) for key in ("auroc", "auprc", "ece"))
                cells = f"{percent(facts['error_rate'])} | {figures} | {classes}"
            lines[-1] += f"\n| {name}: {label} | {facts['n']:,} | {cells} |"
    return "\n\n".join(lines)


def likelihood_text(content: dict) -> str:
    text = "## Labels missed, by the likelihood PTB-XL gives them\n\n| likelihood | labels | missed |\n|---|---|---|"
    for band, facts in content["missed_by_likelihood"].items():
        missed = "too few to judge" if facts["too_small"] else percent(facts["missed"])
        text += f"\n| {band} | {facts['n']:,} | {missed} |"
    return text


def mistakes_text(content: dict) -> str:
    text = (
        "## The most confident mistakes\n\nProbabilities are calibrated; statements stand with their likelihood in % "
        "(0: none given). Drawings with what drove the answer: `mistakes/`.\n\n"
        "| ecg_id | annotated | predicted | wrong about | "
        + " | ".join(SUPERCLASSES)
        + " | statements |\n"
        + "|---" * (len(SUPERCLASSES) + 5)
        + "|"
    )
    for row in content["confident_mistakes"]:
        probabilities = " | ".join(f"{p:.2f}" for p in row["probabilities"].values())
        statements = ", ".join(f"{code} {likelihood:.0f}" for code, likelihood in row["statements"].items())
        text += (
            f"\n| {row['ecg_id']} | {', '.join(row['label'])} | {', '.join(row['predicted']) or 'none'} | "
            f"{row['wrong_about']} | {probabilities} | {statements} |"
        )
    return text


def write_private_reports(directory: Path, metadata: pd.DataFrame, content: dict) -> None:
    """The cardiologists' words on the listed mistakes, kept out of git."""
    chosen = metadata.loc[[row["ecg_id"] for row in content["confident_mistakes"]], ["age", "sex", "report"]]
    write_text(directory / "reports.csv", chosen.to_csv())


# --------------------------------------------------------------------------- figures


def draw_groups(content: dict) -> Figure:
    """Error rate of every group that can be judged, with its interval; the line is everybody's."""
    rows = [
        (f"{name}: {label} ({facts['n']:,})", facts["error_rate"])
        for name, groups in content["groups"].items()
        for label, facts in groups.items()
        if not facts["too_small"]
    ]
    figure = Figure(figsize=(7, 0.8 + 0.19 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for position, (_, rate) in enumerate(rows):
        low, high = rate["ci95"]
        axes.plot([low, high], [position, position], color=COLOURS[0], linewidth=1.2)
        axes.plot(rate["value"], position, "o", color=COLOURS[0], markersize=3.5)
    everyone = content["clear_and_doubtful"]["errors"] / content["n"]
    axes.axvline(everyone, color="0.6", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set(xlabel="share of ECGs with any class wrong", title="SYNTHETIC DATA" if content["synthetic"] else None)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_agreement(content: dict) -> Figure:
    """Cohen's kappa between the errors of every two networks: seeds among themselves, and architectures."""
    kappas = {**content["architectures"]["kappa"], **content.get("seed_errors", {}).get("kappa", {})}
    names = list(content["figures"])
    table = np.full((len(names), len(names)), np.nan)
    for pair, kappa in kappas.items():
        a, b = (names.index(name) for name in pair.split(" | "))
        table[a, b] = table[b, a] = kappa
    figure = Figure(figsize=(2.2 + 0.55 * len(names), 1.6 + 0.55 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1)
    for (row, column), kappa in np.ndenumerate(table):
        if np.isfinite(kappa):
            axes.text(column, row, f"{kappa:.2f}", ha="center", va="center", color="white" if kappa > 0.6 else "black")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_title("SYNTHETIC DATA" if content["synthetic"] else "Agreement of errors (kappa)", fontsize=10)
    return figure


def draw_mistakes(arguments, index, content: dict, ours: NetworkPredictions) -> None:
    """The most confident mistakes on ECG paper, shaded where the answer came from."""
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
        windows = (checkpoint.window_s, checkpoint.stride_s)
        why = explain(network, signal, checkpoint.classes, *windows, explained=(row["wrong_about"],))
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
    arguments = make_parser().parse_args(argv)
    try:
        content = analyse(arguments)
    except (DatasetError, CheckpointError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for item in content["conclusions"]:
        print(f"{item['verdict'].upper():15} {item['claim']} {item['numbers']}")
    print(f"written: {Path(arguments.out) / 'analysis' / 'errors.md'}")
    if content["synthetic"]:
        print(SYNTHETIC_NOTICE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
