"""The page of web/ in Chromium: nothing leaves it, it works offline, and it says what the Python code says."""

import json
import shutil
import statistics
import time

import numpy as np
import onnxruntime
import pytest

from config import LEADS, RESEARCH_ONLY
from ecg.lead_sets import CANONICAL_SETS
from ecg.plotting.layout import Scale, layout, trace_mm
from ecg.preprocessing import model_input
from ecg.readers import read_recording, read_uploaded
from ecg.recording import RecordingError
from inference.diagnoser import Diagnoser
from ptbxl.index import read_index
from tests.support.built_once import built_once
from tests.support.ecg_files import committed, leads_of, npy, table, wfdb_record
from tests.support.watch_files import HEADERS, PRIVATE, watch_ecg
from tests.support.web_page import (
    ARTIFACTS,
    RESULT,
    ask,
    build_page,
    give,
    open_page,
    require_build_tools,
    serve_page,
)
from tests.support.web_parity import assert_agreement, assert_same_result
from tools.browser import PHONE, window
from ui.paper import screen_size
from ui.sources import DisplayedECG, example_ecg


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    require_build_tools()
    return built_once(tmp_path_factory, "web", build_page)[0]


@pytest.fixture(scope="module")
def address(built):
    with serve_page(built) as address:
        yield address


@pytest.fixture(scope="module")
def browser(address):
    with window() as page:
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))
        open_page(page, address)
        yield page
        assert page.problems == []


@pytest.fixture
def page(browser):
    """The loaded page, with nothing filled in."""
    give(browser)
    return browser


@pytest.fixture
def fresh(browser):
    """A page that has never been opened, in a window of its own."""
    context = browser.context.browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def diagnoser():
    return Diagnoser.load(ARTIFACTS)


def files_of(name: str) -> dict[str, bytes]:
    """A shipped example."""
    record = ARTIFACTS / "examples" / name
    return {f"{name}{end}": record.with_suffix(end).read_bytes() for end in (".hea", ".dat")}


def request_of(names=LEADS) -> bytes:
    leads = {name: row.tolist() for name, row in leads_of(names=names).items()}
    return json.dumps({"sampling_rate": 500, "units": "mV", "leads": leads}).encode()


def test_it_opens_with_an_ecg_its_prediction_thresholds_and_the_disclaimer(page, address):
    page.goto(address)
    page.wait_for_selector(RESULT)
    text = page.inner_text("main")
    assert "myocardial infarction" in page.inner_text("#prediction h2") and "Leads used: all 12" in text
    assert page.locator(".bar-row").count() == 5 and page.locator("#rows tr").count() == 71
    assert page.locator(".bar-row .tick").count() == 5
    assert (
        "quality was not assessed" in text
        and "Not checked here: swapped electrodes" in text
        and "Generated ECG, not from a patient." in text
    )
    assert page.locator(".disclaimer").inner_text() == RESEARCH_ONLY and page.locator(".disclaimer").is_visible()
    page.get_by_text("Works offline now").wait_for()


def test_nothing_is_requested_while_files_are_read_and_before_only_its_own_files(address, fresh):
    requests = []
    fresh.context.on("request", lambda request: requests.append(request.url))
    open_page(fresh, address)
    assert requests and all(url.startswith(address) for url in requests)
    fresh.get_by_text("median of").wait_for()
    requests.clear()
    for files in ({"a.xml": b"<x/>"}, {"ecg.csv": table(rows=5000)}, {"ecg.json": request_of()}, files_of("normal")):
        ask(fresh, files)
    fresh.locator("#layout").get_by_text("12x1").click()
    fresh.locator("#search").fill("infarction")
    assert requests == []


def test_the_policy_allows_no_other_address(built):
    page = (built / "index.html").read_text(encoding="utf-8")
    for rule in ("default-src 'none'", "script-src 'self' 'wasm-unsafe-eval';", "connect-src 'self';"):
        assert rule in page
    assert "http" not in page.replace("http-equiv", "")


