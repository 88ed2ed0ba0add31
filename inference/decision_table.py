"""Calibration and thresholds of all that one network decides, as PyTorch modules that ONNX has the operations for.

A `DecisionTable` has a column for each score and a row for each set of decisions: one row, or for a network that reads
any leads one for each set of leads, of which `LeadSetChoice` chooses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from config import BINARY_TASKS, LEADS, LIMB_LEADS
from ecg.lead_sets import CANONICAL_SETS
from inference.decisions import SMALLEST, Decisions
from inference.lead_sets import LeadSets

FAR = 1e9  # log odds: what is not assessable is never near its threshold


@dataclass(frozen=True, kw_only=True)
class Column:
    """How one score is decided; usable: whether it is assessable, or for statements and subclasses validated."""

    calibrator: dict
    threshold: float
    usable: bool


def columns_of(decisions: Mapping[str, Decisions]) -> list[Column]:
    """The columns of a table: classes, statements, subclasses, binary tasks; of those that there are."""
    classes, groups = decisions.get("multilabel"), []
    if classes is not None:
        groups.append((classes, classes.assessable))
        groups += [(level, level.validated) for level in (classes.statements, classes.subclasses) if level is not None]
    groups += [(decisions[task], decisions[task].assessable) for task in BINARY_TASKS if task in decisions]
    return [
        Column(calibrator=calibrator, threshold=float(threshold), usable=bool(usable))
        for group, flags in groups
        for calibrator, threshold, usable in zip(group.calibrators, group.thresholds, flags, strict=True)
    ]


def log_odds_parts(probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As `inference.decisions.log_odds_parts`."""
    clipped = probabilities.clamp(SMALLEST, 1 - SMALLEST)
    return clipped.log(), -(1 - clipped).log()


def log_odds(probabilities: torch.Tensor) -> torch.Tensor:
    return sum(log_odds_parts(probabilities))


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """As `inference.decisions.sigmoid`."""
    return 0.5 * (1 + torch.tanh(0.5 * x))


class Interpolation(nn.Module):
    """`numpy.interp` of one column, through other points in each row: float64 values ``(batch,)`` to the same.

    calibrators: one a row; rows whose calibrator is not isotonic give 0.
    """

    def __init__(self, calibrators: Sequence[dict]):
        super().__init__()
        points = [(one["x"], one["y"]) if one["kind"] == "isotonic" else ([0.0], [0.0]) for one in calibrators]
        longest = max(len(x) for x, _ in points)
        tables = {"x": np.full((len(points), longest), np.inf)}
        tables |= {name: np.zeros((len(points), longest + 1)) for name in ("origins", "heights", "slopes")}
        for row, (x, y) in enumerate(points):
            size = len(x)
            tables["x"][row, :size] = x
            # before the first point and from the last one on, the line is level
            tables["origins"][row, : size + 1] = [x[0], *x]
            tables["heights"][row, : size + 1] = [y[0], *y]
            tables["slopes"][row, 1:size] = np.diff(y) / np.diff(x)
        for name, table in tables.items():
            self.register_buffer(name, torch.tensor(table))

    def forward(self, values: torch.Tensor, row: torch.Tensor | None) -> torch.Tensor:
        piece = (values[:, None] >= of_row(self.x, row)).sum(1, keepdim=True)
        slope, origin, height = (self._at(table, row, piece) for table in (self.slopes, self.origins, self.heights))
        return height + slope * (values - origin)

    @staticmethod
    def _at(table: torch.Tensor, row: torch.Tensor | None, piece: torch.Tensor) -> torch.Tensor:
        if row is None:
            return table[0].index_select(0, piece[:, 0])
        return table.index_select(0, row).gather(1, piece)[:, 0]


def of_row(table: torch.Tensor, row: torch.Tensor | None) -> torch.Tensor:
    """The table's row of each recording; without a choice its only one."""
    return table if row is None else table.index_select(0, row)


