import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from config import LEADS
from ecg.paper import ARRANGEMENTS, STRONG_LINE, Scale, Span, calibration_mm, draw, layout, save, trace_mm
from ecg.recording import Recording

DPI = 254  # 10 pixels a mm
STRONG = np.array([round(255 * part) for part in to_rgb(STRONG_LINE)])


def recording(duration=10.0, rate=500, present=None):
    """Each lead a ramp of its own slope, so that every stretch can be told from every other."""
    t = np.arange(round(duration * rate)) / rate
    signal = np.stack([0.02 * (number + 1) * (t - duration / 2) / duration for number in range(12)])
    return Recording(signal.astype(np.float32), rate, np.ones(12, bool) if present is None else present)


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return np.asarray(Image.open(buffer).convert("RGB")).astype(int)


def strong_lines(darkness):
    """Positions (pixels) of the strong grid lines along one axis."""
    peaks = np.flatnonzero(darkness > 0.2 * darkness.max())
    groups = np.split(peaks, np.flatnonzero(np.diff(peaks) > 3) + 1)
    return np.array([group.mean() for group in groups])


def test_the_printed_grid_is_five_millimetres_both_ways_at_true_page_size():
    flat = Recording(np.zeros((12, 5000), np.float32), 500, np.zeros(12, bool))
    image = pixels(draw(flat, arrangement="12x1"))
    assert image.shape[:2] == (2100, 2970)
    for axis in (0, 1):
        lines = strong_lines((np.abs(image - STRONG).max(2) < 30).mean(axis))
        np.testing.assert_allclose(np.diff(lines), 50, atol=1.1)
        assert len(lines) > 30


@pytest.mark.parametrize("gain", [5, 10, 20])
def test_the_calibration_pulse_is_one_millivolt_and_200_ms(gain):
    page = layout(recording(), Scale(25, gain))
    pulse = calibration_mm(page)[-1]
    assert np.ptp(pulse[:, 1]) == pytest.approx(gain)
    assert pulse[3, 0] - pulse[2, 0] == pytest.approx(5)


def test_the_pulse_is_ten_millimetres_high_on_the_picture():
    page = layout(recording(), Scale(25, 10))
    image = pixels(draw(recording(), Scale(25, 10)))
    pulse = calibration_mm(page)[0]
    middle = round((pulse[2, 0] + pulse[3, 0]) / 2 * 10)
    black = np.flatnonzero(image[:, middle].max(1) < 100)
    top = 2100 - pulse[2, 1] * 10
    assert abs(black - top).min() <= 2
    foot = round((pulse[0, 0] + 1) * 10)
    low = np.flatnonzero(image[:, foot].max(1) < 100)
    assert abs(low - (top + 100)).min() <= 2


@pytest.mark.parametrize("speed", [12.5, 25, 50])
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_time_and_voltage_have_the_paper_scale_in_every_strip(speed, arrangement):
    ecg = recording()
    page = layout(ecg, Scale(speed, 10), arrangement)
    for strip in page.strips:
        points = trace_mm(page, strip, ecg)
        row = ecg.signal[LEADS.index(strip.lead)]
        first = round(strip.start_s * 500)
        expected = (
            strip.sign * (row[first : first + len(points)] - np.median(row[: round(page.shown_s * 500) + 1])) * 10
        )
        np.testing.assert_allclose(points[:, 1] - strip.y_mm, expected, atol=1e-3)
        np.testing.assert_allclose(np.diff(points[:, 0]), speed / 500)
        assert page.grid.x_mm <= points[:, 0].min() and points[:, 0].max() <= page.grid.x_mm + page.grid.width_mm


def test_three_by_four_shows_each_lead_for_a_quarter_and_a_rhythm_strip():
    strips = layout(recording()).strips
    assert [strip.label for strip in strips] == [*LEADS, "II"]
    assert [(strip.start_s, strip.end_s) for strip in strips[::3]] == [(0, 2.5), (2.5, 5), (5, 7.5), (7.5, 10), (0, 10)]


