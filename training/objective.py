"""What a network is trained to do: its task, all SCP statements, and for the multi-label task the binary ones.

The superclasses merge statements as different as an anterior and an inferior infarction; learning to tell them apart
shapes better features for the superclasses too (multi-task learning, Caruana 1997; for PTB-XL, Strodthoff et al. 2021
train on all 71 statements). A binary output learns from the recordings that belong to its task only.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from config import BINARY_TASKS, TASK_CLASSES, Outputs, TrainingConfig
from dataset import PTBXLDataset
from ecg.statements import BY_CODE, CODES
from models.recording_network import RecordingNetwork
from ptbxl.index import task_targets
from training.lead_subsets import LeadSubsets, make_lead_subsets
from training.losses import LOSSES

STATISTICS_CHUNK = 256  # recordings in memory at a time


@dataclass(frozen=True, eq=False, kw_only=True)
class Objective:
    """The network, what it is to learn of each training recording, and the weights of the losses.

    statement_weights: ``(statements,)``. form_unlabelled: see `trust`.
    statements: float32 ``(n, statements)``. binary: float32 ``(n, binary tasks)``; binary_mask: the same shape, 1
    where a recording belongs to the task. statistics: ``(n, 41)``, for the branch on whole recordings.
    lead_subsets: what an any-leads network is shown, ``subsets`` of them a crop; None for one that sees all leads.
    teacher: a network whose probabilities, with all leads, take ``teacher_weight`` of the place of the labels; or None.
    """

    network: RecordingNetwork
    loss_function: nn.Module
    statement_weights: torch.Tensor
    form_unlabelled: float
    binary_weight: float
    statements: torch.Tensor
    binary: torch.Tensor
    binary_mask: torch.Tensor
    statistics: torch.Tensor
    lead_subsets: LeadSubsets | None = None
    subsets: int = 1
    teacher: RecordingNetwork | None = None
    teacher_weight: float = 0.0

    def loss(
        self,
        signals: torch.Tensor,
        targets: torch.Tensor,
        batch: np.ndarray,
        bfloat16: bool,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Loss of one batch of crops with all leads; batch: the recordings' numbers. generator: draws subsets."""
        device, rows = signals.device, torch.from_numpy(batch)
        labels = torch.cat([targets, self.statements[rows].to(device), self.binary[rows].to(device)], 1)
        statistics = self.statistics[rows].to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            learnt = self.taught(labels, signals, statistics)
            present = None
            if self.lead_subsets is not None:
                drawn = self.lead_subsets.draw(rows, self.subsets, generator)
                present, statistics = (part.to(device) for part in drawn)
                learnt, rows = learnt.repeat(self.subsets, 1), rows.repeat(self.subsets)
            logits = self.network.window_logits(signals, statistics, present)
        task, statements, binary = logits.float().split(self.network.outputs.lengths, 1)
        targets, made, answers = learnt.split(self.network.outputs.lengths, 1)
        loss = self.loss_function(task, targets)
        if statements.shape[1]:
            weights = (self.statement_weights * self.trust(rows)).to(device)
            loss = loss + F.binary_cross_entropy_with_logits(statements, made, weight=weights)
        if binary.shape[1]:
            of_each = F.binary_cross_entropy_with_logits(binary, answers, reduction="none")
            loss = loss + self.binary_weight * (of_each * self.binary_mask[rows].to(device)).mean()
        return loss

    @torch.no_grad()
    def taught(self, labels: torch.Tensor, signals: torch.Tensor, statistics: torch.Tensor) -> torch.Tensor:
        """What is to be learnt of crops: labels ``(batch, outputs)``, or their mixture with the teacher's answers."""
        if self.teacher is None:
            return labels
        answers = self.teacher.window_logits(signals, statistics).float().sigmoid()
        return (1 - self.teacher_weight) * labels + self.teacher_weight * answers

    def trust(self, rows: torch.Tensor) -> torch.Tensor:
        """How much the absence of each statement says in each recording, ``(len(rows), statements)``.

        Annotators of PTB-XL who describe form describe several signs of it, and many describe none; a recording without
        any statement of form counts less for those that are of form alone.
        """
        alone = torch.tensor([BY_CODE[code].groups == ("form",) for code in self.network.outputs.statements])
        form = torch.tensor(["form" in BY_CODE[code].groups for code in self.network.outputs.statements])
        silent = ~(self.statements[rows] * form).any(1, keepdim=True)
        return torch.where(silent & alone, self.form_unlabelled, 1.0)


class Loss(nn.Module):
    """`Objective.loss` as a module, which is what DistributedDataParallel takes."""

    def __init__(self, objective: Objective):
        super().__init__()
        self.network = objective.network
        self.objective = objective

    def forward(self, *arguments) -> torch.Tensor:
        return self.objective.loss(*arguments)


def outputs_of(config: TrainingConfig) -> Outputs:
    """The outputs a configured network has; a statement that the data set lacks is learnt as never made."""
    return Outputs(
        classes=TASK_CLASSES[config.task],
        statements=CODES if config.statement_weight else (),
        binary_tasks=BINARY_TASKS if config.task == "multilabel" and config.binary_weight else (),
    )


def make_objective(
    network: RecordingNetwork,
    train: PTBXLDataset,
    config: TrainingConfig,
    teacher: RecordingNetwork | None = None,
    progress: bool = False,
) -> Objective:
    """The configured losses around a network; teacher: in evaluation mode, with the same outputs."""
    tasks = [task_targets(train.superclasses, task) for task in network.outputs.binary_tasks]
    nothing = np.zeros((len(train), 0), np.float32)
    made = torch.from_numpy(train.made(network.outputs.statements).astype(np.float32))
    return Objective(
        network=network,
        loss_function=LOSSES[config.loss]().to(next(network.parameters()).device),
        statement_weights=statement_weights(made, config),
        form_unlabelled=config.form_unlabelled,
        binary_weight=config.binary_weight,
        statements=made,
        binary=torch.from_numpy(np.concatenate([nothing, *(targets for targets, _ in tasks)], axis=1)),
        binary_mask=torch.from_numpy(
            np.concatenate([nothing, *(member[:, None].astype(np.float32) for _, member in tasks)], axis=1)
        ),
        statistics=training_statistics(network, train),
        lead_subsets=make_lead_subsets(network, train, config.seed, progress) if config.leads == "any" else None,
        subsets=config.subsets,
        teacher=teacher,
        teacher_weight=config.teacher_weight,
    )


def statement_weights(made: torch.Tensor, config: TrainingConfig) -> torch.Tensor:
    """How much each statement's loss counts: by its variance to the power of minus ``statement_balance``.

    Scaled so that an untrained network's loss, the entropy of the statements, has ``statement_weight`` for its weight.
    made: ``(n, statements)``; a statement of fewer than five recordings counts as one of five.
    """
    share = made.mean(0).clamp(5 / max(len(made), 10), 0.5)
    entropy = -(share * share.log() + (1 - share) * (1 - share).log())
    weights = (share * (1 - share)) ** -config.statement_balance
    return config.statement_weight * weights * entropy.sum() / (weights * entropy).sum()


@torch.inference_mode()
def training_statistics(network: RecordingNetwork, train: PTBXLDataset) -> torch.Tensor:
    """What the branch sees of each whole training recording, although the trunk sees crops."""
    device = next(network.parameters()).device
    chunks = np.array_split(np.arange(len(train)), -(-len(train) // STATISTICS_CHUNK))
    return torch.cat(
        [network.statistics(torch.from_numpy(train.signals(chunk)).to(device)).cpu() for chunk in chunks]
    ).clone()
