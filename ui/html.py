"""Pieces of the page in HTML: heading, prediction, probabilities with thresholds, intervals, ranked leads.

Colours are Okabe and Ito's blue and greys that work on light and dark; nothing is shown by colour alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from config import SUPERCLASS_NAMES
from ecg.intervals import Intervals
from ecg.rr_intervals import RRIntervals
from ecg.statements import BY_CODE, STATEMENTS
from inference.diagnosis import BinaryResult, Diagnosis
from inference.lead_sets import leads_phrase
from inference.sentences import NOT_ASSESSABLE, NOT_FROM_THESE_LEADS
from inference.summary import POSSIBLE, StatementResult
from ui.sources import DisplayedECG

MEANINGS = {
    "NORM": "The ECG is called normal. This does not rule out disease: an ECG can be normal between attacks, and a "
    "normal class says nothing of the rhythm.",
    "MI": "Signs of a heart attack. The network does not say how old it is.",
    "STTC": "Not every change of the ST segment or T wave, but the statements below. PTB-XL counts ST depression, ST "
    "elevation and inverted T waves that are only described, without a diagnosis, to no class.",
    "CD": "The electrical impulse is delayed or blocked, or takes another way.",
    "HYP": "Thickened muscle or enlarged chambers. The ECG is a weak test for it, for people and for this network.",
}

LONG_HEADLINE = 90  # characters, more than two lines on a desktop


def percent(probability: float) -> str:
    """A probability in percent, never shown as certain.

    >>> percent(0.994), percent(0.9999), percent(0.0003)
    ('99 %', '> 99 %', '< 1 %')
    """
    if probability < 0.01:
        return "< 1 %"
    return "> 99 %" if probability >= 0.995 else f"{100 * probability:.0f} %"


def meaning(name: str) -> str:
    """What a class means, and which statements of PTB-XL are its own."""
    statements = "; ".join(statement.name for statement in STATEMENTS if statement.superclass == name)
    return f"{MEANINGS[name]} Statements: {statements}."


def heading_html(ecg: DisplayedECG) -> str:
    """Whose ECG this is, how long, and at which sampling rate."""
    rate = f"{ecg.recording.sampling_rate:g} Hz"
    if ecg.finer:
        rate = f"drawn at {ecg.finer.sampling_rate:g} Hz, diagnosed at {rate}"
    present = ecg.recording.present
    leads = "" if present.all() else sentence(leads_phrase(present)).rstrip(".")
    length = f"{ecg.recording.duration:.0f} s"
    facts = [ecg.patient or "age and sex unknown", ecg.recorded, leads, length, rate, ecg.notice]
    details = " · ".join(escape(fact) for fact in facts if fact)
    return f'<div class="ecg-heading"><b>{escape(ecg.title)}</b><span>{details}</span></div>'


def unusable_because(diagnosis: Diagnosis) -> tuple[str, ...]:
    """What makes a recording unusable, one sentence each; empty if it is not."""
    flags = () if diagnosis.quality is None else diagnosis.quality.flags
    return tuple(flag.sentence for flag in flags if flag.severity == "unusable")


def headline(diagnosis: Diagnosis) -> str:
    """The prediction in plain text: a summary, rhythm first, or the classes if the network has no statements."""
    if unusable_because(diagnosis):
        return "No diagnosis: recording unusable"
    if diagnosis.statements or diagnosis.lead_set is None:
        return " ".join(map(sentence, diagnosis.headline))
    names = " + ".join(SUPERCLASS_NAMES[name] for name in diagnosis.predicted_classes)
    return (names[0].upper() + names[1:]) if names else "None of the five classes"


def headline_html(diagnosis: Diagnosis) -> str:
    """The headline as a heading; what is only possible is set apart."""
    text = headline(diagnosis)
    size = ' class="long"' if len(text) > LONG_HEADLINE else ""
    if unusable_because(diagnosis) or not diagnosis.statements:
        return f"<h2{size}>{escape(text)}</h2>"
    phrases = [(phrase.startswith(POSSIBLE), escape(sentence(phrase))) for phrase in diagnosis.headline]
    said = " ".join(f'<span class="possible">{one}</span>' if possible else one for possible, one in phrases)
    return f"<h2{size}>{said}</h2>"


def likeliest_first(statements: Iterable[StatementResult]) -> list[StatementResult]:
    return sorted(statements, key=lambda one: -one.probability)


def asserted_statements(diagnosis: Diagnosis) -> list[StatementResult]:
    """What is said of the recording, the likeliest statement first."""
    return likeliest_first(one for one in diagnosis.statements if one.asserted)


def not_assessed(diagnosis: Diagnosis) -> tuple[str, tuple[str, ...]]:
    """What the prediction leaves open, as a title and sentences; no sentences if there is nothing."""
    rhythm = diagnosis.rhythm
    left_open = tuple(note for note in diagnosis.not_assessed if not note.startswith(NOT_ASSESSABLE))
    if rhythm is None:
        return "Not assessed", left_open
    notes = tuple(note for note in left_open if note.rstrip(".") != rhythm.sentence)
    if rhythm.certain:
        return "Rhythm", notes
    if rhythm.code:
        why = f"{BY_CODE[rhythm.code].name} is likeliest, but not validated"
    else:
        why = "No rhythm reaches its threshold" if diagnosis.lead_set else "No thresholds were fitted for these leads"
    return "Rhythm not asserted", (why, *notes)


def not_assessable(diagnosis: Diagnosis) -> str:
    """What the leads do not show, as one sentence; empty with all twelve leads."""
    return " ".join(note for note in diagnosis.not_assessed if note.startswith(NOT_ASSESSABLE))


def screening(diagnosis: Diagnosis) -> dict[str, str]:
    """Both binary tasks by name, each with its result in plain text."""
    tasks = {
        "MI screening": (diagnosis.mi_vs_norm, "positive", "negative", "not applicable here"),
        "Normal or abnormal": (diagnosis.norm_vs_abnormal, "abnormal", "normal", "withheld"),
    }
    return {name: binary_outcome(*facts) for name, facts in tasks.items()}


def binary_outcome(result: BinaryResult, yes: str, no: str, withheld: str) -> str:
    """One binary result in plain text, or why it is withheld. yes, no, withheld: words for each."""
    if result.withheld_because == NOT_FROM_THESE_LEADS:
        return result.withheld_because
    if result.positive is None:
        return f"{withheld}: {result.withheld_because}"
    borderline = " (borderline)" if result.uncertain else ""
    return f"{yes if result.positive else no}, {percent(result.probability)}{borderline}"


def sentence(text: str) -> str:
    """A reason as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def prediction_html(diagnosis: Diagnosis) -> str:
    """The headline, what it leaves out, both screening results, and why the prediction is uncertain if it is."""
    parts = ['<p class="kicker">Prediction</p>', headline_html(diagnosis)]
    if unusable_because(diagnosis):
        reasons = " ".join(escape(sentence(reason)) for reason in unusable_because(diagnosis))
        parts.append(f'<p class="unusable"><b>Unusable because:</b> {reasons} No class is asserted.</p>')
    else:
        chips = [
            f'<span class="chip"><b>{name}:</b> {escape(text)}</span>' for name, text in screening(diagnosis).items()
        ]
        title, notes = not_assessed(diagnosis)
        omitted = " ".join(escape(sentence(note)) for note in notes)
        parts += [f'<p class="not-assessed"><b>{title}.</b> {omitted}</p>'] * bool(omitted)
        parts += [f'<p class="not-assessed">{escape(not_assessable(diagnosis))}</p>'] * bool(not_assessable(diagnosis))
        parts.append(f'<div class="chips">{"".join(chips)}</div>')
        reasons = " ".join(escape(sentence(reason)) for reason in diagnosis.uncertain_because)
        parts += [f'<p class="uncertain"><b>Uncertain.</b> {reasons}</p>'] * bool(reasons)
    return f'<section class="prediction" aria-label="Prediction">{"".join(parts)}</section>'


