"""SNOMED CT codes of the PhysioNet/CinC Challenges 2020 and 2021, and what they say in this project's classes.

A code stands for any of a set of SCP statements, and a class is a set of statements too. So a recording

- has a class if the statements of one of its codes all belong to it (164865005, myocardial infarction, is MI);
- may have it if only some do, or if the code says too little (164865005 leaves open which wall): then it does not count
  for that class;
- does not have it otherwise.

The Challenges' equivalents (LBBB and CLBBB, RBBB and CRBBB, PAC and SVPB, PVC and VPB) have the same statements.
``snomed_codes.csv`` is the whole map, docs/external.md explains it. Names, codes and counts in it are those of the
Challenge 2021's evaluation code, whose notice is in ``snomed_codes.LICENSE``.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from config import SUPERCLASSES
from ecg.statements import BY_CODE, STATEMENTS, SUBCLASSES

SINUS_RHYTHM = "426783006"
# sinus rhythm, arrhythmia, brady- and tachycardia: a recording with the first and no other code than these is normal
SINUS_CODES = {SINUS_RHYTHM, "427393009", "426177001", "427084000"}
CPSC_2018 = {  # what some headers of CPSC 2018 say in place of codes
    "Normal": SINUS_RHYTHM,
    "AF": "164889003",
    "I-AVB": "270492004",
    "LBBB": "164909002",
    "RBBB": "59118001",
    "PAC": "284470004",
    "PVC": "164884008",
    "STD": "429622005",
    "STE": "164931005",
}
LEVELS = ("superclass", "subclass", "statement", "group")


@dataclass(frozen=True, kw_only=True)
class SnomedCode:
    """One code of the Challenges.

    statements: a recording with the code has at least one of them; empty if no statement means the same.
    perhaps: further statements that the code leaves open.
    ptbxl_statements: those that the Challenges wrote as this code in their copy of PTB-XL, in ptbxl_records recordings.
    """

    snomed_ct: str
    name: str
    abbreviation: str
    statements: frozenset[str]
    perhaps: frozenset[str]
    ptbxl_statements: frozenset[str]
    ptbxl_records: int

    @property
    def leaves_open(self) -> frozenset[str]:
        """Statements that a recording with this code may have."""
        return self.statements | self.perhaps | self.ptbxl_statements


@dataclass(frozen=True)
class LabelClass:
    """A class that codes can tell: the statements any of which makes it.

    level: of `LEVELS`; a group is what one code stands for if that is no class of the network, such as any ischaemia.
    """

    level: str
    name: str
    statements: frozenset[str]


def _read_codes() -> dict[str, SnomedCode]:
    with open(Path(__file__).parent / "snomed_codes.csv", encoding="utf-8", newline="") as file:
        return {row["snomed_ct"]: _code_of(row) for row in csv.DictReader(file)}


def _code_of(row: dict[str, str]) -> SnomedCode:
    sets = {name: frozenset(row[name].split()) for name in ("statements", "perhaps", "ptbxl_statements")}
    plain = {name: row[name] for name in ("snomed_ct", "name", "abbreviation")}
    return SnomedCode(**plain, **sets, ptbxl_records=int(row["ptbxl_records"]))


SNOMED_CODES = _read_codes()
_OF_SUPERCLASS = {name: frozenset(s.code for s in STATEMENTS if s.superclass == name) for name in SUPERCLASSES}
_OF_SUBCLASS = {name: frozenset(s.code for s in STATEMENTS if s.subclass == name) for name in SUBCLASSES}
_RHYTHMS = frozenset(s.code for s in STATEMENTS if "rhythm" in s.groups)
_ABNORMAL = frozenset().union(*(_OF_SUPERCLASS[name] for name in SUPERCLASSES if name != "NORM")) | (
    _RHYTHMS - {"SR", "SARRH", "SBRAD", "STACH"}
)


def label_classes() -> tuple[LabelClass, ...]:
    """Every class that some code can tell: superclasses, then subclasses, statements and groups.

    NORM is a superclass only: its subclass and its statement are the same recordings.
    """
    single = {s.code: frozenset({s.code}) for s in STATEMENTS}
    named = {"superclass": _OF_SUPERCLASS, "subclass": _OF_SUBCLASS, "statement": single}
    known = {statements for members in named.values() for statements in members.values()}
    sets = dict.fromkeys(code.statements for code in SNOMED_CODES.values() if code.statements not in (*known, set()))
    named["group"] = {group_name(statements): statements for statements in sets}
    return tuple(
        LabelClass(level, name, statements)
        for level, members in named.items()
        for name, statements in members.items()
        if name != "NORM" or level == "superclass"
    )


def group_name(statements: Iterable[str]) -> str:
    """The name of a group: its statements in PTB-XL's order.

    >>> group_name({"AFLT", "AFIB"})
    'AFIB+AFLT'
    """
    return "+".join(code for code in BY_CODE if code in statements)


def has_class(codes: Iterable[str], label_class: LabelClass) -> bool | None:
    """Whether a recording with these SNOMED CT codes has a class; None if they leave it open.

    Codes that are not in the map say nothing. Sinus rhythm is left open in a recording whose codes name no rhythm, as
    in CPSC 2018, where it means a normal ECG.
    """
    if label_class.name == "NORM":
        return _is_normal(set(codes))
    known = [SNOMED_CODES[code] for code in codes if code in SNOMED_CODES]
    if any(code.statements and code.statements <= label_class.statements for code in known):
        return True
    if any(code.leaves_open & label_class.statements for code in known):
        return None
    if label_class.statements == {"SR"} and not any(code.statements & _RHYTHMS for code in known):
        return None
    return False


def _is_normal(codes: set[str]) -> bool | None:
    """Sinus rhythm and nothing else is normal, a diagnosis or another rhythm is not, the rest is open."""
    if SINUS_RHYTHM in codes and codes <= SINUS_CODES:
        return True
    known = [SNOMED_CODES[code] for code in codes if code in SNOMED_CODES]
    return False if any(code.statements and code.statements <= _ABNORMAL for code in known) else None


def tells(code: str, label_class: LabelClass) -> bool:
    """Whether a mapped code alone makes a recording one of the class."""
    return has_class([code], label_class) is True


def is_mapped(code: str) -> bool:
    """Whether a SNOMED CT code says anything in this project's classes."""
    return code in SNOMED_CODES and bool(SNOMED_CODES[code].statements)
