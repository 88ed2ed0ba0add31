"""A diagnosis from an exported file with numpy and onnxruntime alone.

    python examples/onnx_only.py artifacts/multilabel_best.onnx ecg.csv

The CSV has a header of lead names (I, II, III, aVR, aVL, aVF, V1 to V6, in any order) and samples in mV at 100 Hz, 5 s
or more. Signal quality is not checked. Research and demonstration only, not for clinical use.
"""

import json
import sys

import numpy as np
import onnxruntime


def main(network: str, table: str) -> None:
    session = onnxruntime.InferenceSession(network)
    facts = json.loads(session.get_modelmeta().custom_metadata_map["hmt_ecgnet"])
    with open(table) as file:
        leads = file.readline().strip().split(",")
    samples = np.loadtxt(table, np.float32, delimiter=",", skiprows=1)
    signals = samples[:, [leads.index(lead) for lead in facts["leads"]]].T[None]
    outputs = [output.name for output in session.get_outputs()]
    found = {name: value[0] for name, value in zip(outputs, session.run(None, {"signals": signals}), strict=True)}
    rhythm = facts["rhythms"][found["rhythm"]] if found["rhythm"] >= 0 else "none"
    print(f"rhythm: {rhythm}{'' if found['rhythm_certain'] else ' (uncertain)'}")
    names = facts["classes"] + facts["statements"]
    asserted = np.concatenate([found["asserted_classes"], found["asserted_statements"]])
    for name, probability, yes in zip(names, found["calibrated"], asserted, strict=False):
        if yes or name in facts["classes"]:
            print(f"{name:6} {probability:.3f} {'asserted' if yes else ''}")
    unsure = found["near"] or found["implied"].any() or found["normal_beside_others"]
    print("uncertain" if unsure or facts["withheld"].index("contradicts") in found["withheld"] else "certain")


if __name__ == "__main__":
    main(*sys.argv[1:3]) if len(sys.argv) == 3 else sys.exit(__doc__)
