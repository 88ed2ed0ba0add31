"""What the page in the browser shares with the Python code is what the Python code says."""

import json

from tools.make_web_tables import TABLES, main, tables


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
