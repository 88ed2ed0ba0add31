"""What the server sends: every field with its description, which /docs shows and docs/api.md repeats.

Predictions are made from `inference.diagnoser.Diagnosis`, qualities and intervals from their namesakes in `ecg`.
"""

from pydantic import BaseModel, Field

from config import RESEARCH_ONLY, SUPERCLASSES

# --------------------------------------------------------------------------- a prediction


class BinaryResult(BaseModel):
    """The result of one of the two binary questions, each with a threshold of its own."""

    probability: float = Field(description="calibrated, 0 to 1")
    threshold: float = Field(description="the decision threshold, chosen on the validation set")
    positive: bool | None = Field(
        description="whether the probability reaches the threshold; null where the result is withheld"
    )
    uncertain: bool = Field(description="whether the probability is too close to the threshold to decide either way")
    withheld_because: str = Field(description="why `positive` is null, in plain text; empty if it is not")


class Flag(BaseModel):
    """Something wrong with the recording."""

    name: str = Field(description="which check: flat, mains, muscle noise, electrodes swapped and so on")
    lead: str | None = Field(description="the lead concerned; null if it is the whole recording")
    value: float = Field(description="what was measured, in `unit`")
    unit: str = Field(description="of `value` and `limit`")
    limit: float = Field(description="the value is beyond this limit")
    severity: str = Field(description="note, caution or unusable")
    sentence: str = Field(description="what is wrong and what to do, for the person beside the patient")


class QualityOut(BaseModel):
    """What is wrong with the recording."""

    severity: str = Field(description="of the gravest flag: good (no flag), note, caution or unusable")
    usable: bool = Field(
        description="false if the severity is unusable: no class is asserted and both binary results are withheld"
    )
    heart_rate: float | None = Field(description="mean, beats/min; null without reliable heartbeats")
    flags: list[Flag] = Field(description="all that was found, the gravest first")
    not_judged: list[str] = Field(description="sentences on what could not be checked in this recording")


class Intervals(BaseModel):
    """Measurements of the usual heartbeat; null where unreliable."""

    heart_rate: float | None = Field(description="mean, beats/min")
    pr: float | None = Field(description="PR interval, ms")
    qrs: float | None = Field(description="QRS duration, ms")
    qt: float | None = Field(description="QT interval, ms")
    qtc_bazett: float | None = Field(description="QT / √RR, ms")
    qtc_fridericia: float | None = Field(description="QT / ∛RR, ms")
    p_axis: float | None = Field(description="frontal axis of the P wave, degrees")
    qrs_axis: float | None = Field(description="frontal axis of the QRS, degrees")
    reasons: dict[str, str] = Field(description="why, for each value that is null")
    beats: int | None = Field(description="heartbeats found")
    early_beats: int | None = Field(description="of these, those after less than 0.85 of the usual RR interval")


class Rhythm(BaseModel):
    """The rhythm: the most probable of nine rhythm statements that reaches its threshold."""

    code: str = Field(description="its statement, such as SR or AFIB; empty if none reaches its threshold")
    certain: bool = Field(description="whether that rhythm is asserted; false for one that is not validated")
    sentence: str = Field(description="in plain words, also where it is uncertain")


class ServedStatement(BaseModel):
    """One of the SCP-ECG statements of PTB-XL, as the networks being served answer it."""

    code: str = Field(description="in PTB-XL, such as AFIB or IMI")
    name: str = Field(description="in plain words")
    groups: list[str] = Field(description="diagnostic, form or rhythm, or two of them")
    subclass: str = Field(description="one of the 23 diagnostic subclasses; empty unless it is diagnostic")
    superclass: str = Field(description="NORM, MI, STTC, CD or HYP; empty unless it is diagnostic")
    snomed_ct: str = Field(
        description="SNOMED CT code of the PhysioNet/CinC Challenges, often a broader one; empty if they have none"
    )
    threshold: float = Field(description="the decision threshold, chosen on the validation set")
    validated: bool = Field(
        description="whether the validation set has enough cases, told apart well enough; "
        "a statement that is not validated is never asserted"
    )


class Statement(ServedStatement):
    """One SCP-ECG statement of one recording."""

    probability: float = Field(description="calibrated, 0 to 1")
    asserted: bool = Field(description="whether it is said of this recording")


class ServedSubclass(BaseModel):
    """One of the 23 diagnostic subclasses, as the networks being served answer it."""

    name: str = Field(description="in PTB-XL, such as IMI or LAFB/LPFB")
    superclass: str = Field(description="the superclass it belongs to")
    threshold: float = Field(description="the decision threshold, chosen on the validation set")
    validated: bool = Field(
        description="as of a statement; one that is not may still follow from an asserted statement"
    )


class Subclass(ServedSubclass):
    """One diagnostic subclass of one recording."""

    probability: float = Field(description="calibrated, that any of its statements is there")
    asserted: bool = Field(description="whether it is said of this recording, or follows from an asserted statement")


class Prediction(BaseModel):
    """The diagnosis of one recording."""

    headline: list[str] = Field(
        description="what is said of the recording, a phrase each, rhythm first: the summary to show"
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
    rhythm: Rhythm | None = Field(description="null for networks that do not name it")
    statements: list[Statement] = Field(
        description="all 71 in the order of PTB-XL, or with `?statements=asserted` those that are asserted; "
        "empty for networks without statements"
    )
    subclasses: list[Subclass] = Field(
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
    model: dict[str, str] = Field(description="task to the SHA-256 of the checkpoint that was used")
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

    leads: list[str] = Field(description="all twelve are needed; two of I, II, III give the six limb leads")
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

    classes: dict[str, str] = Field(description="class to its meaning")
    thresholds: dict[str, dict[str, float]] = Field(description="task to class to decision threshold")
    statements: list[ServedStatement] = Field(
        description="those that are answered, with thresholds and whether they are validated; "
        "empty for networks without statements"
    )
    subclasses: list[ServedSubclass] = Field(description="the same of the diagnostic subclasses")
    input: InputOut = Field(description="what is accepted")
    networks: dict[str, NetworkOut] = Field(description="task to network")
    files: dict[str, str] = Field(description="name to SHA-256 of every file the predictions depend on")
    metrics: dict[str, dict[str, object]] = Field(
        description="stored metrics of these very checkpoints, as in artifacts/*_metrics_*.json: `fold`, `n` and "
        "`macro`, or `tasks` of the statements, each metric with `value` and `ci95`"
    )
    disclaimer: str = Field(RESEARCH_ONLY, description="what this is for")


class Status(BaseModel):
    """The answer to a probe."""

    status: str = Field(description="up or ready")
