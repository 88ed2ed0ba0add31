"""Tables of numbers are read as pandas reads them."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.readers.number_tables import MISSING, read_columns, read_lines

CELLS = st.one_of(
    st.floats(-1e6, 1e6).map(repr),
    st.integers(-5000, 5000).map(str),
    st.floats(-10, 10).map(lambda value: f' "{value:.3f}"'.strip()),
    st.sampled_from(sorted(MISSING)),
)


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8), st.sampled_from(",;\t"), st.booleans()
)
def test_columns_are_those_of_pandas(rows, delimiter, blank):
    text = "\n".join(delimiter.join(row) for row in rows) + ("\n\n" if blank else "")
    options = {"header": None, "names": range(3), "usecols": [0, 2], "dtype": float, "index_col": False}
    expected = pd.read_csv(io.StringIO(text), sep=delimiter, comment="#", **options)
    np.testing.assert_allclose(read_columns(text, delimiter, [0, 2]), expected.to_numpy(), rtol=1e-12)


def test_short_rows_comments_and_blank_lines():
    text = "1,2,3\n\n4,5\n6,,8 # noted\n# a comment\n7,8,9,10\n"
    np.testing.assert_array_equal(read_columns(text, ",", [0, 2]), [[1, 3], [4, np.nan], [6, 8], [7, 9]])


@pytest.mark.parametrize("text", ["1,x\n", "1,1_0\n", "1,2\n3,0x10\n", "", "\n \n"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError):
        read_columns(text, ",", [0, 1])


def test_lines_of_one_number():
    np.testing.assert_array_equal(read_lines('1.5\n\n"-2"\r\n 3 '), [1.5, np.nan, -2, 3])
    for text in ("1\nx", "1\n2,5", "1_0"):
        with pytest.raises(ValueError):
            read_lines(text)
