"""The map of SNOMED CT codes against PTB-XL: the Challenges' counts, and who is normal."""

import numpy as np

from ecg.snomed import SNOMED_CODES, has_class, label_classes
from tests.support.challenge_files import codes_of_statements

CHALLENGE_RECORDINGS = 21_837


def statements_of(real) -> list[set[str]]:
    """The statements of each recording."""
    codes = np.array(real.statement_table.index)
    return [set(codes[present]) for present in ~np.isnan(real.statements)]


def test_the_challenges_counts_are_those_of_the_statements_behind_each_code(real):
    recordings = statements_of(real)
    scale = CHALLENGE_RECORDINGS / len(recordings)  # their copy has all ten folds
    wrong = {}
    for code in SNOMED_CODES.values():
        expected = scale * sum(bool(code.ptbxl_statements & present) for present in recordings)
        if code.ptbxl_statements and abs(expected - code.ptbxl_records) > 5 + 0.02 * code.ptbxl_records:
            wrong[code.name] = (round(expected), code.ptbxl_records)
    assert wrong == {}


def test_recordings_that_are_normal_by_their_codes_are_labelled_norm(real):
    (norm,) = (one for one in label_classes() if one.name == "NORM")
    says = [has_class(codes_of_statements(present), norm) for present in statements_of(real)]
    labelled = ["NORM" in present for present in statements_of(real)]
    both = sum(there is True and right for there, right in zip(says, labelled, strict=True))
    assert both > 0.99 * says.count(True)
    assert both > 0.8 * sum(labelled)
