"""Which leads and which milliseconds speak for a class."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecg.plotting.layout import Span
from ecg.preprocessing import model_input
from ecg.recording import Recording


@dataclass(frozen=True, eq=False)
class ClassExplanation:
    """Why a class got its probability.

    class_name: one of ``config.SUPERCLASSES``.
    lead_shares: leads with their shares of the evidence, largest first; empty if nothing speaks for the class.
    spans: the parts of the leads to shade.
    """

    class_name: str
    lead_shares: Sequence[tuple[str, float]]
    spans: Sequence[Span]


def explain_class(recording: Recording, class_name: str, checkpoint, network) -> ClassExplanation:
    """Explain one class's probability; checkpoint, network: the multi-label network's, in PyTorch.

    Raises RecordingError if the recording cannot be diagnosed.
    """
    from inference.explain import explain  # deferred: loads PyTorch, which the page opens without

    explanation = explain(
        network,
        model_input(recording, checkpoint.input_scale),
        tuple(checkpoint.classes),
        checkpoint.window_s,
        checkpoint.stride_s,
        explained=(class_name,),
    )
    return ClassExplanation(
        class_name=class_name,
        lead_shares=explanation.ranked_leads(class_name),
        spans=explanation.spans(class_name),
    )
