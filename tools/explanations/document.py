"""docs/explanations.md from the content of artifacts/explanations.json."""

from config import LEADS, SYNTHETIC_NOTICE
from evaluation.bootstrap import BOOTSTRAP_DRAWS
from evaluation.tables import markdown_table, metric_cell
from inference.explain import METHODS
from tools.explanations.curves import ORDERS, PRESENT
from tools.explanations.figures import AGREEMENT_NAMES, CURVE_NAMES, ORDER_NAMES


def document(content: dict, figures: dict[str, str]) -> str:
    """The whole text. figures: links to the pictures, by the names of `figures.figure_paths`."""
    paragraphs = [
        "# What drove a prediction, and how far the picture can be trusted",
        *([SYNTHETIC_NOTICE] if content["synthetic"] else []),
        "Written by `python -m tools.measure_explanations` from `explanations.json`: checkpoint "
        f"`{content['checkpoint_sha256'][:12]}`, fold {content['fold']} `{content['data_sha256'][:12]}`, "
        f"{content['date']}.",
        METHOD_TEXT,
        "## Deletion and insertion",
        DELETION_TEXT,
        *curves_paragraphs(content),
        f"![Deletion and insertion curves]({figures['curves']})",
        "## Randomisation",
        RANDOMISATION_TEXT,
        f"Mean of {content['randomisation']['recordings']} recordings, one class each; Spearman's correlation over all "
        "cells:",
        randomisation_table(content),
        f"![Rank correlation as the network is randomised]({figures['randomisation']})",
        "## ST elevations of known place",
        ELEVATION_TEXT.format(time=content["known_answer"][0]["elevated_time"]),
        elevation_table(content),
        f"![Generated ECG with ST elevation in V2-V4, shaded]({figures['known_answer']})",
        "## Time",
        *time_paragraphs(content),
        "## What the maps can and cannot show",
        LIMITS_TEXT,
    ]
    return "\n\n".join(paragraphs) + "\n"


def curves_paragraphs(content: dict) -> list[str]:
    """Areas, differences between the methods, and probabilities without waves."""
    curves = content["curves"]
    flat = ", ".join(f"{name} {value:.2f}" for name, value in curves["isoelectric_probability"].items())
    return [
        f"{curves['answers']} predictions (probability of the class at least {PRESENT:g}) on {curves['recordings']} "
        f"random recordings of {curves['patients']} patients. Area under the curve of the probability, mean and 95 % "
        f"interval ({BOOTSTRAP_DRAWS} bootstrap resamples by patient). Deletion: lower is better. Insertion: higher is "
        "better.",
        curve_table(content),
        comparison(content),
        "Probabilities of the isoelectric lines alone, where deletion ends and insertion starts: "
        f"{flat}. A flat ECG is nothing the network was trained on. A class with a high probability here keeps part of "
        "it whatever is taken away, and no cell accounts for that part.",
    ]


def curve_table(content: dict) -> str:
    """The areas, a row an order."""
    area = content["curves"]["area"]
    rows = ([ORDER_NAMES[order], *(metric_cell(area[order][name]) for name in CURVE_NAMES)] for order in ORDERS)
    return markdown_table(["order of the cells", *CURVE_NAMES.values()], rows)


def comparison(content: dict) -> str:
    """How the default does against the other method, and why it is the default."""
    differences = content["curves"]["default_minus_other"]
    other = next(method for method in METHODS if method != content["default_method"])
    listed = "; ".join(f"{name} {metric_cell(differences[key])}" for key, name in CURVE_NAMES.items())
    equal = all(low <= 0 <= high for low, high in (difference["ci95"] for difference in differences.values()))
    verdict = (
        "Every interval includes zero, so these curves do not choose between them. The default is the one that is "
        "quicker for a single class and whose cells add up to the prediction."
        if equal
        else "Where an interval excludes zero, the methods differ."
    )
    return (
        f"The same predictions, {ORDER_NAMES[content['default_method']]} (the default) minus {ORDER_NAMES[other]}: "
        f"{listed}. {verdict}"
    )


def randomisation_table(content: dict) -> str:
    """Agreements, a row a stage."""
    found, rows = content["randomisation"]["agreement"], []
    for stage in found[content["default_method"]]:
        name = "size of the waves, no network" if stage == "amplitude" else f"random from the logits down to `{stage}`"
        cells = (f"{found[method][stage][kind]:.2f}" for method in METHODS for kind in AGREEMENT_NAMES)
        rows.append([name, *cells])
    heads = (f"{ORDER_NAMES[method]}: {kind}" for method in METHODS for kind in AGREEMENT_NAMES.values())
    return markdown_table(["trained map against", *heads], rows)


def elevation_table(content: dict) -> str:
    """ST elevations, a row a condition and method."""
    rows = []
    for row in content["known_answer"]:
        for method in METHODS:
            found = row["methods"][method]
            rows.append(
                [
                    f"{row['millivolts']:g} mV in {', '.join(row['leads'])}",
                    f"{row['probability']:.2f}",
                    ORDER_NAMES[method],
                    f"{found['lead_share']:.2f}",
                    f"{len(row['leads']) / len(LEADS):.2f}",
                    f"{found['top_lead']}/{row['cases']}",
                    f"{found['all_first']}/{row['cases']}",
                    f"{found['time_share']:.2f}",
                ]
            )
    header = ("elevation", "MI", "method", "in its leads", "chance", "first lead right", "all first", "at its times")
    return markdown_table(header, rows)


