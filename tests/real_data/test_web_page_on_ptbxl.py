"""The page of web/ in Chromium with the real PTB-XL: it says what `predict.py --no-quality` says."""

import pytest

from config import DEFAULT_OUT
from inference.diagnoser import Diagnoser
from ptbxl.records import record_path
from tests.support.web_page import build_page, open_page, require_build_tools, serve_page
from tests.support.web_parity import assert_agreement
from tools.browser import window

RECORDINGS = 200


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    require_build_tools()
    out = tmp_path_factory.mktemp("web")
    build_page(out, DEFAULT_OUT)
    with serve_page(out) as address, window() as page:
        open_page(page, address)
        yield page


def test_200_ecgs_at_100_and_at_500_hz_have_the_result_that_python_has(real, page):
    diagnoser = Diagnoser.load(DEFAULT_OUT)
    fine = [i for i in real.table.index if record_path(real, i, 500).with_suffix(".hea").is_file()][: RECORDINGS // 2]
    coarse = [i for i in real.table.index[real.folds == 9] if i not in fine][: RECORDINGS - len(fine)]
    assert len(fine) + len(coarse) == RECORDINGS and fine
    assert_agreement(page, real, fine, 500, diagnoser)
    assert_agreement(page, real, [*fine, *coarse], 100, diagnoser)
