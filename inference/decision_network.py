"""A network together with everything that turns its probabilities into decisions, as one PyTorch module to export.

`DecisionNetwork` repeats, in operations that ONNX has, what `ecg.stretches`, `inference.decisions`,
`inference.findings` and `inference.verdict` do in numpy: the exported file then needs nothing but a signal. Quality and
signs of the rhythm are not part of it. Tests hold it to `Diagnoser.diagnose(recording, quality=False)`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from config import BINARY_TASKS, SUPERCLASSES
from ecg.statements import RHYTHMS, SUBCLASS_OWNERS, subclass_columns, superclass_columns
from ecg.stretches import LONGEST_WHOLE, STRETCH
from inference.decisions import SMALLEST, Decisions, FindingDecisions
from inference.findings import OWNERS, RHYTHM_COLUMNS
from inference.verdict import MI, NORM, WITHHELD
from models.recording_network import RecordingNetwork

# the superclasses after NORM are the abnormal ones, those after MI are outside of MI against NORM
assert (NORM, MI) == (0, 1)
# what `withheld` means, by number: the keys of WITHHELD, and that another file has to be asked
WITHHELD_CODES = (*WITHHELD, "other file")
SHOWN, OUTSIDE, NEITHER, CONTRADICTS, OTHER_FILE = (
    WITHHELD_CODES.index(name) for name in ("", "outside", "neither", "contradicts", "other file")
)


def cut_stretches(signals: torch.Tensor) -> torch.Tensor:
    """`ecg.stretches.stretch_starts` applied: ``(batch, 12, samples)`` to ``(batch, stretches, 12, length)``."""
    samples = signals.shape[2]
    count = torch.sym_max(1, (samples + LONGEST_WHOLE - STRETCH - 1) // STRETCH)
    length = (samples + count - 1) // count
    gaps = torch.sym_max(1, count - 1)
    numbers = torch.arange(count, device=signals.device)
    starts = torch.div(2 * numbers * (samples - length) + gaps, 2 * gaps, rounding_mode="trunc")
    places = (starts[:, None] + torch.arange(length, device=signals.device)).flatten()
    return signals.index_select(2, places).unflatten(2, (count, length)).transpose(1, 2)


def log_odds_parts(probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As `inference.decisions.log_odds_parts`."""
    clipped = probabilities.clamp(SMALLEST, 1 - SMALLEST)
    return clipped.log(), -(1 - clipped).log()


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """As `inference.decisions.sigmoid`."""
    return 0.5 * (1 + torch.tanh(0.5 * x))


class Calibration(nn.Module):
    """`inference.decisions.apply_calibrator` for one calibrator a column: float64 ``(batch, columns)`` to the same."""

    def __init__(self, calibrators: Sequence[dict]):
        super().__init__()
        curves = [one if one["kind"] == "isotonic" else None for one in calibrators]
        self.isotonic = nn.ModuleList([Interpolation(one["x"], one["y"]) for one in curves if one])
        self.isotonic_columns = [number for number, one in enumerate(curves) if one]
        self.others = [number for number, one in enumerate(curves) if one is None]
        others = [calibrators[number] for number in self.others]
        for name in ("a", "b", "c"):
            self.register_buffer(name, torch.tensor([float(one[name]) for one in others], dtype=torch.float64))
        order = np.argsort([*self.others, *self.isotonic_columns])
        self.register_buffer("logistic_columns", torch.tensor(self.others, dtype=torch.long))
        self.register_buffer("order", torch.tensor(order))

    def forward(self, probabilities: torch.Tensor) -> torch.Tensor:
        if not self.isotonic:
            return self.logistic(probabilities)
        columns = [
            curve(probabilities[:, n : n + 1]) for curve, n in zip(self.isotonic, self.isotonic_columns, strict=True)
        ]
        if self.others:
            columns.insert(0, self.logistic(probabilities.index_select(1, self.logistic_columns)))
        return torch.cat(columns, 1).index_select(1, self.order)

    def logistic(self, probabilities: torch.Tensor) -> torch.Tensor:
        positive, negative = log_odds_parts(probabilities)
        return sigmoid(self.a * positive + self.b * negative + self.c)