def test_it_opens_and_reads_files_without_a_network(built, fresh):
    with serve_page(built) as address:
        open_page(fresh, address)
        online = ask(fresh, files_of("normal"))
    fresh.context.set_offline(True)
    fresh.reload()
    fresh.wait_for_selector(RESULT)
    assert ask(fresh, files_of("normal"))["probabilities"] == online["probabilities"]


def test_an_isolated_page_uses_threads_and_finds_the_same(built, page, fresh):
    expected = ask(page, files_of("left_hypertrophy"))
    with serve_page(built, isolated=True) as address:
        open_page(fresh, address)
        assert fresh.evaluate("crossOriginIsolated") and not page.evaluate("crossOriginIsolated")
        found = ask(fresh, files_of("left_hypertrophy"))
    assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-4)


FORMATS = {
    "wfdb": lambda: wfdb_record(),
    "wfdb of eight leads": lambda: wfdb_record(names=("I", "II", *LEADS[6:])),
    "csv": lambda: {"ecg.csv": table(rows=5000, before="# sampling_rate: 500\n")},
    "csv with decimal commas": lambda: {
        "ecg.csv": b"# fs: 500\n" + table(rows=5000, delimiter=";").replace(b".", b",")  # the header has no point
    },
    "biosig's csv": lambda: {"biosig.csv": committed("biosig.csv")},
    "edf": lambda: {"biosig.edf": committed("biosig.edf")},
    "json": lambda: {"ecg.json": request_of()},
    "json of eight leads": lambda: {"ecg.json": request_of(("I", "III", *LEADS[6:]))},
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_has_the_result_that_python_has(page, diagnoser, name):
    files = FORMATS[name]()
    if "json" in name:
        request = json.loads(files["ecg.json"])
        files_in_python = {"ecg.csv": csv_of(request)}
    else:
        files_in_python = files
    rate, unit = (100, "uV") if name == "biosig's csv" else (None, "")
    give(page, rate, unit)
    recording = read_uploaded(files_in_python, rate, unit or None)
    found = ask(page, files)
    assert_same_result(found, diagnoser.diagnose(recording, quality=False))
    assert found["warnings"] == list(diagnoser.diagnose(recording, quality=False).warnings)


def csv_of(request: dict) -> bytes:
    rows = zip(*request["leads"].values(), strict=True)
    lines = [",".join(request["leads"]), *(",".join(map(str, row)) for row in rows)]
    return "\n".join([f"# fs: {request['sampling_rate']}", f"# units: {request['units']}", *lines]).encode()


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2"])
@pytest.mark.parametrize("turned", [False, True])
def test_an_array_is_read_once_rate_and_unit_are_given(page, diagnoser, dtype, turned):
    microvolts = np.stack(list(leads_of().values())) * 1000
    content = npy(np.asfortranarray(microvolts.astype(dtype).T) if turned else microvolts.astype(dtype))
    assert "the sampling rate is not in the file" in ask(page, {"ecg.npy": content})["error"]
    assert page.locator("#given").evaluate("given => given.open")
    give(page, 500, "uV")
    found = ask(page, {"ecg.npy": content})
    assert_same_result(found, diagnoser.diagnose(read_uploaded({"ecg.npy": content}, 500, "uV"), quality=False))


@pytest.mark.parametrize("rate", [100, 500])
def test_generated_ecgs_have_the_result_that_python_has(page, diagnoser, demo_data, rate):
    index = read_index(demo_data)
    assert_agreement(page, index, index.table.index[:40], rate, diagnoser)


@pytest.fixture(scope="module")
def for_any_leads(browser, served_anylead, tmp_path_factory):
    """A page with a network for missing leads and thresholds drawn at random, and the Python code with the same."""
    from export_onnx import write_manifest

    artifacts, out = tmp_path_factory.mktemp("artifacts") / "served", tmp_path_factory.mktemp("any leads")
    shutil.copytree(served_anylead, artifacts)
    draw_decisions(artifacts / "anylead_thresholds.json")
    write_manifest(artifacts, list(json.loads((artifacts / "manifest.json").read_text())["files"]))
    build_page(out, artifacts)
    context = browser.context.browser.new_context()
    with serve_page(out) as address:
        page = context.new_page()
        open_page(page, address)
        yield page, Diagnoser.load(artifacts)
    context.close()


def draw_decisions(path) -> None:
    """Put other calibrators and thresholds into a file of lead sets, isotonic ones too."""
    content, rng = json.loads(path.read_text()), np.random.default_rng(0)

    def calibrator() -> dict:
        if rng.random() < 0.2:
            return {"kind": "isotonic", "x": [0.2, 0.4, 0.6], "y": sorted(rng.random(3).tolist())}
        return dict(kind="platt", **dict(zip("abc", rng.uniform((0.5, 0.5, -2), (2, 2, 2)).tolist(), strict=True)))

    for one in content["lead_sets"].values():
        for decisions in one["decisions"].values():
            decisions["calibrators"] = {name: calibrator() for name in decisions["calibrators"]}
            decisions["thresholds"] = {name: rng.uniform(0.1, 0.9) for name in decisions["thresholds"]}
            for finding in (decisions.get("statements") or {}).values():
                validated = finding["validated"] or rng.random() < 0.3
                finding |= {"calibrator": calibrator(), "threshold": rng.uniform(0.1, 0.9), "validated": validated}
    path.write_text(json.dumps(content))


FEWER = [one for one in CANONICAL_SETS.values() if len(one) < len(LEADS)]
FEWER += [("III",), ("V3",), ("aVR", "V6"), ("I", "V2"), ("V1", "V5"), (*LEADS[:6], "V1", "V2"), LEADS[1:]]


@pytest.mark.parametrize("names", FEWER, ids=",".join)
def test_fewer_leads_have_the_result_that_python_has(for_any_leads, names):
    page, diagnoser = for_any_leads
    files = {"ecg.csv": table(names, rows=5000, before="# fs: 500\n")}
    expected, found = diagnoser.diagnose(read_uploaded(files), quality=False), ask(page, files)
    assert_same_result(found, expected)
    assert [found["leads"], found["model"]] == [list(expected.leads), expected.checkpoint_sha256]
    for field in ("not_assessable", "not_assessed", "warnings"):
        assert found[field] == list(getattr(expected, field)), field
    assert_same_paper(page, DisplayedECG(key="", title="", recording=read_uploaded(files)), Scale(), "3x4")


def test_what_the_leads_do_not_show_does_not_look_like_a_diagnosis(for_any_leads):
    page, _ = for_any_leads
    assert "MI" in ask(page, {"ecg.csv": table(("I",), rows=5000, before="# fs: 500\n")})["not_assessable"]
    row = page.locator(".bar-row", has_text="myocardial infarction")
    assert row.locator(".tick").count() == 0 and row.evaluate("row => row.classList.contains('unassessed')")
    assert row.get_attribute("aria-label").endswith("not assessable from these leads")
    assert "Not assessable from lead I: MI" in page.locator("#prediction").inner_text()


def test_the_tiny_network_answers_at_a_click(page, built):
    if not (built / "networks" / "multilabel_tiny.onnx").is_file():
        assert page.locator("input[value=tiny]").is_disabled()
        return
    main = ask(page, files_of("normal"))
    page.locator("#network").get_by_text("tiny").click()
    page.get_by_text("Network: tiny").wait_for()
    tiny = ask(page, files_of("normal"))
    page.locator("#network").get_by_text("main").click()
    page.get_by_text("Network: main").wait_for()
    assert tiny["model"] != main["model"] and tiny["headline"][-1].endswith("ormal ECG")


REFUSED = {
    "a lead twice": {"ecg.csv": table(names=("I", "I"))},
    "no leads": {"ecg.csv": b"a,b\n1,2\n"},
    "counts without a unit": {"ecg.csv": table(before="# fs: 500\n", unit=" (counts)")},
    "letters among numbers": {"ecg.csv": table(before="# fs: 500\n") + b"x,y\n"},
    "a header alone": {"truth.hea": wfdb_record()["truth.hea"]},
    "a file that is cut short": {**wfdb_record(), "truth.dat": wfdb_record()["truth.dat"][:-2]},
    "a header that lies": {**wfdb_record(), "truth.hea": wfdb_record()["truth.hea"].replace(b"5000", b"9999")},
    "two recordings": {**wfdb_record(), "b.hea": wfdb_record()["truth.hea"]},
    "a short recording": {"ecg.csv": table(before="# fs: 500\n", rows=2000)},
    "a cut EDF": {"ecg.edf": committed("biosig.edf")[:-10]},
    "an empty file": {"ecg.csv": b""},
    "a huge amplitude": {"ecg.csv": b"# fs: 500\nI (mV)\n" + b"1e12\n" * 5000},
    "too slow": {"ecg.csv": table(before="# fs: 50\n")},
    "a gap": {"ecg.csv": b"# fs: 500\nI (mV)\n" + b"0.1\n" * 2500 + b"nan\n" * 200 + b"0.1\n" * 2500},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_python_refuses_is_refused_with_a_sentence(page, diagnoser, name):
    with pytest.raises(RecordingError):
        diagnoser.diagnose(read_uploaded(REFUSED[name]))
    assert ask(page, REFUSED[name])["error"].startswith("This ECG cannot be used: ")
    assert page.locator("#prediction").inner_text() == ""


def test_other_formats_name_the_streamlit_page_and_predict(page):
    for name in ("biosig_aecg.xml", "ecgdatakit.scp", "truth.npz", "README.md"):
        error = ask(page, {name: committed(name)})["error"]
        assert "Streamlit page" in error and "predict.py" in error


def test_a_damaged_file_is_refused_or_read_and_never_breaks_the_page(page):
    rng = np.random.default_rng(0)
    sources = [wfdb_record(), {"a.csv": table(rows=600)}, {"a.edf": committed("biosig.edf")}, {"a.json": request_of()}]
    sources += [{"a.npy": npy(np.zeros((12, 5000), np.int16))}, {"watch.csv": watch_ecg().encode()}]
    for files in sources * 4:
        name = list(files)[rng.integers(len(files))]
        content = bytearray(files[name])
        for place in rng.integers(0, min(len(content), 2000), 6):
            content[place] = rng.integers(256)
        result = ask(page, {**files, name: bytes(content)})
        assert "Something went wrong" not in result.get("error", "")


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("language", HEADERS)
def test_the_watchs_ecg_is_read_and_what_this_build_lacks_for_it_is_said(page, built, language, decimal):
    result = ask(page, {"<b>watch</b>.csv": watch_ecg(language, decimal=decimal).encode()})
    assert page.locator("#paper .lead").all_text_contents() == ["I"]
    assert "500 Hz" in page.locator("#details").inner_text()
    if (built / "networks" / "anylead_best.onnx").is_file():
        assert result["leads"] == ["I"]
    else:
        assert "no network for fewer than twelve leads" in result["error"]
    assert page.locator("#title").inner_text() == "<b>watch</b>.csv"
    assert not any(word in page.content() for word in PRIVATE)


def assert_same_paper(page, ecg: DisplayedECG, scale: Scale, arrangement: str) -> None:
    """Every trace and name is where the Streamlit page draws it, and the paper is as large."""
    width, height = screen_size(ecg, scale, arrangement)
    expected = layout(ecg.recording, scale, arrangement, (width, height))
    drawn = page.locator("#paper .trace").evaluate_all("lines => lines.map(line => line.getAttribute('points'))")
    view_box = page.locator("#paper > svg").get_attribute("viewBox").split()
    np.testing.assert_allclose([float(one) for one in view_box[2:]], [width, height], atol=0.01)
    recorded = [strip for strip in expected.strips if strip.present]
    assert len(drawn) > len(recorded)  # calibration pulses
    for strip, points in zip(recorded, drawn, strict=False):
        found = np.array([point.split(",") for point in points.split()], float)
        found[:, 1] = height - found[:, 1]
        np.testing.assert_allclose(found, trace_mm(expected, strip, ecg.recording), atol=0.02)
    assert page.locator("#paper .lead").all_text_contents() == [strip.label for strip in expected.strips]


@pytest.mark.parametrize("arrangement", ["3x4", "6x2", "12x1", "3x4 Cabrera", "6x2 Cabrera", "12x1 Cabrera"])
@pytest.mark.parametrize("gain", [10.0, 20.0])
def test_the_paper_is_laid_out_as_by_python(page, arrangement, gain):
    ecg, scale = example_ecg(ARTIFACTS, "left_bundle_branch_block"), Scale(25.0, gain)
    ask(page, files_of("left_bundle_branch_block"))
    page.locator("#layout").get_by_text(arrangement.split()[0]).click()
    page.locator("#gain").get_by_text(f"{gain:g}", exact=True).click()
    page.locator("#cabrera").set_checked("Cabrera" in arrangement)
    assert_same_paper(page, ecg, scale, arrangement)
    for control, value in (("#layout", "3x4"), ("#gain", "10")):
        page.locator(control).get_by_text(value, exact=True).click()
    page.locator("#cabrera").set_checked(False)


def test_statements_are_searched_and_filtered(page):
    ask(page, files_of("anterior_infarction"))
    page.locator("#search").fill("bundle branch")
    assert page.locator("#rows tr").count() == 4
    page.locator("#search").fill("")
    page.locator("#group").select_option("rhythm")
    assert page.locator("#rows tr").count() == 12
    page.locator("#group").select_option("")


def test_everything_is_reached_by_keyboard(page, address):
    page.goto(address)
    page.wait_for_selector(RESULT)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.name || document.activeElement.className"
            )
        )
    assert {"files", "example", "layout", "speed", "gain", "paper", "search", "statements", "download"} <= reached
    page.locator("input[name=layout]:checked").focus()
    page.keyboard.press("ArrowRight")
    assert "6x2" in page.locator("#paper > svg").get_attribute("aria-label")
    page.get_by_text("Works offline now").wait_for()


