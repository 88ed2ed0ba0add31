"""Recordings of fewer than twelve leads on the paper."""

from dataclasses import replace

import numpy as np
import pytest

from config import LEADS, LIMB_LEADS
from ecg.plotting.draw import draw
from ecg.plotting.interactive import draw_interactive
from ecg.plotting.layout import (
    Span,
    layout,
    trace_mm,
)
from ecg.plotting.rr_line import beat_marks, interval_marks
from ecg.recording import Recording
from ecg.rr_intervals import RRIntervals
from tests.support.paper import TRACES_LEFT_MM, flat, with_pulse


def of_leads(*leads: str, seconds: float = 10.0) -> Recording:
    return replace(flat(seconds), present=np.isin(LEADS, leads))


def rows_of(page) -> dict[int, list[str]]:
    return {row: [strip.lead for strip in page.strips if strip.row == row] for row in range(len(page.baselines_mm))}


@pytest.mark.parametrize(
    ("leads", "arrangement", "expected"),
    [
        (("V5",), "3x4", {0: ["V5"]}),
        (("II", "V5"), "3x4", {0: ["II"], 1: ["V5"]}),
        (("I", "II", "V2"), "12x1", {0: ["I"], 1: ["II"], 2: ["V2"]}),
        (LIMB_LEADS, "3x4", {0: ["I", "aVR"], 1: ["II", "aVL"], 2: ["III", "aVF"], 3: ["II"]}),
        (LIMB_LEADS, "6x2", {row: [lead] for row, lead in enumerate(LIMB_LEADS)}),
        (LIMB_LEADS, "6x2 Cabrera", {row: [lead] for row, lead in enumerate(("aVL", "I", "aVR", "II", "aVF", "III"))}),
        ((*LIMB_LEADS, "V2"), "3x4", {0: ["I", "aVR", "V2"], 1: ["II", "aVL"], 2: ["III", "aVF"], 3: ["II"]}),
        (("V1", "V2", "V3", "V4"), "3x4", {0: ["V1", "V4"], 1: ["V2"], 2: ["V3"]}),
    ],
)
def test_only_what_was_recorded_is_placed(leads, arrangement, expected):
    page = layout(of_leads(*leads), arrangement=arrangement)
    assert rows_of(page) == expected
    assert all(strip.present for strip in page.strips)
    assert page.shown_s == 10.0
    bottom, top = page.grid.y_mm, page.grid.y_mm + page.grid.height_mm
    assert all(bottom < y_mm < top for y_mm in page.baselines_mm)


def test_from_eight_leads_on_they_keep_their_places():
    page = layout(of_leads(*(lead for lead in LEADS if lead not in ("V3", "V4"))))
    assert rows_of(page) == rows_of(layout(flat()))
    assert [strip.lead for strip in page.strips if not strip.present] == ["V3", "V4"]


def test_a_single_lead_runs_on_over_three_rows():
    recording = with_pulse(of_leads("I", seconds=30.0), "I", 24.0, 24.2)
    page = layout(recording)
    assert [(strip.start_s, strip.end_s) for strip in page.strips] == [(0, 10), (10, 20), (20, 30)]
    assert len({strip.x_mm for strip in page.strips}) == 1
    assert page.shown_s == 30.0
    trace = trace_mm(page, page.strips[2], recording)
    pulse = trace[trace[:, 1] > page.strips[2].y_mm + 5]
    assert pulse[0, 0] - TRACES_LEFT_MM == pytest.approx(4 * 25, abs=0.1)
    longer = layout(of_leads("I", seconds=60.0))
    assert (len(longer.strips), longer.shown_s) == (3, 30.0)
    rr = RRIntervals(beats_s=np.arange(0.5, 30, 1.0), early=np.zeros(30, bool))
    assert [mark.x_mm for mark in beat_marks(page, rr)] == pytest.approx(
        [TRACES_LEFT_MM + 25 * (second + 0.5) for second in range(10)]
    )
    assert {mark.text for mark in interval_marks(page, rr)} == {"1000"}


@pytest.mark.parametrize("leads", [("I",), ("I", "II"), ("I", "II", "V2"), LIMB_LEADS])
def test_few_leads_are_drawn_in_every_view(leads):
    recording = of_leads(*leads)
    figure = draw(recording, notice="notice")
    labels = [text.get_text() for text in figure.axes[0].texts]
    assert set(leads) <= set(labels) and not set(LEADS) - set(leads) & set(labels)
    assert "not recorded" not in labels
    interactive = draw_interactive(recording, layout(recording), [Span(leads[0], 1, 2, 1.0)])
    assert {trace.name for trace in interactive.data if trace.name} == set(leads)
    assert len(interactive.layout.shapes) >= 1
