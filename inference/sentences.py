"""What whoever reads a diagnosis is told beside it, in plain sentences."""

from collections.abc import Iterable

import numpy as np

from config import SUPERCLASSES
from ecg.lead_sets import CANONICAL_SETS
from ecg.preprocessing import FULL_DURATION_S
from ecg.quality import Flag, Quality
from ecg.readers.channels import MISSING_LEADS
from ecg.recording import Recording
from inference.lead_sets import LeadSetDecisions, leads_phrase
from inference.summary import RhythmResult

RHYTHM_NOT_ASSESSED = (
    "The networks do not assess the rhythm: atrial fibrillation, for example, is not among the classes."
)
QUALITY_NOT_ASSESSED = "The recording's quality was not assessed: an unusable recording has its prediction too."
NOT_ASSESSABLE = "Not assessable from "  # how the sentence on what the leads do not show begins
NOT_FROM_THESE_LEADS = "not assessable from these leads"
TASK_NAMES = {"mi_vs_norm": "MI against NORM", "norm_vs_abnormal": "NORM against abnormal"}
NO_CALIBRATION = "these leads contain no set of leads that the network was calibrated for: nothing is asserted"


def not_assessed(rhythm_signs: tuple[str, ...], rhythm: RhythmResult | None) -> tuple[str, ...]:
    """What the networks do not assess, one sentence each.

    rhythm_signs: `ecg.rhythm_signs.RhythmSigns.doubts`, which matter unless another rhythm than sinus rhythm is named.
    rhythm: None for networks that do not assess it.
    """
    signs = " and ".join(rhythm_signs)
    check = (f"Have the rhythm checked: {signs}.",) if signs else ()
    if rhythm is None:
        return (RHYTHM_NOT_ASSESSED, *check)
    if not rhythm.certain:
        return (f"{rhythm.sentence}.", *check)
    return check if rhythm.code in ("SR", "STACH", "SBRAD") else ()


def not_assessable_sentence(present: np.ndarray, names: tuple[str, ...]) -> tuple[str, ...]:
    """What these leads do not show, one sentence or none.

    present: bool ``(12,)``. names: superclasses, binary tasks and codes of statements.
    """
    classes = [name for name in names if name in SUPERCLASSES]
    tasks = [TASK_NAMES[name] for name in names if name in TASK_NAMES]
    statements = len(set(names) - set(SUPERCLASSES) - set(TASK_NAMES))
    counted = [f"{statements} statement{'s' * (statements != 1)}"] if statements else []
    if not names:
        return ()
    return (f"{NOT_ASSESSABLE}{leads_phrase(present)}: {', '.join([*classes, *tasks, *counted])}.",)


def leads_sentence(present: np.ndarray, chosen: LeadSetDecisions, exact: bool) -> str:
    """By which network and whose thresholds a recording with missing leads was read; present: bool ``(12,)``."""
    read = f"Read from {leads_phrase(present)} by the network for missing leads"
    if not chosen.name:
        return f"{read}, which has no calibration for them: the probabilities are as they come, nothing is asserted."
    if exact:
        return f"{read}, with the thresholds for this set of leads."
    return f"{read}, with the thresholds for {set_phrase(chosen.name)}, the largest set among them that has its own."


def set_phrase(name: str) -> str:
    """A canonical set as it stands in a sentence.

    >>> set_phrase("I,II,V2"), set_phrase("V1"), set_phrase("11")
    ('the limb leads, V2', 'lead V1', 'eleven leads')
    """
    if name == "11":
        return "eleven leads"
    return leads_phrase(np.isin(CANONICAL_SETS["12"], CANONICAL_SETS[name]))


def warnings_of(recording: Recording, quality: Quality | None) -> tuple[str, ...]:
    """Notes of the file's reader, too short a recording, poor quality: one sentence each.

    Missing leads are left out, of which `leads_sentence` says more.
    """
    warnings = [note for note in recording.notes if not note.startswith(MISSING_LEADS)]
    if recording.duration < FULL_DURATION_S - 0.05:
        warnings.append(
            f"The recording lasts {recording.duration:.1f} s; the networks were evaluated on {FULL_DURATION_S:g} s."
        )
    if quality is not None:
        warnings += flag_sentences(quality.flags)
    return tuple(dict.fromkeys(warnings))


def flag_sentences(flags: Iterable[Flag]) -> list[str]:
    """One sentence a check: of the lead farthest beyond the limit, and which others are too."""
    by_check: dict[str, list[Flag]] = {}
    for flag in flags:
        by_check.setdefault(flag.name, []).append(flag)
    sentences = []
    for found in by_check.values():
        worst = max(found, key=lambda flag: abs(flag.value - flag.limit))
        others = ", ".join(str(flag.lead) for flag in found if flag is not worst)
        sentences.append(f"{worst.sentence} Also in {others}." if others else worst.sentence)
    return sentences
