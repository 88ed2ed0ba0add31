"""The network that answers when leads are missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config import ANYLEAD, ANYLEAD_CHECKPOINT, LEADS
from inference import InferenceError
from inference.backends import Network, anylead_paths, load_network
from inference.decisions import Decisions, ThresholdsError
from inference.lead_sets import LeadSets, load_lead_sets
from inference.sentences import NO_CALIBRATION, leads_sentence, not_assessable_sentence


@dataclass(frozen=True, eq=False, kw_only=True)
class Answering:
    """Which networks answer for one recording, and by whose decisions.

    networks, decisions: by task, as of `inference.diagnoser.Diagnoser`.
    model, lead_set, lead_set_exact, not_assessable: see `inference.diagnosis.Diagnosis`.
    doubts, not_assessed, warnings: sentences on it for its fields; none with all twelve leads.
    """

    networks: Mapping[str, Network]
    decisions: Mapping[str, Decisions]
    model: dict[str, str]
    lead_set: str | None = "12"
    lead_set_exact: bool = True
    not_assessable: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    not_assessed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class AnyLead:
    """The network that answers when leads are missing, and its decisions for each set of leads."""

    network: Network
    lead_sets: LeadSets

    def answering(self, present: np.ndarray) -> Answering:
        """As `inference.diagnoser.Diagnoser.answering`, whatever the leads."""
        chosen, exact = self.lead_sets.choose(present)
        not_assessable = (*chosen.not_assessable, *self.lead_sets.statements_not_assessable(chosen))
        return Answering(
            networks={"multilabel": self.network},
            decisions=chosen.decisions,
            model={ANYLEAD: self.network.checkpoint_sha256},
            lead_set=chosen.name or None,
            lead_set_exact=exact,
            not_assessable=not_assessable,
            doubts=() if chosen.name else (NO_CALIBRATION,),
            not_assessed=not_assessable_sentence(present, not_assessable),
            warnings=(leads_sentence(present, chosen, exact),),
        )


def load_anylead(directory: Path, backend: str) -> AnyLead | None:
    """The any-leads network of a directory with its decisions; None unless both are there.

    Raises InferenceError if they cannot be used together.
    """
    network_path, thresholds = anylead_paths(directory, backend)
    if not (network_path.is_file() and thresholds.is_file()):
        return None
    network = load_network(network_path, backend)
    if network.task != "multilabel":
        raise InferenceError(f"{network_path} was trained for task {network.task}, not for all of them")
    try:
        return AnyLead(network=network, lead_sets=load_lead_sets(thresholds, network.checkpoint_sha256))
    except ThresholdsError as error:
        raise InferenceError(str(error)) from error


def missing_leads_sentence(present: np.ndarray) -> str:
    """Why a recording is refused where only the networks for twelve leads are there; present: bool ``(12,)``."""
    missing = [lead for lead, there in zip(LEADS, present, strict=True) if not there]
    return (
        f"lead {', '.join(missing)} is missing, and the network for missing leads ({ANYLEAD_CHECKPOINT} with "
        f"{ANYLEAD}_thresholds.json) is not installed here: send the complete recording (two of I, II, III are enough "
        "for the six limb leads)"
    )
