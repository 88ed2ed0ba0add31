"""The Markdown report of `tools.analyse_errors`, written from the content of errors.json."""

from config import SUPERCLASSES, SYNTHETIC_NOTICE
from evaluation.error_analysis import EXACT_MATCH_MARGIN, SMALLEST_CLASS, SMALLEST_GROUP
from evaluation.tables import difference_cell, markdown_table, metric_cell, percent_cell


def error_report(content: dict) -> str:
    """The whole of errors.md."""
    sections = [
        introduction(content),
        claims_section(content),
        seeds_section(content),
        architectures_section(content),
        groups_section(content),
        likelihood_section(content),
        mistakes_section(content),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def introduction(content: dict) -> str:
    paragraphs = [
        "# Where the networks err",
        f"Written by `python -m tools.analyse_errors` from `errors.json` beside it. Fold {content['fold']}, "
        f"{content['n']:,} recordings with a superclass. Decisions are cross-fitted by patient; brackets are 95 % "
        "intervals, bootstrapped by patient. Groups overlap and many are looked at: single intervals that just exclude "
        "a value are not findings.",
        "Checkpoints: " + ", ".join(f"{name} `{digest[:12]}`" for name, digest in content["checkpoints"].items()) + ".",
    ]
    return "\n\n".join([*paragraphs, *([SYNTHETIC_NOTICE] if content["synthetic"] else [])])


def claims_section(content: dict) -> str:
    paragraphs = [
        "## Which claims hold",
        f"A difference under {EXACT_MATCH_MARGIN:g} in exact match, one ECG in a hundred, counts as none: two seeds of "
        "the same network differ by as much. That there is none is concluded only if the 90 % interval of the "
        "difference excludes larger ones (two one-sided tests), not from a lack of significance.",
    ]
    for item in content["conclusions"]:
        verdict = item["verdict"].capitalize()
        paragraphs.append(f"**{item['claim']}** *{verdict}.* {item['numbers']} (Rule: {item['rule']}.)")
    return "\n\n".join(paragraphs)


def seeds_section(content: dict) -> str:
    if "seeds" not in content:
        return ""
    shared, error = content["seed_errors"], content["squared_error"]
    count = len(shared["networks"])
    rows = [
        [
            key.replace("_", " "),
            f"{row['mean']:.4f}",
            f"{row['standard_deviation']:.4f}",
            metric_cell(row["ensemble"]),
            difference_cell(row["ensemble_minus_single"]),
            f"{row['ensemble_minus_single']['p']:.3f}",
        ]
        for key, row in content["seeds"].items()
    ]
    header = ["metric", f"mean of {count} seeds", "standard deviation", "ensemble", "ensemble minus single", "p"]
    return (
        f"## Seeds and their ensemble\n\n{markdown_table(header, rows)}\n\n"
        f"Of the wrong decisions of one seed, {shared['share_wrong_in_all']:.0%} are wrong in all {count}. The squared "
        f"error of a seed's calibrated probabilities is {error['squared_error']:.4f}, of which "
        f"{error['variance_share']:.1%} is variance among seeds: the most an ensemble of very many could remove."
    )


def architectures_section(content: dict) -> str:
    facts = content["architectures"]
    if len(facts["networks"]) < 2:
        return ""
    counts = ", ".join(f"{n} {c:,}" for n, c in zip(facts["networks"], facts["wrong_decisions"], strict=True))
    return (
        "## Are the same ECGs wrong everywhere?\n\n"
        f"Wrong decisions out of {content['n'] * len(SUPERCLASSES):,}: {counts}; {facts['wrong_in_all']:,} are wrong "
        f"in all, {facts['share_wrong_in_all']:.0%} of an average network's (independent errors: "
        f"{facts['share_by_chance']:.2%}).\n\n![Cohen's kappa between the errors of networks](agreement.png)"
    )


def groups_section(content: dict) -> str:
    rows = [
        [f"{name}: {label}", f"{facts['n']:,}", *_group_cells(facts)]
        for name, groups in content["groups"].items()
        for label, facts in groups.items()
    ]
    return (
        "## Groups\n\nAn ECG is wrong if any of its five classes is. AUROC, AUPRC and calibration error are means over "
        f"the classes with at least {SMALLEST_CLASS} positives and negatives in the group, so they compare groups only "
        f"roughly where classes are missing; of groups under {SMALLEST_GROUP} recordings nothing is said. The "
        "calibration error of a small group is inflated by chance: compare groups of like size.\n\n"
        "![Error rate by group](groups.png)\n\n"
        + markdown_table(["group", "N", "wrong", "AUROC", "AUPRC", "ECE", "classes"], rows)
    )


def _group_cells(facts: dict) -> list[str]:
    if facts["too_small"]:
        return ["too few ECGs", "", "", "", ""]
    classes = "all" if len(facts["classes"]) == len(SUPERCLASSES) else ", ".join(facts["classes"])
    return [percent_cell(facts["error_rate"]), *(metric_cell(facts[key]) for key in ("auroc", "auprc", "ece")), classes]


def likelihood_section(content: dict) -> str:
    rows = [
        [band, f"{facts['n']:,}", "too few labels" if facts["too_small"] else percent_cell(facts["missed"])]
        for band, facts in content["missed_by_likelihood"].items()
    ]
    return "## Labels missed, by the likelihood PTB-XL gives them\n\n" + markdown_table(
        ["likelihood", "labels", "missed"], rows
    )


def mistakes_section(content: dict) -> str:
    rows = [
        [
            row["ecg_id"],
            ", ".join(row["label"]),
            ", ".join(row["predicted"]) or "none",
            row["wrong_about"],
            *(f"{p:.2f}" for p in row["probabilities"].values()),
            ", ".join(f"{code} {likelihood:.0f}" for code, likelihood in row["statements"].items()),
        ]
        for row in content["confident_mistakes"]
    ]
    return (
        "## The most confident mistakes\n\nProbabilities are calibrated; statements stand with their likelihood in % "
        "(0: none given). Drawings with what spoke for the class in question: `mistakes/`.\n\n"
        + markdown_table(["ecg_id", "annotated", "predicted", "wrong about", *SUPERCLASSES, "statements"], rows)
    )