def test_cabrera_runs_round_the_heart_with_avr_inverted():
    page = layout(recording(), arrangement="6x2 Cabrera")
    limb = page.strips[:6]
    assert [strip.label for strip in limb] == ["aVL", "I", "\N{MINUS SIGN}aVR", "II", "aVF", "III"]
    assert [strip.sign for strip in limb] == [1, 1, -1, 1, 1, 1]
    assert page.y_mm(limb[2], limb[2].baseline_mv + 1) < limb[2].y_mm < page.y_mm(limb[1], limb[1].baseline_mv + 1)


def test_a_missing_lead_is_named_as_such_and_not_drawn():
    present = np.ones(12, bool)
    present[LEADS.index("V3")] = False
    figure = draw(recording(present=present))
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words.count("not recorded") == 1
    whole = draw(recording())
    traces = [
        next(item for item in drawing.axes[0].collections if item.get_gid() == "traces") for drawing in (figure, whole)
    ]
    assert len(traces[1].get_segments()) - len(traces[0].get_segments()) == 1


def test_shading_lands_on_its_lead_and_milliseconds_only():
    ecg = recording()
    page = layout(ecg)
    plain, shaded = pixels(draw(ecg)), pixels(draw(ecg, shading=[Span("V2", 5.5, 6.0, 1.0)]))
    rows, columns = np.nonzero(np.abs(plain - shaded).sum(2))
    strip = next(strip for strip in page.strips if strip.lead == "V2")
    assert columns.min() == pytest.approx(page.x_mm(strip, 5.5) * 10, abs=2)
    assert columns.max() == pytest.approx(page.x_mm(strip, 6.0) * 10, abs=2)
    middle = 2100 - strip.y_mm * 10
    assert abs(rows.min() - (middle - page.row_mm * 5)) <= 2 and abs(rows.max() - (middle + page.row_mm * 5)) <= 2


def test_a_long_recording_says_how_much_is_shown():
    page = layout(recording(60), Scale(25, 10))
    assert page.shown_s < 60 and f"first {page.shown_s:g} s of 60 s" in page.statement
    assert "25 mm/s" in page.statement and "no filter" in page.statement


def test_saved_files_have_the_right_kind_and_a_printable_size(tmp_path):
    figure = draw(recording(), caption="a $10 caption", notice="synthetic")
    for suffix, magic in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<?xml")):
        save(figure, tmp_path / f"ecg.{suffix}")
        assert (tmp_path / f"ecg.{suffix}").read_bytes().startswith(magic)
    assert b"/MediaBox [ 0 0 841.889" in (tmp_path / "ecg.pdf").read_bytes()
    with pytest.raises(ValueError, match="pdf, png, svg"):
        save(figure, tmp_path / "ecg.bmp")


def test_nonsense_is_refused_in_words():
    with pytest.raises(ValueError, match="paper speed"):
        Scale(30, 10)
    with pytest.raises(ValueError, match="gain"):
        Scale(25, 7)
    with pytest.raises(ValueError, match="no arrangement"):
        layout(recording(), arrangement="4x3")
    with pytest.raises(ValueError, match="no lead"):
        Span("V9", 0, 1, 1)


@example_settings(max_examples=8)
@given(st.floats(5, 60), st.integers(100, 1000), st.sampled_from(list(ARRANGEMENTS)), st.booleans())
def test_any_recording_can_be_drawn_inside_the_page(duration, rate, arrangement, broken):
    ecg = recording(duration, rate)
    if broken:
        ecg.signal[3, 10:50] = np.nan
        ecg.signal[4] *= 1000
    page = layout(ecg, arrangement=arrangement)
    image = pixels(draw(ecg, arrangement=arrangement))
    grid = page.grid
    left, right = round(grid.x_mm * 10), round((grid.x_mm + grid.width_mm) * 10)
    top, bottom = 2100 - round((grid.y_mm + grid.height_mm) * 10), 2100 - round(grid.y_mm * 10)
    outside = np.ones(image.shape[:2], bool)
    outside[top - 3 : bottom + 4, left - 3 : right + 4] = False
    outside[bottom:] = False  # the words at the foot
    assert not (image[outside].max(1) < 100).any()
