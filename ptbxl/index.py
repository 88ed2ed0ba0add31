"""PTB-XL's tables: recordings, folds and labels."""

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from config import SUPERCLASSES, SYNTHETIC_DEVICE, TASK_CLASSES


class DatasetError(RuntimeError):
    """The data set cannot serve the request; the message says what is missing and what to do."""


@dataclass(frozen=True, eq=False)
class Index:
    """All recordings the table lists, in its order, with their labels.

    directory: where the release lies.
    table: the original columns, indexed by ecg_id.
    superclasses: ``(n, 5)`` bool in the order of ``config.SUPERCLASSES``.
    statements: ``(n, 71)`` float32, likelihood in % of each SCP statement (0: unknown), NaN where absent.
    statement_table: the 71 statements, indexed by code.
    """

    directory: Path
    table: pd.DataFrame
    superclasses: np.ndarray
    statements: np.ndarray
    statement_table: pd.DataFrame

    @property
    def folds(self) -> np.ndarray:
        """``(n,)`` PTB-XL's stratified fold of each recording, 1 to 10."""
        return self.table["strat_fold"].to_numpy()

    @cached_property
    def is_synthetic(self) -> bool:
        """Whether any recording is a generated one."""
        return bool((self.table["device"] == SYNTHETIC_DEVICE).any())


def read_index(directory: Path | str) -> Index:
    """Read ``ptbxl_database.csv`` and ``scp_statements.csv``.

    A superclass is present if any of its diagnostic statements is in ``scp_codes``, whatever its
    likelihood: PTB-XL's own aggregation (Wagner et al. 2020, ``example_physionet.py``).
    Raises DatasetError if a file is missing or not PTB-XL's.
    """
    directory = Path(directory)
    for name in ("ptbxl_database.csv", "scp_statements.csv"):
        if not (directory / name).is_file():
            raise DatasetError(
                f"no {name} in {directory}. Put PTB-XL there (python dataset.py download), point --data or "
                "PTBXL_DIR at it, or make a generated set: python dataset.py demo demo/data"
            )
    try:
        table = pd.read_csv(directory / "ptbxl_database.csv", index_col="ecg_id")
        statement_table = pd.read_csv(directory / "scp_statements.csv", index_col=0)
        table["patient_id"] = table["patient_id"].astype(int)
        codes = table["scp_codes"].map(ast.literal_eval)
        statements = _likelihoods(codes, statement_table.index)
        superclasses = _superclasses(statements, statement_table)
    except (ValueError, KeyError, SyntaxError) as error:
        raise DatasetError(f"the tables in {directory} are not PTB-XL's: {error}") from error
    return Index(
        directory=directory,
        table=table,
        superclasses=superclasses,
        statements=statements,
        statement_table=statement_table,
    )


def _likelihoods(codes: pd.Series, statement_codes: pd.Index) -> np.ndarray:
    column = {code: number for number, code in enumerate(statement_codes)}
    likelihoods = np.full((len(codes), len(column)), np.nan, np.float32)
    for row, statements in enumerate(codes):
        for code, likelihood in statements.items():
            likelihoods[row, column[code]] = likelihood
    return likelihoods


def _superclasses(statements: np.ndarray, statement_table: pd.DataFrame) -> np.ndarray:
    present = ~np.isnan(statements)
    diagnostic_class = statement_table["diagnostic_class"].where(statement_table["diagnostic"] == 1)
    return np.stack([present[:, diagnostic_class == name].any(1) for name in SUPERCLASSES], axis=1)


def task_targets(superclasses: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Targets of a task and which recordings belong to it.

    superclasses: ``(n, 5)`` bool. Returns float32 targets ``(n, classes)`` and bool ``(n,)``.
    multilabel keeps every recording (no superclass: all zero); mi_vs_norm those with exactly one
    of MI and NORM; norm_vs_abnormal those with a superclass, abnormal being any but NORM.
    """
    norm, mi = superclasses[:, SUPERCLASSES.index("NORM")], superclasses[:, SUPERCLASSES.index("MI")]
    if task == "multilabel":
        return superclasses.astype(np.float32), np.ones(len(superclasses), bool)
    if task == "mi_vs_norm":
        return mi[:, None].astype(np.float32), mi != norm
    if task == "norm_vs_abnormal":
        abnormal = superclasses[:, 1:].any(1)
        return abnormal[:, None].astype(np.float32), superclasses.any(1)
    raise ValueError(f"unknown task {task!r}: one of {', '.join(TASK_CLASSES)}")