def test_a_dropped_file_is_read(page):
    transfer = page.evaluate_handle(
        """text => {
            const data = new DataTransfer();
            data.items.add(new File([text], "dropped.csv"));
            return data;
        }""",
        table(before="# sampling_rate: 500\n", rows=5000).decode(),
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    page.locator("#title", has_text="dropped.csv").wait_for()
    page.wait_for_selector(RESULT)
    assert page.locator("#error").is_hidden()


def test_a_long_recording_is_read_whole_and_shown_in_parts(page, diagnoser):
    rows = np.tile(np.stack(list(leads_of().values())), 3)[:, ::5]
    lines = [",".join(f"{lead} (mV)" for lead in LEADS), *(",".join(f"{value:.3f}" for value in row) for row in rows.T)]
    files = {"long.csv": "\n".join(["# fs: 100", *lines]).encode()}
    assert_same_result(ask(page, files), diagnoser.diagnose(read_uploaded(files), quality=False))
    assert "10 s of 30 s" in page.locator("#paper .scale").text_content()
    page.locator("#start").fill("12.5")
    assert page.locator("#start-text").inner_text() == "12.5"


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_without_scrolling_sideways(browser, address, dark):
    size = {"width": PHONE[0], "height": PHONE[1]}
    phone = browser.context.browser.new_page(viewport=size, color_scheme="dark" if dark else "light")
    phone.goto(address)
    phone.wait_for_selector(RESULT)
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert phone.locator("#paper").evaluate("paper => paper.scrollWidth > paper.clientWidth")
    background = phone.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == dark
    phone.close()


def test_its_speed_beside_native_onnx_runtime_is_reported(page, address, record_property, capsys):
    page.goto(address)
    page.get_by_text("median of").wait_for()
    in_browser = float(page.locator("#latency").inner_text().split(": ")[1].split()[0])
    record = read_recording(ARTIFACTS / "examples" / "anterior_infarction.hea")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(ARTIFACTS / "multilabel_best.onnx"), options)
    times = []
    for _ in range(15):
        began = time.perf_counter()
        session.run(None, {"signals": model_input(record, 1.0)[None].astype(np.float32)})
        times.append(1000 * (time.perf_counter() - began))
    native = statistics.median(times)
    record_property("milliseconds", {"browser": in_browser, "native": native})
    with capsys.disabled():
        print(f"\none 10-s ECG at 500 Hz, median of 15: {in_browser:.1f} ms in Chromium, {native:.1f} ms native")
    assert in_browser > 0