def time_paragraphs(content: dict) -> list[str]:
    """Median milliseconds, a row a method."""
    timing = content["time"]
    machine = timing["machine"]
    rows = (
        [
            ORDER_NAMES[method],
            *(
                f"{timing['median'][method][label][kind]:,}"
                for label in ("one_class", "all_classes")
                for kind in ("wall_ms", "cpu_ms")
            ),
        ]
        for method in METHODS
    )
    return [
        f"Median of {timing['recordings']} recordings of 10 s; {machine['threads']} thread(s) on "
        f"{machine['processor']}, {timing['cores']} cores, load average {timing['load_average']:g}:",
        markdown_table(
            ("method", "one class: clock, ms", "processor, ms", "all classes: clock, ms", "processor, ms"), rows
        ),
    ]


METHOD_TEXT = """\
`inference/explain.py` explains the log odds of the probability averaged over the overlapping windows of the whole
recording, which is what the product reports. It cuts the recording into cells of one lead and 0.1 s and says for each
how much it speaks for a class. *Integrated gradients* sum gradients on the way from an ECG without waves to the
recording; *occlusion* takes one cell away and predicts again.

Both need a baseline, something that stands for "nothing there". Zeros are not that: a lead with an offset or baseline
wander would get a step, which is a wave of its own. A straight line between the ends of the cell is not that either:
across a raised ST segment it is raised too, and nothing has been taken away. Here it is the lead's isoelectric line, a
running median over 1 s: the waves go, offset and wander stay, and 20 ms of blending on either side leave no step."""

DELETION_TEXT = """\
Take the cells away, most important first: if the order is right, the probability falls fast. Put them into an ECG
without waves: it rises fast. They are compared with a random order and with the largest waves first, which needs no
network. Occlusion and integrated gradients are built on the isoelectric line, as are the first two columns; the third
takes cells away in a way neither method knows."""

RANDOMISATION_TEXT = """\
A map that stays the same when the network's weights are replaced by random ones shows the recording, not the network
(Adebayo et al. 2018). From the logits down to the input, part after part is set back to random initial weights. Maps
with their signs should lose all correlation. Without signs, and among the strongest twentieth of the cells, which is
what the eye sees (0.05 in common is chance), something remains whatever the network, because no network finds much in a
flat stretch. The last row compares the trained map with the size of the waves: this much agreement needs no network at
all. That waves are shaded and flat stretches are not shows nothing; which waves in which leads does. The second half of
that paper, networks trained on permuted labels, was not repeated."""

ELEVATION_TEXT = """\
Healthy generated ECGs in which only the ST segment was raised, at some electrodes, so that Einthoven's equations hold.
What speaks for MI must then lie in the leads of those electrodes. Several territories, because a map that always shades
V2-V4 would pass with one; the rows of 0 mV show what the leads get without an elevation. *MI* is the mean probability,
*in its leads* the share of all evidence in the leads of the elevation (chance: their share of twelve), *at its times*
the share of those leads' evidence at the times of the elevation, which take up {time:.0%} of the recording. *First lead
right* and *all first* count recordings in which the ranking begins with one of the leads and with all of them.

Only chest electrodes keep an elevation to themselves. Raising the left leg's, for II, III and aVF, also lowers aVR and
aVL by a half and every chest lead by a third, so evidence in those leads is not wrong, and the inferior rows are no
strict test. Where the probability stays low, the network does not take the elevation for an infarction (healthy young
men have 0.2 mV in V2-V3), and a map cannot show reasons for a class that was not predicted."""

LIMITS_TEXT = """\
- They show what moved *this network's* prediction. They are no proof of the diagnosis, and a right prediction can have
  a wrong reason. A reader who finds the shaded stretch normal has learned something about the network.
- A cell is 0.1 s, and where a QRS complex lies across two cells its share is divided by chance. P, QRS, ST and T are
  not told apart.
- Leads depend on one another: III, aVR, aVL and aVF follow from I and II. The network may read a finding from any of
  them, so a lead low in the ranking may show the same finding.
- Beats repeat. One beat among ten is rarely decisive, so the shading may pick some beats of many equal ones. A rhythm,
  an interval or a missing wave has no place of its own: what is absent cannot be shaded.
- Everything is relative to the isoelectric line, not to a normal ECG. Normal waves have importance too, and what speaks
  for NORM is spread over all beats.
- In a fast rhythm the running median is drawn towards the T wave, and a little of it counts as baseline.
- The two methods ask different questions and can disagree on a recording. Where the reason matters, look at both.
- Only evidence *for* a class is shaded and ranked; `Explanation.importance` has the evidence against it too.
- Calibration comes after the log odds explained here. It is monotone, so it changes no order."""
