"""From a recording to a diagnosis: networks, calibration, decisions, explanations."""
