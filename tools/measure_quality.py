"""How good are the quality flags, heart rate and intervals? Writes artifacts/quality.json and docs/quality.md.

    python -m tools.measure_quality        # about ten minutes; needs data/ptbxl, some recordings at 500 Hz too

Limits are chosen on folds 1-8 and reported on fold 9. The weights behind the swapped electrodes
(`ecg.electrode_swaps.WIRING`), inverted and reversed leads (`ecg.lead_order`) and wrong sampling rates
(`ecg.time_scale`) are fitted here too, on folds 1-8; the file holds the fits beside the results of the shipped code.
What is measured: tools/quality/annotations.py, defects.py, mistakes.py, intervals.py. `python -m tools.update_docs`
writes the document again from the JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import date
from itertools import compress
from pathlib import Path

import numpy as np

from config import DEFAULT_OUT, PROJECT, TRAIN_FOLDS, VALIDATION_FOLD, data_directory
from ecg.intervals import measure_intervals
from ecg.quality import assess
from ecg.recording import Recording
from files import write_text
from ptbxl.cache import open_cache
from ptbxl.index import DatasetError, read_index
from ptbxl.records import read_recording, record_path
from tools.documents.whole import quality
from tools.quality.annotations import CHECKS, against_annotations, annotations, cached_recordings, readable
from tools.quality.defects import between_rates, fit_wiring, made_defects, made_swaps, suspected_swaps
from tools.quality.intervals import (
    against_diagnoses,
    against_truth,
    against_xqrs,
    p_axis_all_round,
    p_axis_of_people,
)
from tools.quality.mistakes import against_mistakes
from tools.quality.tolerance import tolerance

DRAWN = 300  # recordings of fold 9 without annotation, for what takes long: swaps, XQRS, intervals


def measure(directory: Path) -> dict:
    """The content of artifacts/quality.json. Raises DatasetError without the real PTB-XL."""
    index = read_index(directory)
    cache = open_cache(index)
    table = readable(index, cache)
    fine = [ecg_id for ecg_id in table.index if record_path(index, ecg_id, 500).with_suffix(".dat").is_file()]
    if not fine:
        raise DatasetError("some recordings at 500 Hz are needed: `python dataset.py download --rate both`")
    at_500_hz = {ecg_id: read_recording(index, ecg_id, 500) for ecg_id in fine}
    results = list(map(assess, cached_recordings(cache, table, "assess")))
    validation = table["strat_fold"] == VALIDATION_FOLD
    clean = ~annotations(table)["any of the four"]
    usual = np.random.default_rng(0).permutation(table.index[validation & clean])[:DRAWN]
    drawn = list(cached_recordings(cache, table.loc[usual], "fold 9"))
    return {
        "date": date.today().isoformat(),
        "fold_sha256": {str(fold): cache.fold_sha256[fold] for fold in (*TRAIN_FOLDS, VALIDATION_FOLD)},
        "recordings": {
            "folds_1_8": int((~validation).sum()),
            "fold_9": int(validation.sum()),
            "at_500_hz": len(at_500_hz),
        },
        "not_annotated": {"folds_1_8": int((~validation & clean).sum()), "fold_9": int((validation & clean).sum())},
        "limits": {name: check.limit for name, check in CHECKS.items()},
        "wiring": np.round(fit_wiring(list(compress(results, ~validation))), 1).tolist(),
        **against_annotations(table, results),
        "suspected_swaps": suspected_swaps(table, results),
        "n_drawn": len(drawn),
        "swaps": made_swaps(drawn),
        "mistakes": against_mistakes(table, cache, results, list(at_500_hz.values())),
        "tolerance": tolerance(list(at_500_hz.values())),
        "xqrs": against_xqrs(drawn),
        "diagnoses": against_diagnoses(table, cache, usual),
        "defects": made_defects(list(at_500_hz.values())),
        "between_rates": between_rates(index, at_500_hz),
        "processor_ms": {
            "assess": processor_ms(assess, list(at_500_hz.values())),
            "intervals": processor_ms(measure_intervals, list(at_500_hz.values())[:50]),
        },
        "p_axis": {"people": p_axis_of_people(drawn), "turned": p_axis_all_round()},
        "synthetic": {str(rate): against_truth(rate) for rate in (500, 100)},
    }


def processor_ms(function: Callable, recordings: list[Recording]) -> float:
    """Processor time in ms of one call, on average; unlike the clock it does not depend on what else runs."""
    function(recordings[0])
    start = time.process_time()
    for recording in recordings:
        function(recording)
    return 1000 * (time.process_time() - start) / len(recordings)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="the real PTB-XL (default: PTBXL_DIR, else data/ptbxl)")
    parser.add_argument("--out", default=str(DEFAULT_OUT), help="where quality.json goes (default: %(default)s)")
    parser.add_argument("--page", default=str(PROJECT / "docs" / "quality.md"), help="(default: %(default)s)")
    arguments = parser.parse_args(argv)
    results = Path(arguments.out) / "quality.json"
    try:
        content = measure(data_directory(arguments.data))
        write_text(results, json.dumps(content, indent=1) + "\n")
        write_text(arguments.page, quality(content))
    except (DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {results}, {arguments.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
