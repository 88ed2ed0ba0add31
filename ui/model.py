"""The tab Model: how good the networks are, and what they are not."""

import streamlit as st

from config import SAMPLING_RATE
from ui.cached import artifacts
from ui.results import TASKS, comparison_frame, figures, metrics_table, read_comparison, read_metrics


def model_tab() -> None:
    """How good the networks are, and what they are not."""
    directory = artifacts()
    st.markdown(
        f"A convolutional network of about 0.3 million parameters reads twelve leads at {SAMPLING_RATE} Hz, in mV, "
        "with one encoder for every lead. Trained on PTB-XL folds 1 to 8; fold 9 chose epoch, calibration and "
        "thresholds; figures that need a threshold are cross-fitted by patient. 95 % intervals in brackets."
    )
    for task, title in TASKS.items():
        content = read_metrics(directory, task)
        if content is None:
            continue
        st.subheader(title)
        if content.get("synthetic"):
            st.warning("Measured on synthetic data: it says nothing about accuracy.")
        st.caption(f"PTB-XL fold {content['fold']}, {content['n']:,} recordings, {content.get('decisions', '')}")
        st.table(metrics_table(content))
        found = figures(directory, task, content["split"])
        for column, (caption, path) in zip(st.columns(len(found) or 1), found, strict=False):
            column.image(str(path), caption=f"{title}: {caption}", width="stretch")
    comparison = read_comparison(directory)
    if comparison:
        st.subheader("Beside the baselines")
        st.caption(f"PTB-XL fold {comparison['fold']}, {comparison['n']:,} recordings, {comparison['intervals']}")
        st.table(comparison_frame(comparison))
    groups = directory / "analysis" / "groups.png"
    if groups.is_file():
        st.subheader("By group of patients")
        st.image(str(groups), caption="Errors by age, sex and other groups", width=900)
    st.subheader("What it is not")
    st.markdown(
        "- **No medical device.** Nobody has tested it in care.\n"
        "- **One collection, one era, one maker of devices.** Performance elsewhere is unknown.\n"
        "- **No rhythms.** Atrial fibrillation, extra beats or pacing are no answer it can give.\n"
        "- **Broad classes.** “MI” does not say acute or old, “CD” not which block.\n"
        "- **Labels are opinions.** To disagree with one is not always an error.\n"
        "- **Hypertrophy is its weakest class**, as in the published work."
    )
