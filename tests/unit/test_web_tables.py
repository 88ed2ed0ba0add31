"""What the page in the browser shares with the Python code is what the Python code says."""

import json
import re

from config import RESEARCH_ONLY
from ecg.plotting import draw
from ecg.plotting.layout import GAINS_MM_MV, SPEEDS_MM_S
from tools.make_web_tables import TABLES, main, tables
from ui.paper import LAYOUTS

WEB = TABLES.parents[2]


def test_the_committed_tables_are_those_of_the_code():
    assert main(["--check"]) == 0


def test_other_tables_are_noticed_and_written_anew(tmp_path, capsys):
    path = tmp_path / "generated" / "tables.json"
    assert main(["--check", "--out", str(path)]) == 1
    assert main(["--out", str(path)]) == 0
    assert path.read_bytes() == TABLES.read_bytes()
    path.write_text(path.read_text().replace('"dii": "II"', '"dii": "I"'))
    assert main(["--check", "--out", str(path)]) == 1
    assert "run python -m tools.make_web_tables" in capsys.readouterr().err


def test_every_pattern_of_units_and_names_is_plain_enough_for_javascript():
    content = json.loads(json.dumps(tables()))
    patterns = [content["lead_prefix"], content["negated"], content["hertz"]]
    patterns += [text for name, text in content["csv"].items() if name != "seconds"]
    assert all("(?P" not in text and "(?<" not in text and r"\Z" not in text for text in patterns)


def test_controls_and_colours_are_those_of_the_paper():
    page, style = ((WEB / name).read_text(encoding="utf-8") for name in ("index.html", "style.css"))

    def offered(name: str) -> list[str]:
        return re.findall(rf'name="{name}" value="([^"]+)"', page)

    assert offered("layout") == list(LAYOUTS)
    assert [list(map(float, offered(name))) for name in ("speed", "gain")] == [list(SPEEDS_MM_S), list(GAINS_MM_MV)]
    assert RESEARCH_ONLY in page
    lines = {"fine": (draw.FINE_LINE, draw.FINE_LINE_MM), "strong": (draw.STRONG_LINE, draw.STRONG_LINE_MM)}
    lines["change"] = (draw.MUTED_INK, draw.STRONG_LINE_MM)
    for name, (colour, width) in lines.items():
        assert f".{name} {{ stroke: {colour}; stroke-width: {width:g}px; }}" in style
    assert f".ground {{ fill: {draw.PAPER}; }}" in style
