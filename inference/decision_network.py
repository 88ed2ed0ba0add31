"""A network together with everything that turns its probabilities into decisions, as one PyTorch module to export.

`DecisionNetwork` repeats, in operations that ONNX has, what `ecg.stretches`, `inference.decisions`,
`inference.findings` and `inference.verdict` do in numpy: the exported file then needs nothing but a signal. Quality and
signs of the rhythm are not part of it. Tests hold it to `Diagnoser.diagnose(recording, quality=False)`.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from config import BINARY_TASKS, SUPERCLASSES
from ecg.statements import CODES, RHYTHMS, SUBCLASS_OWNERS, SUBCLASSES, subclass_columns
from ecg.stretches import LONGEST_WHOLE, STRETCH
from inference.decision_table import DecisionTable, LeadSetChoice, columns_of, log_odds, of_row, sigmoid
from inference.decisions import Decisions
from inference.findings import OWNERS, RHYTHM_COLUMNS
from inference.lead_sets import LeadSets
from inference.verdict import MI, NORM, WITHHELD
from models.recording_network import RecordingNetwork
from models.windows import take_spans

# the superclasses after NORM are the abnormal ones, those after MI are outside of MI against NORM
assert (NORM, MI) == (0, 1)
# what `withheld` means, by number: the keys of WITHHELD, that another file answers, that the leads do not show it
WITHHELD_CODES = (*WITHHELD, "other file", "not assessable")
SHOWN, OUTSIDE, NEITHER, CONTRADICTS, OTHER_FILE, NOT_ASSESSABLE = (
    WITHHELD_CODES.index(name) for name in ("", "outside", "neither", "contradicts", "other file", "not assessable")
)


def cut_stretches(signals: torch.Tensor) -> torch.Tensor:
    """`ecg.stretches.stretch_starts` applied: ``(batch, 12, samples)`` to ``(batch, stretches, 12, length)``."""
    samples = signals.shape[2]
    count = torch.sym_max(1, (samples + LONGEST_WHOLE - STRETCH - 1) // STRETCH)
    length = (samples + count - 1) // count
    gaps = torch.sym_max(1, count - 1)
    numbers = torch.arange(count, device=signals.device)
    starts = ((2 * numbers * (samples - length) + gaps) / (2 * gaps)).long()
    places = (starts[:, None] + torch.arange(length, device=signals.device)).flatten()
    return take_spans(signals, places, count, length)


def lead_presence(signals: torch.Tensor) -> torch.Tensor:
    """Which leads are there, 1 or 0 ``(batch, 12)``: those that are not zero throughout."""
    return (signals.abs().amax(2) > 0).to(signals.dtype)


class StatementFindings(nn.Module):
    """`inference.findings`: which statements and subclasses are asserted, which rhythm is named."""

    def __init__(self):
        super().__init__()
        size, columns = len(OWNERS), subclass_columns()
        longest = max(map(len, columns))  # the others are filled up by a column beyond the last
        padded = torch.tensor([one + [size] * (longest - len(one)) for one in columns])
        self.subclass_shape = tuple(padded.shape)
        self.register_buffer("padded", padded.flatten())
        # 1 where a statement, a row, belongs to a subclass, and where it implies a superclass: every one but NORM
        self.register_buffer("belongs", F.one_hot(padded, size + 1).sum(1)[:, :size].T.float().contiguous())
        self.register_buffer(
            "implies", torch.tensor([[name == owner != "NORM" for name in SUPERCLASSES] for owner in OWNERS]).float()
        )
        # the column of each superclass among (classes, True): what belongs to none needs none
        names = [*SUPERCLASSES, ""]
        owners = [names.index(name) for name in (*OWNERS, *SUBCLASS_OWNERS)]
        self.register_buffer("owners", torch.tensor(owners))
        self.register_buffer("rhythm_columns", torch.tensor(RHYTHM_COLUMNS))
        place = [RHYTHM_COLUMNS.index(n) if n in RHYTHM_COLUMNS else len(RHYTHMS) for n in range(size)]
        self.register_buffer("rhythm_of", torch.tensor(place))
        self.register_buffer("no_rhythm", self.rhythm_of == len(RHYTHMS))

    def name_rhythm(
        self, calibrated: torch.Tensor, above: torch.Tensor, validated: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The number of the rhythm and whether it is certain, ``(batch, 1)`` each.

        -1 if none reaches its threshold, or none is validated, so that the rhythm is not assessed.
        """
        calibrated, above, validated = (
            one.index_select(1, self.rhythm_columns) for one in (calibrated, above, validated)
        )
        most, best = torch.where(above, calibrated.float(), -1.0).max(1, keepdim=True)
        found = (most >= 0) & validated.any(1, keepdim=True)
        certain = found & (above & validated).gather(1, best)
        return torch.where(found, best, -1), certain

    def assert_statements(
        self, above: torch.Tensor, validated: torch.Tensor, rhythm: torch.Tensor, certain: torch.Tensor
    ) -> torch.Tensor:
        """Before they are held against the superclasses, bool ``(batch, 71)``."""
        named = (rhythm == self.rhythm_of) & certain
        return named | above & validated & self.no_rhythm

    def implied(self, asserted: torch.Tensor) -> torch.Tensor:
        """Superclasses of asserted statements other than NORM, bool ``(batch, 5)``."""
        return asserted.float() @ self.implies > 0

    def keep_consistent(
        self, asserted: torch.Tensor, subclasses: torch.Tensor, classes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Statements and subclasses that go with the verdict's classes; subclasses: validated and above."""
        fitting = F.pad(classes, (0, 1), value=True).index_select(1, self.owners)
        kept, kept_subclasses = (torch.cat([asserted, subclasses], 1) & fitting).split(
            [asserted.shape[1], subclasses.shape[1]], 1
        )
        return kept, kept_subclasses | (kept.float() @ self.belongs > 0)

    def subclass_scores(self, statements: torch.Tensor) -> torch.Tensor:
        """As `ecg.statements.any_probability` of the subclasses, ``(batch, 23)``."""
        absent = F.pad(1 - statements, (0, 1), value=1.0)
        return 1 - absent.index_select(1, self.padded).unflatten(1, self.subclass_shape).prod(2)


class DecisionNetwork(nn.Module):
    """From mV to decisions.

    network: whose checkpoint the decisions are of. input_scale: mV. decisions: task to the decisions of every task that
    this network answers; a binary network answers its own task alone. lead_sets: of a network that reads any leads, its
    decisions, instead of ``decisions``.

    Input: float ``(batch, 12, samples)`` at 100 Hz in mV, any number of samples from 500.
    Output: a tuple, named by ``output_names``; docs/onnx.md says what each is.
    """

    def __init__(
        self,
        network: RecordingNetwork,
        input_scale: float,
        decisions: Mapping[str, Decisions],
        lead_sets: LeadSets | None = None,
    ):
        super().__init__()
        self.network, self.input_scale, self.outputs = network, input_scale, network.outputs
        self.choice = LeadSetChoice(lead_sets) if lead_sets else None
        rows = [decisions]
        if lead_sets:
            rows = [one.decisions for one in (*lead_sets.by_name.values(), lead_sets.without_calibration)]
        first = rows[0]
        self.of_binary_network = "multilabel" not in first
        self.answered = [task for task in BINARY_TASKS if task in first]
        self.table = DecisionTable([columns_of(row) for row in rows]) if first else None
        self.findings = None
        if self.of_binary_network:
            widths, margins = [len(self.answered)], self.answered
        else:
            widths, margins = [len(SUPERCLASSES), len(self.answered)], ["multilabel", *self.answered]
            if first["multilabel"].statements is not None:
                self.findings = StatementFindings()
                widths[1:1] = [len(CODES), len(SUBCLASSES)]
        self.widths = widths
        self.register_buffer("margins", torch.tensor([[row[task].margin for task in margins] for row in rows]).double())
        # which superclasses are abnormal, and which are other than NORM and MI
        beside = [[n != NORM, n not in (NORM, MI)] for n in range(len(SUPERCLASSES))]
        self.register_buffer("beside", torch.tensor(beside).float())
        numbers = torch.arange(sum(widths))
        self.register_buffer("decided", numbers[(numbers < widths[0]) | (numbers >= sum(widths) - len(self.answered))])

    @property
    def output_names(self) -> tuple[str, ...]:
        if self.table is None:
            return ("probabilities",)
        if self.of_binary_network:
            return ("probabilities", "calibrated", "positive", "binary_near")
        of_statements = ("subclasses", "asserted_statements", "asserted_subclasses", "rhythm", "rhythm_certain")
        return (
            "probabilities",
            "calibrated",
            "asserted_classes",
            "near",
            "nearest",
            "implied",
            "normal_beside_others",
            "positive",
            "withheld",
            "binary_near",
            *(of_statements if self.findings else ()),
            *(("lead_set", "lead_set_exact", "assessable") if self.choice else ()),
        )

    def forward(self, signals: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.decide(self.read(cut_stretches(signals)), lead_presence(signals))

    def read(self, stretches: torch.Tensor) -> torch.Tensor:
        """Probabilities ``(batch, stretches, outputs)`` of stretches in mV ``(batch, stretches, 12, length)``."""
        return self.network(stretches.flatten(0, 1) / self.input_scale).unflatten(0, stretches.shape[:2])

    def decide(self, of_stretches: torch.Tensor, present: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        """All outputs from the stretches' uncalibrated probabilities, float32 ``(batch, stretches, outputs)``.

        present: from `lead_presence`; counts only for a network that reads any leads.
        """
        probabilities = of_stretches.double().mean(1)  # float64 from here on, as in numpy
        if self.table is None:
            return (probabilities.float(),)
        if self.of_binary_network:
            calibrated = self.table.calibrate(probabilities[:, : len(self.answered)], None)
            near = self.table.distances(calibrated, None, self.decided) < self.margins
            return probabilities.float(), calibrated.float(), self.table.above(calibrated, None), near
        if self.choice is None:
            return self.decide_all(probabilities, None)
        row, exact = self.choice(present)
        assessable = of_row(self.table.usable.index_select(1, self.decided), row)
        return *self.decide_all(probabilities, row), row, exact, assessable

    def decide_all(self, probabilities: torch.Tensor, row: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """The outputs of a multi-label network, by a row of its table."""
        own, statements, _ = probabilities.split(self.outputs.lengths, 1)
        scores = [own, *(self.score(task, probabilities) for task in self.answered)]
        if self.findings:
            scores[1:1] = [statements, self.findings.subclass_scores(statements)]
        calibrated = self.table.calibrate(torch.cat(scores, 1), row)
        above, usable = self.table.above(calibrated, row), of_row(self.table.usable, row)
        near = self.table.distances(calibrated, row, self.decided)
        near, near_binary = near.split([self.widths[0], len(self.answered)], 1)
        margin, binary_margins = of_row(self.margins, row).split([1, len(self.answered)], 1)
        values, reached = calibrated.split(self.widths, 1), above.split(self.widths, 1)
        counted = (above & usable).split(self.widths, 1)
        classes, implied = counted[0], torch.zeros_like(counted[0])
        if self.findings:
            validated = usable.split(self.widths, 1)[1]
            rhythm, certain = self.findings.name_rhythm(values[1], reached[1], validated)
            asserted = self.findings.assert_statements(reached[1], validated, rhythm, certain)
            implied = self.findings.implied(asserted) & ~classes
        classes = classes | implied
        abnormal, others = (classes.float() @ self.beside > 0).split(1, 1)
        norm, rest = classes.split([1, len(SUPERCLASSES) - 1], 1)
        classes = torch.cat([norm & ~abnormal, rest], 1)
        of_tasks = values[-1], counted[-1], usable[:, sum(self.widths[:-1]) :], near_binary < binary_margins
        binary = self.answers(of_tasks, classes, others)
        answered, positive, withheld, binary_near = binary
        answers = (
            probabilities.float(),
            torch.cat([values[0], *([values[1]] if self.findings else []), answered], 1).float(),
            classes,
            (near.amin(1, keepdim=True) < margin)[:, 0],
            near.argmin(1),
            implied,
            (norm & abnormal)[:, 0],
            positive,
            withheld,
            binary_near,
        )
        if not self.findings:
            return answers
        kept, kept_subclasses = self.findings.keep_consistent(asserted, counted[2], classes)
        return *answers, values[2].float(), kept, kept_subclasses, rhythm[:, 0], certain[:, 0]

    def answers(
        self, of_tasks: Sequence[torch.Tensor], classes: torch.Tensor, others: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Calibrated probability, whether positive, why withheld and whether near of both tasks, ``(batch, 2)`` each.

        of_tasks: calibrated probability, whether positive, usable and near of the tasks that this network answers.
        classes: what the verdict asserts; others: whether a class other than NORM and MI is among them, ``(batch, 1)``.
        """
        columns = []
        for task in BINARY_TASKS:
            if task in self.answered:
                column = self.answered.index(task)
                of_task = [one[:, column : column + 1] for one in of_tasks]
                columns.append(self.answer(task, of_task, classes, others))
            else:
                columns.append(self.no_answer(task, classes, others))
        return tuple(torch.cat(one, 1) for one in zip(*columns, strict=True))

    def answer(
        self, task: str, of_task: Sequence[torch.Tensor], classes: torch.Tensor, others: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """`answers` of one task that this network answers."""
        calibrated, positive, usable, near = of_task
        applies, reason = self.reason(task, classes, others)
        if task == "norm_vs_abnormal":
            disagrees = positive == classes[:, NORM : NORM + 1]
        else:
            disagrees = applies & (positive != classes[:, MI : MI + 1])
        reason = torch.where(disagrees, CONTRADICTS, reason)
        if self.choice is not None:
            reason = torch.where(usable.expand_as(disagrees), reason, NOT_ASSESSABLE)
        return calibrated, positive, reason, near

    def no_answer(self, task: str, classes: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of a task that another file answers: why its answer is withheld, as far as that is known here."""
        applies, reason = self.reason(task, classes, others)
        nothing = torch.full_like(applies, torch.nan, dtype=torch.float64)
        no = torch.zeros_like(applies)
        return nothing, no, torch.where(reason == SHOWN, OTHER_FILE, reason), no

    @staticmethod
    def reason(task: str, classes: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Whether a task may be asked beside these classes, and why not; ``(batch, 1)`` each."""
        norm, mi = classes[:, NORM : NORM + 1], classes[:, MI : MI + 1]
        if task == "norm_vs_abnormal":
            applies = torch.ones_like(mi)
            return applies, torch.zeros_like(mi, dtype=torch.long)
        applies = (norm | mi) & ~others
        return applies, torch.where(applies, SHOWN, torch.where(others, OUTSIDE, NEITHER))

    def score(self, task: str, probabilities: torch.Tensor) -> torch.Tensor:
        """As `inference.decisions.task_probabilities`, ``(batch, 1)``."""
        own, _, binary = probabilities.split(self.outputs.lengths, 1)
        if task in self.outputs.binary_tasks:
            column = self.outputs.binary_tasks.index(task)
            return binary[:, column : column + 1]
        norm, mi = own[:, NORM : NORM + 1], own[:, MI : MI + 1]
        return 1 - norm if task == "norm_vs_abnormal" else sigmoid(log_odds(mi) - log_odds(norm))
