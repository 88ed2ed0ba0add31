"""SNOMED CT codes: what they say of a recording, what they leave open, and that the map is whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import PROJECT
from ecg.snomed import CPSC_2018, SNOMED_CODES, has_class, is_mapped, label_classes
from ecg.statements import BY_CODE, STATEMENTS

CLASSES = {(one.level, one.name): one for one in label_classes()}
MI, T_WAVE, AFIB, RBBB, IRBBB, SINUS = "164865005", "164934002", "164889003", "59118001", "713426002", "426783006"


def says(codes: str, level: str, name: str) -> bool | None:
    """What codes, separated by blanks, say of a class."""
    return has_class(codes.split(), CLASSES[level, name])


@pytest.mark.parametrize(
    ("codes", "level", "name", "expected"),
    [
        (AFIB, "statement", "AFIB", True),
        (AFIB, "statement", "AFLT", False),
        (AFIB, "superclass", "NORM", False),
        (RBBB, "statement", "CRBBB", True),
        (RBBB, "subclass", "IRBBB", False),
        (RBBB, "superclass", "CD", True),
        (MI, "superclass", "MI", True),
        (MI, "subclass", "AMI", None),  # of whichever wall
        (MI, "statement", "QWAVE", False),
        (f"{MI} 54329005", "subclass", "AMI", True),
        (T_WAVE, "superclass", "STTC", None),  # PTB-XL calls some T-wave changes STTC and some form only
        (T_WAVE, "group", "NDT+LOWT+NT_+TAB_", True),
        ("425419005", "statement", "ISCIN", True),
        ("425419005", "group", "ISC_+ISCAL+ISCIN+ISCIL+ISCAS+ISCLA+ISCAN", True),
        ("233917008", "subclass", "_AVB", True),
        ("233917008", "statement", "1AVB", None),
        ("164873001", "superclass", "HYP", True),
        ("164873001", "statement", "VCLVH", None),
        ("6374002", "statement", "CLBBB", None),
        ("6374002", "superclass", "CD", True),
        ("368009", "superclass", "CD", False),  # heart valve disorder is not in the map
    ],
)
def test_a_code_has_a_class_leaves_it_open_or_excludes_it(codes, level, name, expected):
    assert says(codes, level, name) is expected


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (SINUS, True),
        (f"{SINUS} 427393009", True),  # sinus arrhythmia
        ("426177001", None),  # sinus bradycardia where nobody wrote sinus rhythm
        (f"{SINUS} {RBBB}", False),
        (f"{SINUS} {AFIB}", False),
        (f"{SINUS} {T_WAVE}", None),
        (f"{SINUS} 368009", None),
        ("", None),
    ],
)
def test_normal_is_sinus_rhythm_and_nothing_else(codes, expected):
    assert says(codes, "superclass", "NORM") is expected


@pytest.mark.parametrize(
    ("codes", "expected"), [(SINUS, True), (f"{SINUS} {RBBB}", True), (AFIB, False), (RBBB, None), (T_WAVE, None)]
)
def test_sinus_rhythm_is_open_where_no_rhythm_is_named(codes, expected):
    assert says(codes, "statement", "SR") is expected


@pytest.mark.parametrize(
    ("one", "other"),
    [("164909002", "733534002"), ("59118001", "713427006"), ("284470004", "63593006"), ("427172004", "17338001")],
)
def test_the_equivalents_of_the_challenge_are_one_class(one, other):
    assert SNOMED_CODES[one].statements == SNOMED_CODES[other].statements != frozenset()


def test_the_names_of_cpsc_2018_stand_for_mapped_codes():
    told = {name: {c.name for c in CLASSES.values() if has_class([code], c)} for name, code in CPSC_2018.items()}
    expected = {"Normal": "NORM", "AF": "AFIB", "I-AVB": "1AVB", "LBBB": "CLBBB", "RBBB": "CRBBB", "PAC": "PAC"}
    expected |= {"PVC": "PVC", "STD": "STD_", "STE": "STE_"}
    assert {name for name, statement in expected.items() if statement in told[name]} == set(CPSC_2018)


def test_the_map_names_statements_only_and_every_statements_own_code_is_that_of_the_challenges_ptbxl():
    for code in SNOMED_CODES.values():
        assert code.leaves_open <= set(BY_CODE), code
        assert bool(code.ptbxl_statements) == (code.ptbxl_records > 0 and is_mapped(code.snomed_ct)), code
    for statement in STATEMENTS:
        if statement.snomed_ct:
            assert statement.code in SNOMED_CODES[statement.snomed_ct].ptbxl_statements


def test_the_document_has_the_whole_map():
    document = (PROJECT / "docs" / "external.md").read_text(encoding="utf-8")
    lines = [line for line in document.splitlines() if line.startswith("| ") and line.split("|")[1].strip().isdigit()]
    listed = {cells[1].strip(): set(cells[3].split()) for cells in (line.split("|") for line in lines)}
    assert listed == {code.snomed_ct: set(code.statements) or {"–"} for code in SNOMED_CODES.values()}


@given(st.lists(st.sampled_from([*SNOMED_CODES, "1", "word"]), max_size=5), st.sampled_from([*SNOMED_CODES, "word"]))
def test_a_further_code_never_takes_a_class_away(codes, further):
    for one in CLASSES.values():
        if one.name != "NORM" and has_class(codes, one):
            assert has_class([*codes, further], one)
