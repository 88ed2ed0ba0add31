"""The running page in a real browser, as a reader uses it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError
from pypdf import PdfReader

from config import DEFAULT_OUT, LEADS, PROJECT, RESEARCH_ONLY
from tests.support.required import unavailable
from tools.browser import (
    PAPER,
    PHONE,
    WAIT_S,
    chromium,
    drag_caliper,
    explain,
    open_sidebar,
    press,
    serve,
    settle,
    wait_for_paper,
    window,
)

ARTIFACTS = Path(os.environ.get("HMT_ARTIFACTS") or DEFAULT_OUT)


@pytest.fixture(scope="module")
def address(demo_data):
    """The page, served with the shipped networks and the generated data set."""
    if chromium() is None:
        unavailable("there is no Chromium: apt-get install chromium", "REQUIRE_BROWSER")
    with serve(demo_data) as address:
        yield address


@pytest.fixture(scope="module")
def browser(address):
    with window() as page:
        yield page


@pytest.fixture
def page(browser, address):
    """The page as it opens."""
    browser.goto(address)
    wait_for_paper(browser, "anterior infarction")
    settle(browser)
    return browser


def upload(page, *files: tuple[str, bytes], place: str = ".st-key-upload") -> None:
    """Choose files in the sidebar or, if another place is named, there."""
    if place == ".st-key-upload":
        press(page, "source", "Your file")
    page.locator(f'{place} input[type="file"]').set_input_files(
        [{"name": name, "mimeType": "application/octet-stream", "buffer": content} for name, content in files]
    )


def example(name: str) -> list[tuple[str, bytes]]:
    """The files of a shipped example, its header with age, sex and date."""
    record = ARTIFACTS / "examples" / name
    first, rest = record.with_suffix(".hea").read_text().split("\n", 1)
    header = f"{first} 10:20:30 05/02/2019\n{rest}\n#Age: 56\n#Sex: Female\n"
    return [(f"{name}.hea", header.encode()), (f"{name}.dat", record.with_suffix(".dat").read_bytes())]


def table(value: str, leads=LEADS) -> bytes:
    """Ten seconds at 100 Hz of one value in all leads, rate and unit not stated."""
    return "\n".join([",".join(leads)] + [",".join([value] * len(leads))] * 1000).encode()


def error(page):
    """The page's error boxes."""
    return page.get_by_test_id("stAlertContentError")


def choose(box, option) -> None:
    """An option of a drop-down list; the list closes when the page is drawn anew, so it is opened again."""
    for _ in range(10):
        box.click()
        try:
            option.click(timeout=3000)
            return
        except TimeoutError:
            continue
    pytest.fail("the list never stayed open")


def no_stack_trace(page) -> bool:
    return "Traceback" not in page.inner_text("body") and page.get_by_test_id("stException").count() == 0


def test_it_opens_with_an_ecg_its_prediction_and_the_disclaimer_and_explains_a_class(page):
    assert page.locator("h2").first.inner_text().startswith("Sinus rhythm. Anteroseptal myocardial infarction.")
    assert page.locator(PAPER).evaluate("image => image.naturalWidth > 0")
    assert page.get_by_text(RESEARCH_ONLY).first.is_visible()
    explain(page, "MI")
    page.get_by_text("Evidence for MI by lead").wait_for()
    assert page.locator(".bar-row.lead").count() == 6


def test_the_rhythm_is_explained_by_its_rr_intervals_and_a_statement_by_its_leads(page):
    press(page, "shaded", "Rhythm")
    wait_for_paper(page, "RR intervals: RR intervals from 750 to 790 ms")
    page.get_by_text("Rhythm: RR intervals").wait_for()
    explain(page, "ASMI")
    page.get_by_text("Evidence for anteroseptal myocardial infarction (ASMI) by lead").wait_for()


def test_statements_are_searched_in_their_table(page):
    rows = page.locator(".statements tbody tr")
    assert rows.count() == 71
    page.get_by_placeholder("Code, name, class or SNOMED CT code").fill("fibrillation")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('.statements tbody tr').length === 1")
    assert rows.first.inner_text().startswith("AFIB") and no_stack_trace(page)


def test_a_good_upload_is_read_and_a_bad_one_gets_the_readers_message(page):
    upload(page, *example("left_bundle_branch_block"))
    wait_for_paper(page, "left_bundle_branch_block, 3x4")
    assert page.locator("h2", has_text="Complete left bundle branch block.").is_visible()
    assert page.get_by_text("woman, 56 years · recorded 2019-02-05").is_visible()
    assert page.locator(".chip", has_text="MI screening").inner_text().startswith("MI screening: not applicable here")
    page.reload()
    upload(page, ("<b>notes</b>.txt", b"no ECG at all"))
    error(page).get_by_text("This file cannot be used").wait_for()
    assert page.locator(PAPER).count() == 0 and no_stack_trace(page)


def test_a_file_without_rate_and_unit_opens_their_controls_and_without_all_leads_is_drawn_but_not_diagnosed(page):
    upload(page, ("eleven.csv", table("0.1", LEADS[:11])))
    error(page).get_by_text("the sampling rate is not in the file").wait_for()
    rate = page.get_by_label("Sampling rate (Hz)")
    rate.fill("100")
    rate.press("Enter")
    error(page).get_by_text("the unit of I is not in the file").wait_for()
    settle(page)
    choose(page.get_by_label("Unit", exact=False).last, page.get_by_role("option", name="mV"))
    wait_for_paper(page, "eleven.csv")
    # a flat line either way: refused for the missing lead, or unusable where a network for missing leads is served
    why = re.compile("No prediction: lead V6 is missing|No diagnosis: recording unusable")
    assert page.get_by_text(why).first.is_visible() and no_stack_trace(page)