class DecisionTable(nn.Module):
    """Calibrates and thresholds scores.

    rows: of each set of decisions its columns.
    """

    def __init__(self, rows: Sequence[Sequence[Column]]):
        super().__init__()
        for name in ("a", "b", "c"):  # an isotonic column is calibrated by its curve
            table = [[one.calibrator.get(name, 0.0) for one in row] for row in rows]
            self.register_buffer(name, torch.tensor(table, dtype=torch.float64))
        thresholds = torch.tensor([[one.threshold for one in row] for row in rows], dtype=torch.float64)
        self.register_buffer("thresholds", thresholds)
        self.register_buffer("threshold_odds", log_odds(thresholds))
        self.register_buffer("usable", torch.tensor([[one.usable for one in row] for row in rows]))
        curved = torch.tensor([[one.calibrator["kind"] == "isotonic" for one in row] for row in rows])
        self.curves = nn.ModuleDict(
            {
                str(column): Interpolation([row[column].calibrator for row in rows])
                for column in torch.nonzero(curved.any(0))[:, 0].tolist()
            }
        )
        self.register_buffer("smooth", (~curved).double())

    def calibrate(self, scores: torch.Tensor, row: torch.Tensor | None) -> torch.Tensor:
        """As `inference.decisions.apply_calibrators`: float64 ``(batch, columns)`` to the same."""
        positive, negative = log_odds_parts(scores)
        a, b, c = (of_row(table, row) for table in (self.a, self.b, self.c))
        calibrated = sigmoid(a * positive + b * negative + c)
        if not self.curves:
            return calibrated
        columns = list((calibrated * of_row(self.smooth, row)).split(1, 1))
        for number, curve in self.curves.items():
            columns[int(number)] = columns[int(number)] + curve(scores[:, int(number)], row)[:, None]
        return torch.cat(columns, 1)

    def above(self, calibrated: torch.Tensor, row: torch.Tensor | None) -> torch.Tensor:
        """Which scores are at or above their threshold, usable or not."""
        return calibrated >= of_row(self.thresholds, row)

    def distances(self, calibrated: torch.Tensor, row: torch.Tensor | None, columns: torch.Tensor) -> torch.Tensor:
        """How far these columns are from their thresholds, in log odds; `FAR` and more if they are not usable."""
        odds, usable = (table.index_select(1, columns) for table in (self.threshold_odds, self.usable))
        away = (log_odds(calibrated.index_select(1, columns)) - of_row(odds, row)).abs()
        return away + FAR * (1 - of_row(usable.double(), row))


class LeadSetChoice(nn.Module):
    """`LeadSets.choose`: which set's decisions apply to a recording, from which of its leads are there.

    ``names``: of the rows, "" the last, which applies where nothing else does.
    """

    def __init__(self, lead_sets: LeadSets):
        super().__init__()
        self.names = (*lead_sets.by_name, "")
        sizes = [len(CANONICAL_SETS[name]) if name else 0 for name in self.names]
        aurocs = [float(np.nan_to_num(one.auroc)) for one in lead_sets.by_name.values()]
        # larger sets first, of equally large ones those of better AUROC
        order = sorted(range(len(aurocs)), key=lambda n: (-sizes[n], -aurocs[n]))
        rank = torch.zeros(len(self.names))
        for place, number in enumerate(order):
            rank[number] = len(self.names) - place
        weights = torch.tensor([self._weights(name) for name in self.names])
        self.register_buffer("weights", weights.T.contiguous())
        self.register_buffer("needed", torch.tensor([self._needed(name) for name in self.names]))
        self.register_buffer("rank", rank + 1)
        self.register_buffer("sizes", torch.tensor(sizes))

    @staticmethod
    def _weights(name: str) -> list[float]:
        limb = 10.0 if name == "11" else 1.0  # any chest lead may lack, no limb lead
        members = LEADS if name == "11" else CANONICAL_SETS.get(name, ())
        return [(limb if lead in LIMB_LEADS else 1.0) * (lead in members) for lead in LEADS]

    def _needed(self, name: str) -> float:
        return sum(self._weights(name)) - (name == "11")

    def forward(self, present: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """present: 1 or 0 ``(batch, 12)``; the row of each recording, and whether it is of exactly these leads."""
        two = present[:, :3].sum(1, keepdim=True) >= 2  # they give all limb leads
        limb = torch.maximum(present[:, : len(LIMB_LEADS)], two.to(present.dtype))
        seen = torch.cat([limb, present[:, len(LIMB_LEADS) :]], 1)
        contained = seen @ self.weights >= self.needed
        row = (contained.to(present.dtype) * self.rank).argmax(1)
        exact = (self.sizes.index_select(0, row) == seen.sum(1).long()) & (row < len(self.names) - 1)
        return row, exact
