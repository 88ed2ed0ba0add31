"""From a recording to a diagnosis: networks, calibration, decisions, explanations."""


class InferenceError(RuntimeError):
    """The networks cannot be used; the message says which file is wrong and what to do."""
