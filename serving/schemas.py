"""What the server sends: every field with its description, which /docs shows and docs/api.md repeats.

A prediction is made from `inference.diagnosis.Diagnosis` and sends the dataclasses in it as they are.
"""

from pydantic import BaseModel, Field

from config import RESEARCH_ONLY, SUPERCLASSES
from ecg.intervals import Intervals
from ecg.quality import Flag
from inference.diagnosis import BinaryResult
from inference.summary import RhythmResult, StatementOutput, StatementResult, SubclassOutput, SubclassResult

# --------------------------------------------------------------------------- a prediction


class QualityOut(BaseModel):
    """What is wrong with the recording."""

    severity: str = Field(description="of the gravest flag: good (no flag), note, caution or unusable")
    usable: bool = Field(
        description="false if the severity is unusable: then no class, statement or rhythm is asserted and both binary "
        "results are withheld"
    )
    heart_rate: float | None = Field(description="mean, beats/min; null without reliable heartbeats")
    flags: list[Flag] = Field(description="all that was found, the gravest first")
    not_judged: list[str] = Field(description="sentences on what could not be checked in this recording")


class Prediction(BaseModel):
    """The diagnosis of one recording."""

    headline: list[str] = Field(
        description="what is said of the recording, a phrase each, rhythm first, “Possible …” where it is less likely "
        "than not: the summary to show"
    )
    probabilities: dict[str, float] = Field(
        description=f"class ({', '.join(SUPERCLASSES)}) to its calibrated probability; several may be likely at once"
    )
    predicted_classes: list[str] = Field(
        description="the classes that are asserted: those that reach their thresholds or follow from an asserted "
        "statement, NORM only if no other does, none if the recording is unusable"
    )
    thresholds: dict[str, float] = Field(description="class to its decision threshold")
    mi_vs_norm: BinaryResult = Field(
        description="is it MI rather than normal? Trained on these two alone, withheld where STTC, CD or HYP is found"
    )
    norm_vs_abnormal: BinaryResult = Field(description="is it abnormal? `positive` means abnormal")
    rhythm: RhythmResult | None = Field(description="null for networks that do not name it")
    statements: list[StatementResult] = Field(
        description="all 71 in the order of PTB-XL, or with `?statements=asserted` those that are asserted; "
        "empty for networks without statements"
    )
    subclasses: list[SubclassResult] = Field(
        description="all 23 by name, or with `?statements=asserted` those that are asserted; "
        "empty for networks without statements"
    )
    uncertain: bool = Field(description="whether there is any reason in `uncertain_because`")
    uncertain_because: list[str] = Field(description="reasons not to rely on the prediction")
    not_assessed: list[str] = Field(
        description="sentences on what the prediction says nothing of, such as an uncertain rhythm; show them beside it"
    )
    quality: QualityOut = Field(description="what is wrong with the recording")
    intervals: Intervals | None = Field(None, description="only with `?intervals=true`, else null")
    warnings: list[str] = Field(
        description="sentences for whoever reads the prediction: what the reader had to do, and the quality's flags"
    )
    leads: list[str] = Field(
        description="the leads that were read: those sent, those that follow from I, II and III, without flat ones"
    )
    lead_set: str | None = Field(
        description="the set of leads whose calibration and thresholds apply: 12, 11, limb (the six limb leads), "
        "I,II,V2, I,II,V5, I, II, V1 or V5; null if the leads contain none of these: then the probabilities are "
        "uncalibrated, the thresholds mean nothing and nothing is asserted"
    )
    lead_set_exact: bool = Field(
        description="whether they were fitted for just these leads, and not for the largest such set among them"
    )
    not_assessable: list[str] = Field(
        description="superclasses, binary questions and codes of statements that twelve leads show and these do not; "
        "they are never asserted"
    )
    model: dict[str, str] = Field(
        description="task to the SHA-256 of the checkpoint that was used; `anylead` to that of the network for missing "
        "leads, where it answered for all of them"
    )
    request_id: str = Field("", description="as in the header X-Request-ID and in the server's log")
    disclaimer: str = Field(RESEARCH_ONLY, description="what this is for")


