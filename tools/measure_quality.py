"""How good are the quality flags, heart rate and intervals? Writes artifacts/quality.json and docs/quality.md.

    python -m tools.measure_quality        # about five minutes; needs data/ptbxl, some recordings at 500 Hz too

Limits are chosen on folds 1-8 and reported on fold 9. The weights behind the swapped electrodes
(`ecg.electrode_swaps.WIRING`) are fitted here too, on folds 1-8; the file holds the fit beside the results of the
shipped code. What is measured: tools/quality/annotations.py, defects.py, intervals.py. `python -m tools.update_docs`
writes the document again from the JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from config import DEFAULT_OUT, PROJECT, TRAIN_FOLDS, VALIDATION_FOLD, data_directory
from ecg.intervals import measure_intervals
from ecg.quality import LEAD_CHECKS, RECORD_CHECKS, Quality, assess
from ecg.recording import Recording
from files import write_text
from ptbxl.cache import open_cache
from ptbxl.index import DatasetError, Index, read_index
from ptbxl.records import read_recording, record_path
from tools.quality.annotations import (
    VALIDATED,
    Recordings,
    against_annotations,
    all_aurocs,
    annotations,
    chosen_limits,
    flag_rates,
    readable,
    right_lead,
)
from tools.quality.defects import between_rates, fit_wiring, made_defects, made_swaps, suspected_swaps
from tools.quality.document import document
from tools.quality.intervals import against_diagnoses, against_truth, against_xqrs

DRAWN = 300  # recordings of fold 9 without annotation, for what takes long: swaps, XQRS, intervals


def measure(directory: Path) -> dict:
    """The content of artifacts/quality.json. Raises DatasetError without the real PTB-XL."""
    index = read_index(directory)
    cache = open_cache(index)
    data = readable(index, cache)
    results = list(map(assess, data.each(np.arange(len(data.rows)), "assess")))
    validation = data.folds == VALIDATION_FOLD
    clean = ~annotations(data.table)["any of the four"]
    at_500_hz = [ecg_id for ecg_id in data.table.index if record_path(index, ecg_id, 500).with_suffix(".dat").is_file()]
    return {
        "date": date.today().isoformat(),
        "fold_sha256": {str(fold): cache.fold_sha256[fold] for fold in (*TRAIN_FOLDS, VALIDATION_FOLD)},
        "recordings": {
            "folds_1_8": int((~validation).sum()),
            "fold_9": int(validation.sum()),
            "at_500_hz": len(at_500_hz),
        },
        "not_annotated": {"folds_1_8": int((~validation & clean).sum()), "fold_9": int((validation & clean).sum())},
        **from_all(data, results),
        **from_drawn(data, np.flatnonzero(validation & clean)),
        **from_500_hz(index, at_500_hz),
        "synthetic": {str(rate): against_truth(rate) for rate in (500, 100)},
    }


def from_all(data: Recordings, results: list[Quality]) -> dict:
    """Limits, wiring weights and detection of the annotations, of every recording of folds 1-9."""
    noted = annotations(data.table)
    training, validation = np.isin(data.folds, TRAIN_FOLDS), data.folds == VALIDATION_FOLD
    clean = ~noted["any of the four"]
    return {
        "limits": {name: check.limit for name, check in (LEAD_CHECKS | RECORD_CHECKS).items()},
        "chosen_limits": chosen_limits(results, training & clean),
        "wiring": np.round(fit_wiring(results, training), 1).tolist(),
        "validated": against_annotations(results, data.folds, noted),
        "all_aurocs_fold_9": all_aurocs(results, validation, noted),
        "right_lead": [right_lead(data.table, results, name, column) for name, column in VALIDATED[:3]],
        "flag_rates": {
            "folds_1_8_not_annotated": flag_rates(results, training & clean),
            "fold_9_not_annotated": flag_rates(results, validation & clean),
            "fold_9_annotated": flag_rates(results, validation & ~clean),
            "electrodes_problems": flag_rates(results, noted["electrodes_problems"]),
        },
        "suspected_swaps": suspected_swaps(data.table, results),
    }


def from_drawn(data: Recordings, clean_numbers: np.ndarray) -> dict:
    """What takes long, of some recordings of fold 9 without annotation."""
    drawn = np.random.default_rng(0).permutation(clean_numbers)[:DRAWN]
    recordings = list(data.each(drawn, "fold 9"))
    return {
        "n_drawn": len(drawn),
        "swaps": made_swaps(recordings),
        "xqrs": against_xqrs(recordings),
        "diagnoses": against_diagnoses(data, drawn),
    }


def from_500_hz(index: Index, ids: list[int]) -> dict:
    """Defects, the two sampling rates and processor time, of the recordings that are here at 500 Hz."""
    if not ids:
        raise DatasetError("some recordings at 500 Hz are needed: `python dataset.py download --rate both`")
    recordings = [read_recording(index, ecg_id, 500) for ecg_id in ids]
    return {
        "defects": made_defects(recordings),
        "between_rates": between_rates(index, ids, recordings),
        "processor_ms": {
            "assess": processor_ms(assess, recordings),
            "intervals": processor_ms(measure_intervals, recordings[:50]),
        },
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
        write_text(arguments.page, document(content))
    except (DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {results}, {arguments.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