def test_an_unusable_recording_gets_no_diagnosis_on_the_page_nor_in_the_report(page):
    upload(page, ("flat.csv", b"# fs: 100\n# units: mV\n" + table("0")))
    wait_for_paper(page, "flat.csv")
    assert page.locator("h2").first.inner_text() == "No diagnosis: recording unusable"
    assert page.locator(".bar-row").count() == page.locator(".st-key-shaded").count() == 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (PDF)").click()
    assert "No diagnosis: recording unusable" in PdfReader(download.value.path()).pages[0].extract_text()


def test_paper_that_is_longer_than_the_page_is_wide_scrolls_at_the_same_scale(page):
    def height() -> float:
        return page.locator(PAPER).bounding_box()["height"]

    before = height()
    press(page, "speed", "50")
    wait_for_paper(page, "50 mm/s")
    settle(page)
    assert height() == pytest.approx(before, rel=0.01)
    overflows = "box => box.scrollWidth > 1.5 * box.clientWidth"
    assert page.locator(".paper-scroll").evaluate(overflows)
    page.get_by_text("Zoom and measure").click()
    page.locator(".stPlotlyChart .nsewdrag").first.wait_for()
    settle(page)
    assert page.locator(".st-key-chart").evaluate(overflows)
    assert page.locator(".stPlotlyChart svg").first.evaluate("svg => svg.clientWidth") > 1400


def test_ecgs_and_layouts_are_switched(page):
    page.get_by_label("Example", exact=True).first.click()
    page.get_by_role("option", name="Normal ECG").click()
    wait_for_paper(page, "Example: normal ecg")
    page.locator("h2", has_text="Normal ECG").wait_for()
    press(page, "layout", "12x1")
    wait_for_paper(page, "12x1, 25 mm/s, 10 mm/mV")
    page.get_by_text("Cabrera order").click()
    press(page, "gain", "20")
    wait_for_paper(page, "12x1 Cabrera, 25 mm/s, 20 mm/mV")


def test_the_data_set_can_be_browsed_by_keyboard(page):
    press(page, "source", "PTB-XL")
    wait_for_paper(page, "Generated set")
    before = page.locator(PAPER).get_attribute("alt")
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector)?.alt !== before", arg=[PAPER, before]
    )
    assert no_stack_trace(page)


def test_calipers_measure_a_dragged_rectangle(page):
    box = drag_caliper(page, 200, 100, 300, 150)
    milliseconds = float(page.locator(".tile", has_text="Caliper, time").locator("b").inner_text().split()[0])
    px_per_mm = box["width"] / 280  # 10 s of 25 mm, 20 mm before them, 10 mm after
    assert milliseconds == pytest.approx(100 / px_per_mm * 40, rel=0.05)


def test_the_report_is_one_page_of_searchable_text(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (PDF)").click()
    (sheet,) = PdfReader(download.value.path()).pages
    text = " ".join(sheet.extract_text().split())
    assert all(part in text for part in ("Prediction: Sinus rhythm. Anteroseptal", "Evidence for MI", RESEARCH_ONLY))
    assert download.value.suggested_filename == "Example__anterior_infarction_report.pdf"


def test_every_tab_opens_under_the_disclaimer(page):
    for tab, proof in (("Compare", ".st-key-pair .paper-scroll"), ("Model", "table"), ("Live", "iframe")):
        page.get_by_role("tab", name=tab).click()
        page.locator(proof).first.wait_for()
        assert page.locator(".disclaimer").is_visible() and no_stack_trace(page)
    page.locator(".big").wait_for()
    assert page.locator(".prediction h2").inner_text().startswith("Sinus rhythm.")
    assert page.locator(".live-rhythm").inner_text() == "Sinus rhythm"


def test_two_uploads_are_compared(page):
    page.get_by_role("tab", name="Compare").click()
    press(page, "compare", "Your files")
    upload(page, *example("normal"), place=".st-key-compare-First")
    upload(page, ("b.txt", b"no ECG"), place=".st-key-compare-Second")
    error(page).get_by_text("Choose another under “Second recording” above").wait_for()
    assert page.locator(PAPER).count() == 0
    page.locator(".st-key-compare-Second").get_by_role("button", name="Remove").first.click()
    upload(page, *example("left_hypertrophy"), place=".st-key-compare-Second")
    page.get_by_text("Change from first to second").wait_for()
    titles = [image.get_attribute("alt") for image in page.locator(PAPER).all()]
    assert ["normal" in titles[0], "left_hypertrophy" in titles[1]] == [True, True] and error(page).count() == 0


def test_a_phone_shows_it_without_scrolling_sideways(page, address):
    size = {"width": PHONE[0], "height": PHONE[1]}
    phone = page.context.browser.new_page(viewport=size, color_scheme="dark")
    phone.set_default_timeout(1000 * WAIT_S)
    phone.goto(address)
    wait_for_paper(phone, "anterior infarction")
    settle(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert phone.locator(".bars").first.bounding_box()["width"] <= PHONE[0]
    scroll = phone.locator(".paper-scroll").first
    assert scroll.evaluate("paper => paper.scrollWidth > paper.clientWidth")
    open_sidebar(phone)
    press(phone, "layout", "6x2")
    wait_for_paper(phone, "6x2")
    phone.close()


def test_the_page_can_be_timed(address, tmp_path):
    # in a process of its own: Playwright runs once in each
    command = [sys.executable, "-m", "tools.benchmark_page", "--rounds", "1", "--out", str(tmp_path)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    timings = json.loads((tmp_path / "benchmark_page.json").read_text())["median_s"]
    assert set(timings) == {"first_paint_s", "change_of_ecg_s", "explanation_s"}
    assert all(seconds > 0 for seconds in timings.values())
