"""The drawing measured on its own pixels: 10 of them are a millimetre at the drawing's 254 dpi."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from pypdf import PdfReader

from config import LEADS, RESEARCH_ONLY, SYNTHETIC_NOTICE
from ecg.plotting.draw import draw, draw_page, save
from ecg.plotting.interactive import draw_interactive, measure_rectangle
from ecg.plotting.layout import (
    ARRANGEMENTS,
    GAINS_MM_MV,
    SPEEDS_MM_S,
    Scale,
    Span,
    layout,
    shaded_boxes,
    trace_mm,
    traces_overlap,
)
from ecg.recording import Recording
from ecg.synthetic.patients import example_cases
from ecg.synthetic.simulation import synthesise
from tests.support.paper import RATE, TRACES_LEFT_MM, flat, with_pulse


def pixels(figure: Figure) -> np.ndarray:
    """RGB of a figure at its own dpi, y downwards."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(np.int16)


def ink(image: np.ndarray) -> np.ndarray:
    """Where the trace's black is."""
    return image.max(axis=2) < 90


def part(image: np.ndarray, left: float, right: float, bottom: float, top: float, px_mm: float = 10) -> np.ndarray:
    """A cut-out of an A4 page given in mm, y upwards."""
    x, y, width, height = (round(mm * px_mm) for mm in (left, 210 - top, right - left, top - bottom))
    return image[y : y + height, x : x + width]


def height_of_ink(image: np.ndarray, x_mm: float, bottom: float, top: float) -> float:
    """The mean y (mm) of the ink in the column of pixels at ``x_mm``."""
    rows = np.flatnonzero(ink(part(image, x_mm, x_mm + 0.1, bottom, top))[:, 0])
    return top - (rows.mean() + 0.5) / 10


def shaded_pixels(spans: list[Span], arrangement: str = "3x4") -> np.ndarray:
    """Where shading changes the drawing of a flat recording."""
    plain, shaded = (pixels(draw(flat(), arrangement=arrangement, shading=shading)) for shading in ((), spans))
    return (plain != shaded).any(axis=2)