class Interpolation(nn.Module):
    """`numpy.interp` through given points: float64 ``(batch, 1)`` to the same."""

    def __init__(self, x: Sequence[float], y: Sequence[float]):
        super().__init__()
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        slopes = np.diff(y) / np.diff(x)
        # before the first point and from the last one on, the line is level
        self.register_buffer("x", torch.tensor(x))
        self.register_buffer("origins", torch.tensor(np.concatenate([x[:1], x])))
        self.register_buffer("heights", torch.tensor(np.concatenate([y[:1], y])))
        self.register_buffer("slopes", torch.tensor(np.concatenate([[0.0], slopes, [0.0]])))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        piece = (values >= self.x).sum(1)
        slope, origin, height = (one.index_select(0, piece) for one in (self.slopes, self.origins, self.heights))
        return (height + slope * (values[:, 0] - origin))[:, None]


class ClassDecisions(nn.Module):
    """`Decisions.calibrate`, `decide` and `distances` of a task's own classes."""

    def __init__(self, decisions: Decisions):
        super().__init__()
        self.calibrate = Calibration(decisions.calibrators)
        self.margin = decisions.margin
        self.register_buffer("thresholds", torch.tensor(decisions.thresholds, dtype=torch.float64))
        self.register_buffer("threshold_odds", sum(log_odds_parts(self.thresholds)))

    def forward(self, probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Calibrated probabilities, which reach their threshold, how far each is from it in log odds."""
        calibrated = self.calibrate(probabilities)
        distances = (sum(log_odds_parts(calibrated)) - self.threshold_odds).abs()
        return calibrated, calibrated >= self.thresholds, distances


def membership(columns: list[list[int]], size: int) -> torch.Tensor:
    """Which of ``size`` members belong to which class, float32 ``(size, classes)``."""
    matrix = torch.zeros(size, len(columns))
    for number, members in enumerate(columns):
        matrix[members, number] = 1
    return matrix


class FindingLevel(nn.Module):
    """Calibration and thresholds of statements or of subclasses."""

    def __init__(self, decisions: FindingDecisions):
        super().__init__()
        self.calibrate = Calibration(decisions.calibrators)
        self.register_buffer("thresholds", torch.tensor(decisions.thresholds, dtype=torch.float64))
        self.register_buffer("validated", torch.tensor(decisions.validated))

    def forward(self, probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Calibrated probabilities, and which reach their threshold, validated or not."""
        calibrated = self.calibrate(probabilities)
        return calibrated, calibrated >= self.thresholds


class StatementFindings(nn.Module):
    """`inference.findings`: which statements and subclasses are asserted, which rhythm is named."""

    def __init__(self, statements: FindingDecisions, subclasses: FindingDecisions):
        super().__init__()
        self.statements, self.subclasses = FindingLevel(statements), FindingLevel(subclasses)
        size = len(OWNERS)
        implying = [
            members if name != "NORM" else [] for name, members in zip(SUPERCLASSES, superclass_columns(), strict=True)
        ]
        self.register_buffer("implying", membership(implying, size))
        columns = subclass_columns()
        longest = max(map(len, columns))
        self.register_buffer("subclass_members", membership(columns, size))
        # filled up by a column beyond the last
        self.register_buffer("padded", torch.tensor([one + [size] * (longest - len(one)) for one in columns]))
        # the column of each statement's superclass among (classes, True): those of no superclass need none
        names = [*SUPERCLASSES, ""]
        self.register_buffer("owners", torch.tensor([names.index(name) for name in OWNERS]))
        self.register_buffer("subclass_owners", torch.tensor([names.index(name) for name in SUBCLASS_OWNERS]))
        self.register_buffer("rhythm_columns", torch.tensor(RHYTHM_COLUMNS))
        place = [RHYTHM_COLUMNS.index(n) if n in RHYTHM_COLUMNS else len(RHYTHMS) for n in range(size)]
        self.register_buffer("rhythm_of", torch.tensor(place))
        self.register_buffer("no_rhythms", self.statements.validated & (self.rhythm_of == len(RHYTHMS)))

    def name_rhythm(self, calibrated: torch.Tensor, above: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The number of the rhythm, -1 if none reaches its threshold, and whether it is certain; ``(batch,)`` each."""
        above = above.index_select(1, self.rhythm_columns)
        candidates = torch.where(above, calibrated.index_select(1, self.rhythm_columns).float(), -1.0)
        validated = self.statements.validated.index_select(0, self.rhythm_columns)
        best, found = candidates.argmax(1), above.any(1) & validated.any()  # else rhythm is not assessed
        certain = found & validated.index_select(0, best)
        return torch.where(found, best, -1), certain

    def assert_statements(self, above: torch.Tensor, rhythm: torch.Tensor, certain: torch.Tensor) -> torch.Tensor:
        """Before they are held against the superclasses, bool ``(batch, 71)``."""
        named = (rhythm[:, None] == self.rhythm_of) & certain[:, None]
        return named | above & self.no_rhythms

    def implied(self, asserted: torch.Tensor) -> torch.Tensor:
        """Superclasses of asserted statements other than NORM, bool ``(batch, 5)``."""
        return asserted.float() @ self.implying > 0

    def keep_consistent(self, asserted: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return asserted & self.with_none(classes).index_select(1, self.owners)

    def assert_subclasses(self, above: torch.Tensor, classes: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        own = above & self.subclasses.validated & self.with_none(classes).index_select(1, self.subclass_owners)
        return own | (kept.float() @ self.subclass_members > 0)

    def of_subclasses(self, statements: torch.Tensor) -> torch.Tensor:
        """As `ecg.statements.any_probability` of the subclasses, ``(batch, 23)``."""
        absent = torch.cat([1 - statements, torch.ones_like(statements[:, :1])], 1)
        return 1 - absent.index_select(1, self.padded.flatten()).unflatten(1, self.padded.shape).prod(2)

    @staticmethod
    def with_none(classes: torch.Tensor) -> torch.Tensor:
        """A column of True added, for what belongs to no superclass."""
        return torch.cat([classes, torch.ones_like(classes[:, :1])], 1)


class DecisionNetwork(nn.Module):
    """From mV to decisions.

    network: whose checkpoint the decisions are of. input_scale: mV. decisions: task to the decisions of every task that
    this network answers; a binary network answers its own task alone.

    Input: float ``(batch, 12, samples)`` at 100 Hz in mV, any number of samples from 500.
    Output: a tuple, named by ``output_names``; docs/onnx.md says what each is.
    """

    def __init__(self, network: RecordingNetwork, input_scale: float, decisions: Mapping[str, Decisions]):
        super().__init__()
        self.network, self.input_scale = network, input_scale
        self.outputs = network.outputs
        self.tasks = nn.ModuleDict({task: ClassDecisions(one) for task, one in decisions.items()})
        multilabel = decisions.get("multilabel")
        known = multilabel is not None and multilabel.statements is not None
        self.findings = StatementFindings(multilabel.statements, multilabel.subclasses) if known else None

    @property
    def output_names(self) -> tuple[str, ...]:
        if "multilabel" not in self.tasks:
            return ("probabilities", *(("calibrated", "positive", "binary_near") if self.tasks else ()))
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
        )

    def forward(self, signals: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.decide(self.read(cut_stretches(signals)))

    def read(self, stretches: torch.Tensor) -> torch.Tensor:
        """Probabilities ``(batch, stretches, outputs)`` of stretches in mV ``(batch, stretches, 12, length)``."""
        return self.network(stretches.flatten(0, 1) / self.input_scale).unflatten(0, stretches.shape[:2])

    def decide(self, of_stretches: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All outputs from the stretches' uncalibrated probabilities, float32 ``(batch, stretches, outputs)``."""
        probabilities = of_stretches.double().mean(1)  # float64 from here on, as in numpy
        if "multilabel" in self.tasks:
            return self.decide_all(probabilities)
        answers = []
        for task in self.tasks.values():  # the one of a binary network
            calibrated, above, distances = task(probabilities[:, :1])
            answers = [calibrated.float(), above, distances < task.margin]
        return probabilities.float(), *answers

    def decide_all(self, probabilities: torch.Tensor) -> tuple[torch.Tensor, ...]:
        own, statements, _ = probabilities.split(self.outputs.lengths, 1)
        calibrated, classes, distances = self.tasks["multilabel"](own)
        implied = torch.zeros_like(classes)
        if self.findings:
            of_statements, above = self.findings.statements(statements)
            rhythm, certain = self.findings.name_rhythm(of_statements, above)
            asserted = self.findings.assert_statements(above, rhythm, certain)
            implied = self.findings.implied(asserted) & ~classes
            classes = classes | implied
        several = classes[:, NORM] & classes[:, NORM + 1 :].any(1)
        classes = torch.cat([(classes[:, NORM] & ~several)[:, None], classes[:, NORM + 1 :]], 1)
        binary = [self.answer(task, probabilities, classes) for task in BINARY_TASKS]
        scores, positive, withheld, near = (torch.stack(one, 1) for one in zip(*binary, strict=True))
        columns = [calibrated, *([of_statements] if self.findings else []), scores]
        answers = (
            probabilities.float(),
            torch.cat(columns, 1).float(),
            classes,
            distances.amin(1) < self.tasks["multilabel"].margin,
            distances.argmin(1),
            implied,
            several,
            positive,
            withheld,
            near,
        )
        if not self.findings:
            return answers
        kept = self.findings.keep_consistent(asserted, classes)
        subclasses, subclasses_above = self.findings.subclasses(self.findings.of_subclasses(statements))
        kept_subclasses = self.findings.assert_subclasses(subclasses_above, classes, kept)
        return *answers, subclasses.float(), kept, kept_subclasses, rhythm, certain

    def answer(
        self, task: str, probabilities: torch.Tensor, classes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Calibrated probability, whether it is positive, why it is withheld, whether it is near; ``(batch,)`` each."""
        mi, others = classes[:, MI], classes[:, MI + 1 :].any(1)
        asked = task == "norm_vs_abnormal"
        applies = torch.ones_like(mi) if asked else (classes[:, NORM] | mi) & ~others
        reason = torch.where(applies, SHOWN, torch.where(others, OUTSIDE, NEITHER))
        if task not in self.tasks:
            nothing = torch.full_like(probabilities[:, 0], torch.nan)
            no = torch.zeros_like(mi)
            return nothing, no, torch.where(reason == SHOWN, OTHER_FILE, reason), no
        calibrated, above, distances = (one[:, 0] for one in self.tasks[task](self.score(task, probabilities)))
        disagrees = above == classes[:, NORM] if asked else applies & (above != mi)
        return calibrated, above, torch.where(disagrees, CONTRADICTS, reason), distances < self.tasks[task].margin

    def score(self, task: str, probabilities: torch.Tensor) -> torch.Tensor:
        """As `inference.decisions.task_probabilities`, ``(batch, 1)``."""
        own, _, binary = probabilities.split(self.outputs.lengths, 1)
        if task in self.outputs.binary_tasks:
            column = self.outputs.binary_tasks.index(task)
            return binary[:, column : column + 1]
        norm, mi = own[:, NORM : NORM + 1], own[:, MI : MI + 1]
        if task == "norm_vs_abnormal":
            return 1 - norm
        return sigmoid(sum(log_odds_parts(mi)) - sum(log_odds_parts(norm)))
