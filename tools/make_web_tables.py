"""What the page in the browser (web/) shares with the Python code, as one JSON file.

    python -m tools.make_web_tables            # writes web/src/generated/tables.json
    python -m tools.make_web_tables --check    # does the file agree with the code? exit status 1 if not

Names of leads, units and their patterns, limits of files, the 71 statements, the sentences of a verdict, the geometry
of the paper: all of it is defined in Python only.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from config import LEADS, PROJECT, RESEARCH_ONLY, SAMPLING_RATE, SUPERCLASS_NAMES
from ecg import lead_sets, leads, preprocessing, statements
from ecg.beats import MINIMUM_RATE
from ecg.plotting import layout
from ecg.readers import MAX_UPLOAD_BYTES, apple_health, channels, csv_tables, gaps
from files import write_text
from inference import summary, verdict
from inference.sentences import NO_CALIBRATION, NOT_FROM_THESE_LEADS, QUALITY_NOT_ASSESSED, TASK_NAMES
from ui import html, paper
from ui.sources import EXAMPLES

TABLES = PROJECT / "web" / "src" / "generated" / "tables.json"


def tables() -> dict:
    """Everything, as it stands in the file."""
    return {
        "leads": LEADS,
        "lead_names": leads.LEAD_NAMES,
        "lead_prefix": leads.LEAD_PREFIX.pattern,
        "negated": leads.NEGATED.pattern,
        "limb_from_i_ii": leads.LIMB_FROM_I_II.tolist(),
        "millivolts": leads.MILLIVOLTS,
        "unit_names": leads.UNIT_NAMES,
        "limits": limits(),
        "csv": {
            "unit_in_brackets": csv_tables.UNIT_IN_BRACKETS.pattern,
            "unit_after": csv_tables.UNIT_AFTER.pattern,
            "rate_comment": csv_tables.RATE_COMMENT.pattern,
            "units_comment": csv_tables.UNITS_COMMENT.pattern,
            "seconds": csv_tables.SECONDS,
        },
        "hertz": apple_health.HERTZ.pattern,
        "statements": [vars(statement) for statement in statements.STATEMENTS],
        "groups": statements.GROUPS,
        "rhythms": statements.RHYTHMS,
        "lead_sets": {name: lead_sets.CANONICAL_SETS[name] for name in lead_sets.FITTED_SETS},
        "superclass_names": SUPERCLASS_NAMES,
        "sentences": sentences(),
        "paper": paper_geometry(),
        "examples": EXAMPLES,
    }


def limits() -> dict[str, float]:
    return {
        "sampling_rate": SAMPLING_RATE,
        "minimum_rate": MINIMUM_RATE,
        "maximum_rate": channels.MAX_SAMPLING_RATE,
        "maximum_bytes": MAX_UPLOAD_BYTES,
        "maximum_signals": channels.MAX_SIGNALS,
        "maximum_values": channels.MAX_VALUES,
        "maximum_duration_s": channels.MAX_DURATION_S,
        "maximum_amplitude_mv": channels.MAX_AMPLITUDE_MV,
        "maximum_gap_s": gaps.MAX_GAP_S,
        "minimum_duration_s": preprocessing.MINIMUM_DURATION_S,
        "full_duration_s": preprocessing.FULL_DURATION_S,
    }


def sentences() -> dict:
    return {
        "research_only": RESEARCH_ONLY,
        "doubts": verdict.DOUBTS,
        "withheld": verdict.WITHHELD,
        "answers": verdict.ANSWERS,
        "headline_order": summary.HEADLINE_ORDER,
        "sinus": summary.SINUS,
        "likely": summary.LIKELY,
        "possible": summary.POSSIBLE,
        "no_calibration": NO_CALIBRATION,
        "not_from_these_leads": NOT_FROM_THESE_LEADS,
        "quality_not_assessed": QUALITY_NOT_ASSESSED,
        "task_names": TASK_NAMES,
        "long_headline": html.LONG_HEADLINE,
    }


def paper_geometry() -> dict:
    """In mm, but for names."""
    return {
        "arrangements": {
            name: {"columns": one.columns, "rhythm": one.rhythm} for name, one in layout.ARRANGEMENTS.items()
        },
        "rows": layout.ROWS,
        "standard_from": layout.STANDARD_FROM,
        "most_below_each_other": layout.MOST_BELOW_EACH_OTHER,
        "screen_heights": np.interp(range(1, 13), paper.SCREEN_ROWS, paper.SCREEN_HEIGHTS_MM).tolist(),  # by rows
        "growth": paper.HEIGHT_GROWTH,
        "margin": paper.MARGIN_MM,
        "square": layout.SQUARE_MM,
        "side": layout.SIDE_MM,
        "top": layout.TOP_MM,
        "bottom": layout.BOTTOM_MM,
        "lead_in": layout.LEAD_IN_MM,
        "lead_out": layout.LEAD_OUT_MM,
        "calibration_mv": layout.CALIBRATION_MV,
        "calibration_s": layout.CALIBRATION_S,
        "lead_name": layout.LEAD_NAME_MM,
        "least_row": layout.LEAST_ROW_MM,
        "column": layout.COLUMN_MM,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; is the file up to date?")
    parser.add_argument("--out", type=Path, default=TABLES, help="the file (default: web/src/generated/tables.json)")
    arguments = parser.parse_args(argv)
    text = json.dumps(tables(), indent=1, ensure_ascii=False) + "\n"
    if arguments.check:
        if arguments.out.is_file() and arguments.out.read_text(encoding="utf-8") == text:
            return 0
        print(f"{arguments.out} does not agree with the code: run python -m tools.make_web_tables", file=sys.stderr)
        return 1
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.out, text)
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