class ProblemOut(BaseModel):
    """RFC 9457 problem details: an error and what to do about it."""

    type: str = Field("about:blank", description="always about:blank: the status says what kind of problem it is")
    title: str = Field(description="of the status")
    status: int = Field(description="of the response, or within a batch of this recording")
    detail: str = Field(description="what is wrong, and what to do")
    request_id: str = Field(description="as in the header X-Request-ID and in the server's log")


# --------------------------------------------------------------------------- several


class BatchOut(BaseModel):
    """One prediction or one problem for each recording."""

    results: list[Prediction | ProblemOut] = Field(description="in the order of the request")


class FilePrediction(Prediction):
    """The diagnosis of one recording of several."""

    files: list[str] = Field(description="names of the files it was read from")


class FileProblem(ProblemOut):
    """Why one recording of several has no prediction."""

    files: list[str] = Field(description="names of the files it was to be read from")


class FilesOut(BaseModel):
    """One prediction or one problem for each recording found among the files."""

    results: list[FilePrediction | FileProblem] = Field(
        description="in the order of the files; that of a WFDB record is the one of its header"
    )


# --------------------------------------------------------------------------- the server itself


class InputOut(BaseModel):
    """What is accepted."""

    leads: list[str] = Field(description="which are understood; two of I, II, III give the six limb leads")
    lead_sets: list[str] = Field(
        description="sets of leads with calibration and thresholds of their own; only 12 if recordings with missing "
        "leads are refused"
    )
    units: list[str] = Field(description="of the samples")
    sampling_rate_hz: list[int] = Field(description="lowest and highest")
    duration_s: list[float] = Field(description="shortest and longest")
    best_duration_s: float = Field(description="the networks were evaluated on recordings of this length")
    resampled_to_hz: int = Field(description="the rate the networks read")
    max_body_bytes: int = Field(description="of a request with one recording, after decompression")
    max_batch_bytes: int = Field(description="of a request with several recordings, after decompression")
    max_batch: int = Field(description="recordings in one request")


class NetworkOut(BaseModel):
    """One of the networks."""

    model: str = Field(description="its architecture")
    checkpoint_sha256: str = Field(description="SHA-256 of the checkpoint it was exported from")
    window_s: float = Field(description="length of the windows it reads; their probabilities are averaged")
    stride_s: float = Field(description="from the start of one window to that of the next")
    trained_on_synthetic_data: bool = Field(description="if true, its predictions say nothing about patients")


class ModelOut(BaseModel):
    """What is being served, on what terms, and how well it did."""

    classes: dict[str, str] = Field(
        description="class to its name: it stands for those of `statements` with this `superclass`, so that STTC is "
        "not every change of the ST segment or T wave"
    )
    thresholds: dict[str, dict[str, float]] = Field(description="task to class to decision threshold")
    statements: list[StatementOutput] = Field(
        description="those that are answered, with thresholds and whether they are validated; "
        "empty for networks without statements"
    )
    subclasses: list[SubclassOutput] = Field(description="the same of the diagnostic subclasses")
    input: InputOut = Field(description="what is accepted")
    networks: dict[str, NetworkOut] = Field(description="task to network")
    files: dict[str, str] = Field(description="name to SHA-256 of every file the predictions depend on")
    metrics: dict[str, dict[str, object]] = Field(
        description="stored metrics of these very checkpoints, as in artifacts/*_metrics_*.json and "
        "artifacts/test_results/: `fold`, `n` and `macro`, or `tasks` of the statements, each metric with `value` and "
        "`ci95`"
    )
    disclaimer: str = Field(RESEARCH_ONLY, description="what this is for")


class Status(BaseModel):
    """The answer to a probe."""

    status: str = Field(description="up or ready")
