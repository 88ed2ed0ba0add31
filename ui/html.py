"""Pieces of the page in HTML: heading, prediction, probabilities with thresholds, intervals, ranked leads.

Colours are Okabe and Ito's blue and greys that work on light and dark; nothing is shown by colour alone.
"""

from collections.abc import Mapping, Sequence
from html import escape

from config import SUPERCLASS_NAMES
from ecg.intervals import Intervals
from inference.diagnoser import BinaryResult, Diagnosis
from ui.sources import DisplayedECG

MEANINGS = {
    "NORM": "No abnormal statement applies. This does not rule out disease: an ECG can be normal between attacks.",
    "MI": "Signs of a heart attack, old or new: dead or dying muscle shows as Q waves, lost R waves or raised ST "
    "segments. The network does not say how old it is.",
    "STTC": "Changes of the ST segment or T wave, where the heart recovers between beats. Causes include ischaemia, "
    "drugs and electrolytes; some changes are non-specific.",
    "CD": "The electrical impulse is delayed or blocked: bundle branch, fascicular or AV block. It shows as a wide "
    "QRS, an unusual axis or a long PR interval.",
    "HYP": "Thickened muscle or enlarged chambers, seen as tall waves. The ECG is a weak test for it, for people and "
    "for this network.",
}


def percent(probability: float) -> str:
    """A probability in percent, never shown as certain.

    >>> percent(0.994), percent(0.9999), percent(0.0003)
    ('99 %', '> 99 %', '< 1 %')
    """
    if probability < 0.01:
        return "< 1 %"
    return "> 99 %" if probability >= 0.995 else f"{100 * probability:.0f} %"


def heading_html(ecg: DisplayedECG) -> str:
    """Whose ECG this is."""
    facts = [ecg.patient or "age and sex unknown", f"{ecg.recording.duration:.0f} s", ecg.notice]
    details = " · ".join(escape(fact) for fact in facts if fact)
    return f'<div class="ecg-heading"><b>{escape(ecg.title)}</b><span>{details}</span></div>'


def headline(diagnosis: Diagnosis) -> str:
    """The predicted classes in plain text."""
    names = " + ".join(SUPERCLASS_NAMES[name] for name in diagnosis.predicted_classes)
    return (names[0].upper() + names[1:]) if names else "None of the five classes"


def screening(diagnosis: Diagnosis) -> dict[str, tuple[BinaryResult, str]]:
    """Both binary tasks by name, each with its result and that result in plain text."""
    mi, abnormal = diagnosis.mi_vs_norm, diagnosis.norm_vs_abnormal
    outcomes = {"MI screening": (mi, "positive", "negative"), "Normal or abnormal": (abnormal, "abnormal", "normal")}
    return {
        name: (
            result,
            f"withheld ({result.withheld_because})" if result.withheld_because else yes if result.positive else no,
        )
        for name, (result, yes, no) in outcomes.items()
    }


def prediction_html(diagnosis: Diagnosis) -> str:
    """Predicted classes, both screening results, and why the prediction is uncertain if it is."""
    chips = [
        f'<span class="chip"><b>{name}:</b> {outcome}, {percent(result.probability)}'
        f"{' (borderline)' if result.uncertain else ''}</span>"
        for name, (result, outcome) in screening(diagnosis).items()
    ]
    notes = ""
    if diagnosis.uncertain:
        reasons = "; ".join(escape(reason) for reason in diagnosis.uncertain_because)
        notes = f'<p class="uncertain"><b>Uncertain.</b> {reasons[0].upper()}{reasons[1:]}.</p>'
    if diagnosis.mi_vs_norm.positive and "MI" not in diagnosis.predicted_classes:
        notes += (
            "<p class='note'>MI screening only separates infarction from a normal ECG, so other diseases can make it "
            "positive. The five-class prediction does not find an infarction here.</p>"
        )
    return (
        '<section class="prediction" aria-label="Prediction"><p class="kicker">Prediction</p>'
        f"<h2>{headline(diagnosis)}</h2><div class='chips'>{''.join(chips)}</div>{notes}</section>"
    )


def probability_row_html(name: str, title: str, probability: float, threshold: float) -> str:
    """One probability as a bar with its threshold marked."""
    yes = probability >= threshold
    return (
        f'<div class="bar-row {"yes" if yes else ""}" role="img" aria-label="{name}, {title}: '
        f'{percent(probability)}, threshold {percent(threshold)}, {"present" if yes else "absent"}">'
        f'<div class="bar-name"><b>{name}</b> {title}</div>'
        f'<div class="track"><div class="fill" style="width:{100 * probability:.1f}%"></div>'
        f'<div class="tick" style="left:{100 * threshold:.1f}%"></div></div>'
        f'<div class="bar-value">{percent(probability)} {"✓" if yes else ""}</div></div>'
    )


def probabilities_html(diagnosis: Diagnosis) -> str:
    """All five probabilities."""
    rows = [
        probability_row_html(name, SUPERCLASS_NAMES[name], probability, diagnosis.thresholds[name])
        for name, probability in diagnosis.probabilities.items()
    ]
    note = '<p class="note">┃ threshold &nbsp; ✓ threshold reached. Several classes may be present, or none.</p>'
    return f'<div class="bars">{"".join(rows)}{note}</div>'


def measurements(intervals: Intervals) -> dict[str, tuple[str, str]]:
    """Name to value with unit, and the reason where there is no value."""
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
        value = getattr(intervals, key)
        values[name] = ("–", intervals.reasons.get(key, "")) if value is None else (f"{value:.0f}{unit}", "")
    return values


def tiles_html(values: Mapping[str, str]) -> str:
    tiles = "".join(f"<div class='tile'><span>{name}</span><b>{value}</b></div>" for name, value in values.items())
    return f"<div class='tiles'>{tiles}</div>"


def caliper_html(milliseconds: float, millivolts: float) -> str:
    """What the caliper measures, and the heart rate if its width is one heartbeat."""
    values = {
        "Caliper, time": f"{milliseconds:.0f} ms",
        "Caliper, voltage": f"{millivolts:.2f} mV",
        "Rate, if one beat": f"{60_000 / milliseconds:.0f}/min" if milliseconds else "–",
    }
    return f"<div role='status'>{tiles_html(values)}</div>"  # a screen reader announces changes


def measurements_html(intervals: Intervals) -> str:
    """Heart rate, intervals and axes as tiles, with the reason where one could not be measured."""
    values = measurements(intervals)
    grouped = {}
    for name, (_, reason) in values.items():
        if reason:
            grouped.setdefault(reason, []).append(name)
    why = "; ".join(f"{', '.join(names)}: {escape(reason)}" for reason, names in grouped.items())
    tiles = tiles_html({name: value for name, (value, _) in values.items()})
    return tiles + (f"<p class='note'>Not measured – {why}.</p>" if why else "")


def leads_html(lead_shares: Sequence[tuple[str, float]]) -> str:
    """The six leads with the most evidence for a class, and their shares of it, largest first."""
    if not lead_shares:
        return "<p class='note'>No lead has evidence for this class.</p>"
    largest = lead_shares[0][1]
    rows = [
        f'<div class="bar-row lead" role="img" aria-label="lead {lead}, {percent(share)} of the evidence">'
        f'<div class="bar-name"><b>{lead}</b></div><div class="track"><div class="fill evidence" '
        f'style="width:{100 * share / largest:.1f}%"></div></div><div class="bar-value">{percent(share)}</div></div>'
        for lead, share in lead_shares[:6]
    ]
    return f'<div class="bars">{"".join(rows)}</div>'
