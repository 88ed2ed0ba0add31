"""A network for whole recordings: windows, the trunk that reads them, a branch on the whole, one probability an output.

    window   the trunk, any of ``models.ARCHITECTURES``, turns each window into logits
    branch   evidence from RR intervals and voltages of the whole recording is added to the logits
    average  of the windows' probabilities
    merge    a superclass's probability is the mean of its own output and of 1 - ∏(1 - p) over its statements

This module is what is validated, saved, run and exported, so there is one path from a signal to a probability.
"""

import torch
from torch import nn
from torch.nn import functional as F

from config import SAMPLING_RATE, SUPERCLASSES, Outputs
from ecg.statements import BY_CODE
from models import create_model
from models.recording_branch import RecordingBranch
from models.windows import cut_windows, mean_probabilities

HIDDEN, HIDDEN_OF = 48, {"hmt_ecgnet_tiny": 16}  # units of the branch


class RecordingNetwork(nn.Module):
    """Uncalibrated probabilities of whole recordings.

    trunk: float ``(batch, 12, window)`` to logits ``(batch, len(outputs))``.
    outputs: what they are. window_s, stride_s: of the windows, in s.
    hidden: units of the `RecordingBranch`; 0: there is none.

    Input: float ``(batch, 12, samples)`` at 100 Hz, in units of the input scale, at least 3 s.
    Output: ``(batch, len(outputs))``.
    """

    def __init__(self, trunk: nn.Module, outputs: Outputs, window_s: float, stride_s: float, hidden: int = 0):
        super().__init__()
        self.trunk = trunk
        self.outputs = outputs
        self.window, self.stride = round(window_s * SAMPLING_RATE), round(stride_s * SAMPLING_RATE)
        self.branch = RecordingBranch(len(outputs), hidden) if hidden else None
        superclass_of = [BY_CODE[code].superclass for code in outputs.statements]
        members = [[n for n, own in enumerate(superclass_of) if own == name] for name in outputs.classes]
        self.merges = outputs.classes == SUPERCLASSES and all(members)
        longest = max(map(len, members))  # the others are filled up by a column beyond the last of all
        filling = len(outputs) - len(outputs.classes)
        # no buffer: a moving average would average it too
        self.members = [one + [filling] * (longest - len(one)) for one in members]

    def statistics(self, signals: torch.Tensor) -> torch.Tensor:
        """What the branch sees of recordings: ``(batch, 41)``, or no columns without a branch."""
        return signals.new_zeros(len(signals), 0) if self.branch is None else self.branch.statistics(signals)

    def window_logits(
        self, windows: torch.Tensor, statistics: torch.Tensor, present: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits ``(batch, len(outputs))`` of one window of each recording, given its recording's `statistics`.

        present: of an any-leads network, several subsets of leads of each window, see `HMTECGNet.forward`; then there
        are as many logits and statistics.
        """
        logits = self.trunk(windows) if present is None else self.trunk(windows, present)
        return logits if self.branch is None else logits + self.branch.evidence(statistics)

    def read(self, signals: torch.Tensor, statistics: torch.Tensor) -> torch.Tensor:
        """Probabilities of recordings whose `statistics` are given: `forward` without looking for heartbeats."""
        windows = cut_windows(signals, self.window, self.stride)
        logits = self.trunk(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
        if self.branch is not None:
            logits = logits + self.branch.evidence(statistics)[:, None]
        return self._merged(mean_probabilities(logits))

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        return self.read(signals, self.statistics(signals))

    def _merged(self, probabilities: torch.Tensor) -> torch.Tensor:
        if not self.merges:
            return probabilities
        own, others = probabilities.split([len(SUPERCLASSES), len(self.outputs) - len(SUPERCLASSES)], 1)
        absent = F.pad(1 - others, (0, 1), value=1.0)
        members = torch.tensor(self.members, device=probabilities.device)
        derived = 1 - absent.index_select(1, members.flatten()).unflatten(1, members.shape).prod(2)
        return torch.cat([(own + derived) / 2, others], 1)


def make_network(
    model: str, model_arguments: dict, outputs: Outputs, window_s: float, stride_s: float, branch: bool
) -> RecordingNetwork:
    """A network with random weights; arguments as in a checkpoint. Raises ValueError for an unknown model."""
    trunk = create_model(model, **{**model_arguments, "classes": len(outputs)})
    return RecordingNetwork(trunk, outputs, window_s, stride_s, branch_hidden(model) if branch else 0)


def branch_hidden(model: str) -> int:
    """Hidden units of a network's branch: fewer beside a small trunk."""
    return HIDDEN_OF.get(model, HIDDEN)