def centres(marked: np.ndarray) -> np.ndarray:
    """The centre of each run of True in a row, in pixels."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(int), [0]])))
    return (edges[::2] + edges[1::2]) / 2


def texts(figure: Figure) -> list[Text]:
    """All texts on a page, with their places."""
    return [text for text in figure.axes[0].texts if text.get_text()]


# -- Scale on the paper -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dpi", "rounding"), [(254, 0.5), (300, 1.5)])  # at 300, a mm is no whole number of pixels
def test_grid_lines_are_one_and_five_millimetres_apart_both_ways(dpi, rounding):
    figure = draw(flat(present=False))
    figure.set_dpi(dpi)
    image, px_mm = pixels(figure), dpi / 25.4
    across = part(image, 0, 297, 198.3, 198.7, px_mm)[1:3].mean(axis=0)  # between the two uppermost lines
    down = part(image, 287.8, 288.2, 0, 210, px_mm)[:, 1:3].mean(axis=1)  # between the two rightmost lines
    for profile, squares in ((across, 56), (down, 37)):
        colour = profile[:, 1]  # green: 252 paper, 255 page
        every, strong = centres(colour < 245), centres(colour < 195)
        assert len(every) == 5 * squares + 1 and len(strong) == squares + 1
        assert np.abs(np.diff(every) - px_mm).max() <= rounding
        assert np.abs(np.diff(strong) - 5 * px_mm).max() <= rounding
        assert (strong[-1] - strong[0]) / squares == pytest.approx(5 * px_mm, abs=1 / squares)


@pytest.mark.parametrize(("speed", "gain"), [(12.5, 5), (12.5, 20), (25, 10), (25, 5), (50, 10), (50, 20)])
def test_a_pulse_in_a_lead_and_the_calibration_pulse_measure_right_on_the_paper(speed, gain):
    recording, scale = with_pulse(flat(), "aVL", 1, 2), Scale(speed, gain)
    page = layout(recording, scale, "6x2")
    image = pixels(draw(recording, scale, "6x2"))
    baseline = page.baselines_mm[4]
    bottom, top = baseline - 2, baseline + 1.1 * gain
    before, during = (height_of_ink(image, TRACES_LEFT_MM + t * speed, bottom, top) for t in (0.9, 1.9))
    assert during - before == pytest.approx(gain, abs=0.1)
    level = baseline + gain * 0.8  # over or under the names
    edges = centres(ink(part(image, TRACES_LEFT_MM, 280, level, level + 0.1))[0])[-2:] / 10
    assert edges == pytest.approx([speed, 2 * speed], abs=0.15)

    baseline = page.baselines_mm[-1]  # 1 mV for 200 ms, 5 mm before the trace
    bottom, top = baseline - 2, baseline + 1.1 * gain
    middle_mm = TRACES_LEFT_MM - 5 - 0.1 * speed
    foot, high = (height_of_ink(image, x_mm, bottom, top) for x_mm in (TRACES_LEFT_MM - 4, middle_mm))
    assert [foot, high] == pytest.approx([baseline, baseline + gain], abs=0.1)
    sides = centres(ink(part(image, 8.5, 28, baseline + gain / 2, baseline + gain / 2 + 0.1))[0])
    assert np.diff(sides) / 10 == pytest.approx([0.2 * speed], abs=0.1)


@pytest.mark.parametrize("suffix", [".pdf", ".png", ".svg"])
def test_files_print_at_true_size(tmp_path, suffix):
    path = tmp_path / f"ecg{suffix}"
    save(draw(flat()), path)
    if suffix == ".pdf":
        size_mm = np.array(PdfReader(path).pages[0].mediabox[2:], dtype=float) / 72 * 25.4
    elif suffix == ".svg":
        points = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', path.read_text()).groups()
        size_mm = np.array(points, dtype=float) / 72 * 25.4
    else:
        with Image.open(path) as image:
            size_mm = np.array(image.size) / image.info["dpi"] * 25.4
    assert size_mm == pytest.approx([297, 210], abs=0.02)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


# -- The right leads at the right times -------------------------------------------------------------------------------

EXPECTED_ROWS = {
    "3x4": [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"], ["II"]],
    "6x2": [["I", "V1"], ["II", "V2"], ["III", "V3"], ["aVR", "V4"], ["aVL", "V5"], ["aVF", "V6"]],
    "12x1": [[lead] for lead in LEADS],
    "3x4 Cabrera": [["aVL", "II", "V1", "V4"], ["I", "aVF", "V2", "V5"], ["−aVR", "III", "V3", "V6"], ["II"]],
    "6x2 Cabrera": [["aVL", "V1"], ["I", "V2"], ["−aVR", "V3"], ["II", "V4"], ["aVF", "V5"], ["III", "V6"]],
    "12x1 Cabrera": [[lead] for lead in ("aVL", "I", "−aVR", "II", "aVF", "III", *LEADS[6:])],
}


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_every_row_holds_its_leads_one_after_the_other(arrangement):
    page = layout(flat(), arrangement=arrangement)
    rows = [[strip for strip in page.strips if strip.row == row] for row in range(len(page.baselines_mm))]
    assert [[strip.label for strip in row] for row in rows] == EXPECTED_ROWS[arrangement]
    for row, baseline in zip(rows, page.baselines_mm, strict=True):
        assert {strip.y_mm for strip in row} == {baseline}
        for number, strip in enumerate(row):
            assert (strip.start_s, strip.end_s) == (10 * number / len(row), 10 * (number + 1) / len(row))
            assert strip.x_mm == TRACES_LEFT_MM + 25 * strip.start_s
    assert len(set(np.diff(page.baselines_mm))) == 1


def test_a_beat_is_drawn_where_its_lead_and_time_are():
    recording = flat()
    for lead in ("I", "II", "V5"):
        recording = with_pulse(recording, lead, 9, 9.1)
    page = layout(recording)
    image = pixels(draw(recording))
    x_mm = TRACES_LEFT_MM + 9.05 * 25
    risen = [height_of_ink(image, x_mm, y_mm - 2, y_mm + 15) - y_mm for y_mm in page.baselines_mm]
    assert risen == pytest.approx([0, 10, 0, 10], abs=0.1)  # V4, V5, V6 and the rhythm strip; I is over by then


@pytest.mark.parametrize(("arrangement", "row", "sign"), [("6x2", 3, 1), ("6x2 Cabrera", 2, -1)])
def test_avr_is_inverted_in_cabrera_order_only(arrangement, row, sign):
    recording = with_pulse(flat(), "aVR", 2, 2.2, -0.8)
    baseline = layout(recording, arrangement=arrangement).baselines_mm[row]
    image = pixels(draw(recording, arrangement=arrangement))
    drawn = height_of_ink(image, TRACES_LEFT_MM + 2.1 * 25, baseline - 12, baseline + 12)
    assert drawn - baseline == pytest.approx(-8 * sign, abs=0.1)


@pytest.mark.parametrize(
    ("seconds", "speed", "shown", "time"),
    [(60, 25, 10, "first 10 s of 60 s"), (10, 50, 5, "first 5 s of 10 s"), (10, 12.5, 10, "10 s"), (5, 25, 5, "5 s")],
)
def test_what_fits_is_shown_and_the_foot_says_so(seconds, speed, shown, time):
    recording = flat(seconds)
    page = layout(recording, Scale(speed))
    assert page.shown_s == max(strip.end_s for strip in page.strips) == shown
    foot = f"{speed:g} mm/s · 10 mm/mV · 500 Hz · no filter · {time}"
    assert foot in [text.get_text() for text in texts(draw(recording, Scale(speed)))]


# -- What is not a plain trace ----------------------------------------------------------------------------------------


def test_a_missing_lead_is_named_and_has_no_line_on_either_paper():
    recording = flat()
    recording.present[LEADS.index("V2")] = False
    figure = draw(recording, arrangement="6x2")
    labels = [text.get_text() for text in texts(figure)]
    assert labels.count("V2") == labels.count("not recorded") == 1
    page, image = layout(recording, arrangement="6x2"), pixels(figure)
    for strip in page.strips:
        drawn = ink(part(image, strip.x_mm + 1, strip.x_mm + 40, strip.y_mm - 1, strip.y_mm + 1)).any()
        assert drawn == (strip.lead != "V2")
    interactive = draw_interactive(recording, page)
    assert "V2" not in [trace.name for trace in interactive.data]
    assert "<b>V2</b> not recorded" in [note.text for note in interactive.layout.annotations]


def test_samples_that_are_not_numbers_leave_a_gap():
    recording = with_pulse(with_pulse(flat(), "I", 1, 1.4, np.nan), "I", 3, 3.4, np.inf)
    baseline = layout(recording, arrangement="6x2").baselines_mm[0]
    line = ink(part(pixels(draw(recording, arrangement="6x2")), TRACES_LEFT_MM, 150, baseline - 0.1, baseline + 0.1))
    seconds = centres(~line.any(axis=0))[:2] / 250
    assert seconds == pytest.approx([1.2, 3.2], abs=0.01)


def test_an_offset_moves_no_trace():
    recording = with_pulse(flat(), "V3", 7, 7.3)
    shifted = replace(recording, signal=recording.signal + np.float32(4))
    assert (pixels(draw(recording)) == pixels(draw(shifted))).all()


@pytest.mark.parametrize("arrangement", ["3x4", "6x2 Cabrera"])
def test_shading_lies_on_its_lead_and_milliseconds(arrangement):
    page = layout(flat(), arrangement=arrangement)
    changed = shaded_pixels([Span("V2", 6.8, 7.2, 1.0)], arrangement)
    rows, columns = np.nonzero(changed)
    left, right = columns.min() / 10, (columns.max() + 1) / 10
    bottom, top = 210 - (rows.max() + 1) / 10, 210 - rows.min() / 10
    (strip,) = (strip for strip in page.strips if strip.lead == "V2")
    assert [left, right] == pytest.approx([TRACES_LEFT_MM + 6.8 * 25, TRACES_LEFT_MM + 7.2 * 25], abs=0.11)
    assert [bottom, top] == pytest.approx(page.band_mm(strip.row), abs=0.11)


def test_shading_never_leaves_the_grid():
    page = layout(with_pulse(flat(), "III", 1, 1.2, -4.0), size_mm=(297, 130))  # pushes the rhythm strip to the edge
    for box, _ in shaded_boxes(page, [Span(lead, 0, 10, 1.0) for lead in LEADS]):
        assert page.grid.y_mm <= box.y_mm < box.y_mm + box.height_mm <= page.grid.y_mm + page.grid.height_mm


def test_shading_follows_a_lead_into_the_rhythm_strip_but_not_past_its_own_and_is_as_dark_as_it_is_strong():
    spans = [Span("II", 2, 3, 0.5), Span("V1", 0, 4, 0.5)]  # II ends at 2.5 s and V1 starts at 5 s
    page, changed = layout(flat()), shaded_pixels(spans)
    widths = [part(changed, 0, 297, y_mm + 4, y_mm + 4.1)[0].sum() / 250 for y_mm in page.baselines_mm]
    assert widths == pytest.approx([0, 0.5, 0, 1], abs=0.01)
    images = [pixels(draw(flat(), shading=shading)) for shading in ([], *([Span("V1", 5, 7, k)] for k in (0, 0.3, 1)))]
    assert (images[0] == images[1]).all()
    assert images[3][..., 0].sum() < images[2][..., 0].sum() < images[1][..., 0].sum()  # blue takes red away


def test_tall_waves_cross_their_neighbours_but_never_leave_the_grid():
    recording = with_pulse(with_pulse(flat(), "V3", 4, 4.2, 40.0), "V3", 6, 6.2, -40.0)
    page = layout(recording, arrangement="12x1")
    marks, flat_marks = (ink(pixels(draw(each, arrangement="12x1"))) for each in (recording, flat()))
    rise_mm = TRACES_LEFT_MM + 4 * 25
    assert part(marks, rise_mm - 0.5, rise_mm + 0.5, page.baselines_mm[0] + 5, page.baselines_mm[0] + 6).any()
    grid = np.zeros_like(marks)
    grid[110:1960, 85:2885] = True  # 14 to 199 mm up, 8.5 to 288.5 mm across
    assert (marks[~grid] == flat_marks[~grid]).all()


def with_tall_neighbours(millivolts: float) -> Recording:
    """Leads II and III with pulses towards each other at the same time."""
    return with_pulse(with_pulse(flat(), "II", 1, 1.2, -millivolts), "III", 1.1, 1.3, millivolts)


def test_rows_whose_waves_would_meet_get_the_room_they_need_as_long_as_there_is_any():
    tall = with_tall_neighbours(2.0)
    page = layout(tall, size_mm=(297, 130))
    distances = -np.diff(page.baselines_mm)
    assert distances[1] > 40 and (distances % 1 == 0).all() and (distances >= 8).all()
    assert not traces_overlap(page, tall)
    assert not traces_overlap(layout(with_tall_neighbours(0.5), arrangement="12x1"), with_tall_neighbours(0.5))
    assert traces_overlap(layout(tall, arrangement="12x1", size_mm=(297, 130)), tall)
    apart = with_pulse(with_pulse(flat(), "II", 1, 1.2, -9), "III", 1.3, 1.4, 9)
    assert not traces_overlap(layout(apart), apart)  # they pass each other at different times


def test_rows_that_are_cut_keep_their_traces_to_themselves():
    recording = with_tall_neighbours(5.0)
    page = layout(recording, arrangement="12x1")
    bottom, top = page.band_mm(1)
    images = []
    for cut in (False, True):
        figure = Figure(figsize=(297 / 25.4, 210 / 25.4), dpi=254)
        draw_page(figure.add_axes((0, 0, 1, 1)), page, recording, cut_rows=cut)
        images.append(part(ink(pixels(figure)), TRACES_LEFT_MM + 20, TRACES_LEFT_MM + 40, bottom - 20, bottom - 10))
    assert images[0].any() and not images[1].any()


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_a_tall_first_and_a_deep_last_row_are_not_cut(arrangement):
    recording = with_pulse(with_pulse(flat(), "I", 1, 1.1, 2.5), "aVL", 1, 1.1, 2.5)
    recording = with_pulse(with_pulse(recording, "V6", 9, 9.1, -2.5), "II", 9, 9.1, -2.5)
    page = layout(recording, arrangement=arrangement)
    heights = np.concatenate([trace_mm(page, strip, recording)[:, 1] for strip in page.strips])
    assert page.grid.y_mm < heights.min() and heights.max() < page.grid.y_mm + page.grid.height_mm


# -- Texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_texts_never_overlap_nor_leave_the_page(arrangement):
    recording, _ = synthesise(example_cases()["CD"], 100, np.random.default_rng(1))
    caption = "cost $5_000^ and a name far too long for one line " * 8
    figure = draw(
        recording, Scale(12.5, 20), arrangement, caption=caption, notice=f"{SYNTHETIC_NOTICE} {RESEARCH_ONLY}"
    )
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in texts(figure)]
    assert len(boxes) == 15 + arrangement.startswith("3x4")
    for number, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 2900 and box.y1 <= 2100
        assert not any(box.overlaps(other) for other in boxes[:number])


# -- Limits -----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    seconds=st.floats(5, 60),
    rate=st.floats(100, 1000),
    speed=st.sampled_from(SPEEDS_MM_S),
    gain=st.sampled_from(GAINS_MM_MV),
    arrangement=st.sampled_from(sorted(ARRANGEMENTS)),
)
def test_any_duration_and_rate_fits_the_paper(seconds, rate, speed, gain, arrangement):
    signal = np.random.default_rng(0).normal(0, 0.5, (12, round(seconds * rate))).astype(np.float32)
    recording = Recording(signal, rate, np.ones(12, bool))
    page = layout(recording, Scale(speed, gain), arrangement)
    assert {strip.lead for strip in page.strips} == set(LEADS)
    assert page.shown_s == pytest.approx(min(recording.duration, 250 / speed))
    for strip in page.strips:
        xs, ys = trace_mm(page, strip, recording).T
        sample = speed / rate
        assert strip.x_mm - 1e-4 <= xs[0] <= strip.x_mm + sample
        end = page.x_mm(strip, strip.end_s)
        assert end - 1.001 * sample <= xs[-1] <= min(end + 1e-4, 278.5001)
        assert np.isfinite(ys).all()
    draw(recording, Scale(speed, gain), arrangement)


def test_a_smaller_page_keeps_the_scale():
    assert layout(flat(), size_mm=(297, 130)).shown_s == 10
    assert draw(flat(), size_mm=(297, 130)).get_size_inches() * 25.4 == pytest.approx([297, 130])


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: Scale(30), "paper speed"),
        (lambda: Scale(25, 7), "gain"),
        (lambda: layout(flat(), arrangement="4x3"), "choose from 3x4"),
        (lambda: layout(flat(), size_mm=(40, 210)), "too small"),
        (lambda: layout(flat(), arrangement="12x1", size_mm=(297, 60)), "too small"),
        (lambda: Span("V7", 0, 1, 1), "no lead"),
        (lambda: Span("V1", 2, 1, 1), "span"),
        (lambda: Span("V1", 0, 1, 1.5), "strength"),
        (lambda: save(draw(flat()), "ecg.doc"), "not supported"),
    ],
)
def test_mistakes_are_explained(mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake()


# -- Interactive paper and caliper ------------------------------------------------------------------------------------


@given(st.floats(1, 5000), st.floats(0, 10), st.sampled_from(SPEEDS_MM_S), st.sampled_from(GAINS_MM_MV))
def test_the_caliper_measures_what_the_paper_shows(milliseconds, millivolts, speed, gain):
    page = layout(flat(rate=100), Scale(speed, gain))
    strip = page.strips[0]
    rectangle = {
        "x": [page.x_mm(strip, strip.start_s + milliseconds / 1000), page.x_mm(strip, strip.start_s)],
        "y": [page.y_mm(strip, 0.0), page.y_mm(strip, millivolts)],
    }
    measured = measure_rectangle(page.scale, rectangle)
    assert measured == (pytest.approx(milliseconds, rel=1e-6), pytest.approx(millivolts, abs=1e-9))


def test_pointing_at_a_trace_shows_the_recordings_own_numbers():
    recording, _ = synthesise(example_cases()["MI"], RATE, np.random.default_rng(1))
    page = layout(recording, arrangement="3x4 Cabrera")
    figure = draw_interactive(recording, page, [Span("V2", 5.0, 5.2, 0.6)])
    for strip, trace in zip(page.strips, figure.data, strict=False):
        number = len(trace.x) // 2
        milliseconds, millivolts = trace.customdata[number]
        sample = round(milliseconds / 1000 * RATE)
        assert millivolts == pytest.approx(recording.signal[LEADS.index(strip.lead), sample], abs=1e-4)
        assert trace.x[number] == pytest.approx(page.x_mm(strip, milliseconds / 1000), abs=1e-3)
        assert trace.y[number] == pytest.approx(page.y_mm(strip, millivolts), abs=1e-3)
    assert figure.layout.yaxis.scaleanchor == "x" and figure.layout.yaxis.scaleratio == 1
    assert {axis.minor.dtick for axis in (figure.layout.xaxis, figure.layout.yaxis)} == {1}
    (band,) = figure.layout.shapes
    assert band.x1 - band.x0 == pytest.approx(0.2 * 25)
