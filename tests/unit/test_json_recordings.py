"""Two ways to read a recording from JSON, of which the faster one must not differ where it answers."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.json_recordings import RECORDING_DECODER, of_numbers_alone, recording_from_json

NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([1e-320, 2**64]))
OTHERS = st.one_of(st.none(), st.booleans(), st.text(max_size=3), st.lists(NUMBERS, max_size=3))


def written(leads, **more):
    return json.dumps({"sampling_rate": 100, "units": "mV", "leads": leads, **more}).encode()


@given(st.dictionaries(st.text(max_size=4), st.lists(NUMBERS, max_size=20), max_size=4))
def test_numbers_alone_are_those_of_the_slower_way(leads):
    body = written(leads)
    quickly = of_numbers_alone(body)
    if quickly is None:
        return
    slowly = RECORDING_DECODER.decode(body)
    assert (quickly.sampling_rate, quickly.units) == (slowly.sampling_rate, slowly.units)
    assert list(quickly.leads) == list(slowly.leads)
    for name, samples in quickly.leads.items():
        assert samples.tolist() == slowly.leads[name]


@given(st.lists(NUMBERS, max_size=5), OTHERS, st.lists(NUMBERS, max_size=5))
def test_anything_else_than_numbers_is_left_to_the_slower_way(before, other, after):
    assert of_numbers_alone(written({"I": [*before, other, *after]})) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"sampling_rate": 100, "units": "mV", "leads": {"I": [1, 2}}',
        b'{"sampling_rate": 100, "units": "mV", "leads": {"I": [NaN]}}',
        b'{"sampling_rate": 100, "units": "mV", "leads": {"I": {"0": 1}}}',
        written({"I": [1.0]}, more=1),
        written({"I": [1.0]}) + b"x",
        b'{"sampling_rate": 1e9, "units": "mV", "leads": {"I": [1]}}',
    ],
)
def test_what_is_wrong_is_left_to_the_slower_way(body):
    assert of_numbers_alone(body) is None
    with pytest.raises(ValueError, match="JSON"):
        recording_from_json(body)


def test_usual_recordings_take_the_faster_way():
    leads = {"I": [0.1, -2, 3e-2], "II": [1, 0, 5]}
    quickly = of_numbers_alone(msgspec.json.encode({"sampling_rate": 500, "units": "uV", "leads": leads}))
    assert {name: samples.tolist() for name, samples in quickly.leads.items()} == leads
    assert all(samples.dtype == np.float64 for samples in quickly.leads.values())
