"""The answer in words and in HTML: verdict, bars with thresholds, measurements, ranked leads.

Colours are Okabe and Ito's blue and greys that hold on light and dark; nothing is said by colour alone.
"""

from html import escape

from config import SUPERCLASS_NAMES
from ecg.intervals import Intervals
from inference.diagnoser import BinaryResult, Diagnosis

MEANINGS = {
    "NORM": "No abnormal statement applies. It does not rule out disease: an ECG can be normal between attacks.",
    "MI": "Signs of a heart attack, old or new: dead or dying muscle shows as Q waves, lost R waves or raised ST "
    "segments. The network does not say how old it is.",
    "STTC": "Changes of the ST segment or T wave, where the heart recovers between beats: lack of blood, drugs, "
    "electrolytes, or nothing specific.",
    "CD": "The electrical impulse is delayed or blocked on its way: bundle branch, fascicular or AV block. Shows as a "
    "wide QRS, an unusual axis or a long PR interval.",
    "HYP": "Thickened muscle or enlarged chambers, seen as tall waves. The ECG is a weak test of it, for people and "
    "for this network alike.",
}


def percent(probability: float) -> str:
    """A probability as people read it, never a certainty.

    >>> percent(0.994), percent(0.9999), percent(0.0003)
    ('99 %', '> 99 %', '< 1 %')
    """
    if probability < 0.01:
        return "< 1 %"
    return "> 99 %" if probability >= 0.995 else f"{100 * probability:.0f} %"


def headline(diagnosis: Diagnosis) -> str:
    """The predicted classes in words."""
    words = " + ".join(SUPERCLASS_NAMES[name] for name in diagnosis.predicted_classes)
    return (words[0].upper() + words[1:]) if words else "None of the five classes"


def screening(diagnosis: Diagnosis) -> dict[str, tuple[BinaryResult, str]]:
    """Both yes-or-no questions with their answers in words."""
    mi, abnormal = diagnosis.mi_vs_norm, diagnosis.norm_vs_abnormal
    return {
        "MI screening": (mi, "positive" if mi.positive else "negative"),
        "Normal or abnormal": (abnormal, "abnormal" if abnormal.positive else "normal"),
    }


def verdict_html(diagnosis: Diagnosis) -> str:
    """Headline, screening answers and whether to trust them."""
    chips = [
        f'<span class="chip"><b>{name}:</b> {words}, {percent(answer.probability)}'
        f"{' (close call)' if answer.uncertain else ''}</span>"
        for name, (answer, words) in screening(diagnosis).items()
    ]
    doubt = ""
    if diagnosis.uncertain:
        reasons = "; ".join(escape(reason) for reason in diagnosis.uncertain_because)
        doubt = f'<p class="doubt"><b>Uncertain.</b> {reasons[0].upper()}{reasons[1:]}.</p>'
    if diagnosis.mi_vs_norm.positive and "MI" not in diagnosis.predicted_classes:
        doubt += (
            "<p class='note'>MI screening only tells infarction from a normal ECG: other disease can look like "
            "infarction to it. Here the five-class answer does not find one.</p>"
        )
    return (
        '<section class="verdict" aria-label="Answer of the network"><p class="kicker">The network’s answer</p>'
        f"<h2>{headline(diagnosis)}</h2><div class='chips'>{''.join(chips)}</div>{doubt}</section>"
    )


def bar_row(name: str, words: str, probability: float, threshold: float) -> str:
    """One probability as a bar with its threshold marked."""
    yes = probability >= threshold
    return (
        f'<div class="bar-row {"yes" if yes else ""}" role="img" aria-label="{name}, {words}: '
        f'{percent(probability)}, threshold {percent(threshold)}, {"present" if yes else "absent"}">'
        f'<div class="bar-name"><b>{name}</b> {words}</div>'
        f'<div class="track"><div class="fill" style="width:{100 * probability:.1f}%"></div>'
        f'<div class="tick" style="left:{100 * threshold:.1f}%"></div></div>'
        f'<div class="bar-value">{percent(probability)} {"✓" if yes else ""}</div></div>'
    )


def bars_html(diagnosis: Diagnosis) -> str:
    """All five probabilities."""
    rows = [
        bar_row(name, SUPERCLASS_NAMES[name], probability, diagnosis.thresholds[name])
        for name, probability in diagnosis.probabilities.items()
    ]
    note = (
        '<p class="note">┃ threshold of the class &nbsp; ✓ reached. '
        "Classes are judged one by one: several may hold, or none.</p>"
    )
    return f'<div class="bars">{"".join(rows)}{note}</div>'


def measurements(found: Intervals) -> dict[str, tuple[str, str]]:
    """Name to value with unit, and why it is missing if it is."""
    units = {
        "heart_rate": ("Heart rate", "/min"),
        "pr": ("PR", " ms"),
        "qrs": ("QRS", " ms"),
        "qt": ("QT", " ms"),
        "qtc_bazett": ("QTc, Bazett", " ms"),
        "qtc_fridericia": ("QTc, Fridericia", " ms"),
        "p_axis": ("P axis", "°"),
        "qrs_axis": ("QRS axis", "°"),
    }
    values = {}
    for key, (name, unit) in units.items():
        value = getattr(found, key)
        values[name] = ("–", found.reasons.get(key, "")) if value is None else (f"{value:.0f}{unit}", "")
    return values


def measurements_html(found: Intervals) -> str:
    """Heart rate, intervals and axes as tiles; what could not be measured says why."""
    values = measurements(found)
    tiles = "".join(f"<div class='tile'><span>{name}</span><b>{value}</b></div>" for name, (value, _) in values.items())
    grouped = {}
    for name, (_, reason) in values.items():
        if reason:
            grouped.setdefault(reason, []).append(name)
    why = "; ".join(f"{', '.join(names)}: {escape(reason)}" for reason, names in grouped.items())
    return f"<div class='tiles'>{tiles}</div>" + (f"<p class='note'>Not measured – {why}.</p>" if why else "")


def leads_html(ranked: list[tuple[str, float]], shown: int = 6) -> str:
    """The leads that speak for a class, with their shares of the evidence."""
    if not ranked:
        return "<p class='note'>Nothing in the recording speaks for this class.</p>"
    largest = ranked[0][1]
    rows = [
        f'<div class="bar-row lead" role="img" aria-label="lead {lead}, {percent(share)} of the evidence">'
        f'<div class="bar-name"><b>{lead}</b></div><div class="track"><div class="fill reason" '
        f'style="width:{100 * share / largest:.1f}%"></div></div><div class="bar-value">{percent(share)}</div></div>'
        for lead, share in ranked[:shown]
    ]
    return f'<div class="bars">{"".join(rows)}</div>'
