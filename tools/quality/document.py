"""docs/quality.md from the content of artifacts/quality.json."""

from evaluation.tables import markdown_table
from tools.quality.annotations import ANNOTATIONS, FALSE_ALARMS, SWAP_FALSE_ALARMS
from tools.quality.intervals import COMPARED, SYNTHETIC_PATIENTS


def document(content: dict) -> str:
    """The whole text."""
    sections = (introduction, annotations_section, flags_section, swaps_section, defects_section, intervals_section)
    return "\n\n".join(paragraph for section in sections for paragraph in section(content)) + "\n"


def percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"


def decimals(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def introduction(content: dict) -> list[str]:
    counts = content["recordings"]
    return [
        "# Can the recording be trusted?",
        "Written by `python -m tools.measure_quality`, from real PTB-XL recordings at 100 Hz unless a line says "
        f"otherwise. {counts['folds_1_8']:,} recordings of folds 1–8 chose the limits; the numbers are of the "
        f"{counts['fold_9']:,} recordings of fold 9. {content['date']}; all numbers and the hashes of the folds are in "
        "`artifacts/quality.json`.",
    ]


def annotations_section(content: dict) -> list[str]:
    clean, problems = content["not_annotated"], content["flag_rates"]["electrodes_problems"]
    chosen = ", ".join(f"{name} {value:.3g}" for name, value in content["chosen_limits"].items())
    single = (
        [row["check"], f"`{row['annotation']}`", row["n"], percent(row["share"])] for row in content["right_lead"]
    )
    every = (
        [name, *(decimals(row[note]) for note in ANNOTATIONS)] for name, row in content["all_aurocs_fold_9"].items()
    )
    return [
        "## Against PTB-XL's annotations",
        "A recording counts as annotated if the column says anything, and its score is that of its worst lead. It is "
        f"compared with the recordings with none of the four noise annotations ({clean['fold_9']:,} in fold 9; for "
        "`pacemaker`, with those without that annotation). The annotations are one reader's remarks, neither complete "
        "nor graded. Many recordings without one have as much drift or noise, which limits every AUROC here and counts "
        "as false alarms. Folds 1–8 in brackets. Detached electrodes are rare even among `electrodes_problems`, most "
        f"of which have drift or noise; over all nine folds {percent(problems['any'])} of those have some flag.",
        markdown_table(
            ("check", "annotation", "N", "AUROC", "limit", "false alarms", "sensitivity"), annotation_rows(content)
        ),
        f"Limits of graded checks are those that {100 * FALSE_ALARMS:g} % of folds 1–8 without annotation exceed, "
        f"rounded ({100 * SWAP_FALSE_ALARMS:g} % for swapped electrodes): {chosen}. The others follow from what they "
        "mean.",
        "AUROC on fold 9 of every check for every annotation:",
        markdown_table(("check", *(f"`{name}`" for name in ANNOTATIONS)), every),
        "Where an annotation names a single lead (folds 1–9), how often that lead is the worst of the twelve "
        "(8.3 % by chance):",
        markdown_table(("check", "annotation", "N", "right lead"), single),
    ]


def annotation_rows(content: dict) -> list[list]:
    rows = []
    for row in content["validated"]:
        nine, eight = row["fold_9"], row["folds_1_8"]
        rows.append(
            [
                row["check"],
                f"`{row['annotation']}`",
                f"{nine['annotated']:,} ({eight['annotated']:,})",
                f"{decimals(nine['auroc'])} ({decimals(eight['auroc'])})",
                f"{row['limit']:g} {row['unit']}",
                percent(nine["false_alarms"]),
                f"{percent(nine['sensitivity'])} ({percent(eight['sensitivity'])})",
            ]
        )
    return rows


def flags_section(content: dict) -> list[str]:
    clean, annotated = content["flag_rates"]["fold_9_not_annotated"], content["flag_rates"]["fold_9_annotated"]
    rows = ([name, percent(clean[name]), percent(annotated[name])] for name in clean if clean[name] or annotated[name])
    return [
        "## How often is a recording flagged?",
        markdown_table(("flag", "fold 9, not annotated", "fold 9, annotated"), rows),
        'Flags that never came up are left out; "any" leaves out the note on pacemakers.',
    ]


def swaps_section(content: dict) -> list[str]:
    unchanged, suspected = content["flag_rates"]["fold_9_not_annotated"], content["suspected_swaps"]
    rows = ([name, percent(row["flagged"]), percent(row["named"])] for name, row in content["swaps"].items())
    return [
        "## Swapped electrodes",
        f"{content['n_drawn']} recordings of fold 9 without annotation, swapped by algebra of their leads, which is "
        f"exact. Unchanged, {percent(unchanged['electrodes swapped'])} of all {content['not_annotated']['fold_9']:,} "
        "are flagged. Some of these may be real swaps: PTB-XL has no list of them. Reports or annotations suspect a "
        f"swap, unconfirmed, in {suspected['n']} recordings of folds 1–9, of which {suspected['flagged']} are flagged. "
        "For the right leg the algebra takes both legs for one potential, so the lead is emptier than in life and the "
        f"sensitivity is an upper bound; unchanged, {percent(unchanged['right leg swapped'])} are flagged. A swap of "
        "the two legs cannot be seen.",
        markdown_table(("swap", "flagged", "flagged and named"), rows),
    ]


def defects_section(content: dict) -> list[str]:
    rows = (
        [name, row["flag"], percent(row["flagged"]), percent(row["untouched"])]
        for name, row in content["defects"].items()
    )
    ratios = "; ".join(
        f"{name} {low:.2f}, {middle:.2f}, {high:.2f}" for name, (low, middle, high) in content["between_rates"].items()
    )
    return [
        "## Defects made in real recordings",
        f"In the {content['recordings']['at_500_hz']} recordings of folds 1–9 that are here at 500 Hz; mains hum can "
        "only be found there.",
        markdown_table(("defect", "flag", "flagged", "flagged untouched"), rows),
        "The same recordings at 500 and at 100 Hz, ratio of each value in all leads (5 %, median, 95 %): "
        f"{ratios}. So limits chosen at 100 Hz hold at 500 Hz.",
    ]


def intervals_section(content: dict) -> list[str]:
    diagnoses, xqrs, pr = content["diagnoses"], content["xqrs"], content["synthetic"]["500"]["pr"]
    rows = (
        [name, row["n"], f"{row['median']:.0f}", row["n_others"], f"{row['median_others']:.0f}", decimals(row["auroc"])]
        for name, row in diagnoses.items()
        if " in " in name
    )
    withheld = ", ".join(f"{name} {percent(share)}" for name, share in diagnoses["withheld"].items())
    return [
        "## Heart rate and intervals",
        f"Heart rate of `assess` beside that of wfdb's XQRS in lead II, in {xqrs['n']} recordings of fold 9 (either "
        f"found too few beats in {xqrs['either_without']} more): median difference {xqrs['median']:.2f} beats/min, "
        f"within 5 beats/min in {percent(xqrs['within_5'])}.",
        f"Errors of `measure_intervals` on {SYNTHETIC_PATIENTS} SYNTHETIC recordings of the project's generator, whose "
        "intervals are known; they say nothing about accuracy on people. The generator's waves end softly, and no "
        "delineator sees their very end:",
        markdown_table(
            ("Hz", "value", "N", "withheld", "median error", "median size of error", "90 % within"),
            interval_rows(content),
        ),
        f"Without P waves (synthetic, 500 Hz): a PR interval was given in {pr['given_without_p']} of "
        f"{pr['without_p']}.",
        "Real recordings of fold 9, those with a diagnosis that an interval defines beside "
        f"{diagnoses['n_others']} drawn at random without it:",
        markdown_table(("interval in diagnosis", "N", "median, ms", "others: N", "others: median, ms", "AUROC"), rows),
        f"Withheld as unreliable in the others: {withheld}; PR in atrial fibrillation (N = {diagnoses['n_afib']}): "
        f"{percent(diagnoses['withheld_pr_afib'])}.",
        f"Processor time for 10 s of twelve leads at 500 Hz: `assess` {content['processor_ms']['assess']:.1f} ms, "
        f"`measure_intervals` {content['processor_ms']['intervals']:.0f} ms.",
    ]


def interval_rows(content: dict) -> list[list]:
    return [
        [
            rate,
            f"{name} ({COMPARED[name]})",
            row["n"],
            row["withheld"],
            f"{row['median_error']:+.1f}",
            f"{row['median_absolute_error']:.1f}",
            f"{row['within_90_percent']:.1f}",
        ]
        for rate, by_name in content["synthetic"].items()
        for name, row in by_name.items()
    ]