def probability_row_html(
    name: str, title: str, probability: float, threshold: float, asserted: bool, assessable: bool = True
) -> str:
    """One probability as a bar with its threshold marked. asserted: the class is in the prediction.

    assessable: what the leads do not show is grey and has no threshold.
    """
    if not assessable:
        return (
            f'<div class="bar-row unassessed" role="img" aria-label="{name}, {title}: {percent(probability)}, '
            f'{NOT_FROM_THESE_LEADS}"><div class="bar-name"><b>{name}</b> {title}</div>'
            f'<div class="track"><div class="fill" style="width:{100 * probability:.1f}%"></div></div>'
            f'<div class="bar-value">{percent(probability)}</div></div>'
        )
    return (
        f'<div class="bar-row {"yes" if asserted else ""}" role="img" aria-label="{name}, {title}: '
        f'{percent(probability)}, threshold {percent(threshold)}, {"predicted" if asserted else "not predicted"}">'
        f'<div class="bar-name"><b>{name}</b> {title}</div>'
        f'<div class="track"><div class="fill" style="width:{100 * probability:.1f}%"></div>'
        f'<div class="tick" style="left:{100 * threshold:.1f}%"></div></div>'
        f'<div class="bar-value">{percent(probability)} {"✓" if asserted else ""}</div></div>'
    )


def probabilities_html(diagnosis: Diagnosis) -> str:
    """All five probabilities; none for an unusable recording, of which they say nothing."""
    if unusable_because(diagnosis):
        return '<p class="note">Not shown: of an unusable recording they say nothing.</p>'
    rows = [
        probability_row_html(
            name,
            SUPERCLASS_NAMES[name],
            probability,
            diagnosis.thresholds[name],
            name in diagnosis.predicted_classes,
            name not in diagnosis.not_assessable,
        )
        for name, probability in diagnosis.probabilities.items()
    ]
    note = "┃ threshold &nbsp; ✓ predicted. Several classes may be present, or none; NORM yields to any other."
    if set(diagnosis.not_assessable) & set(diagnosis.probabilities):
        note += f" Grey, without a threshold: {NOT_FROM_THESE_LEADS}."
    return f'<div class="bars">{"".join(rows)}<p class="note">{note}</p></div>'


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
        values[name] = (
            ("–", intervals.reasons.get(key, "")) if value is None else (f"{value:.0f}{unit}".replace("-", "−"), "")
        )
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


def rr_sentence(rr: RRIntervals) -> str:
    """The range of the RR intervals, and how many beats come early."""
    shortest, longest = rr.milliseconds.min(), rr.milliseconds.max()
    return f"RR intervals from {shortest:.0f} to {longest:.0f} ms; {rr.early_sentence.lower()}."


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
