"""Explanations held against networks whose reasons are known, brute force, and the shipped network."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from torch import nn

from config import DEFAULT_OUT, LEADS, SUPERCLASSES, Outputs
from ecg.plotting.draw import draw
from ecg.preprocessing import model_input
from ecg.recording import Recording
from ecg.stretches import predict_probabilities
from ecg.synthetic.patients import example_cases
from ecg.synthetic.simulation import synthesise
from inference.explain import METHODS, blend, cell_edges, explain, isoelectric_line
from models.checkpoint import load_checkpoint, probabilities_function
from models.recording_network import RecordingNetwork
from tests.support.networks import ALL, narrow_network
from tools.explanations.curves import curves, straight_line
from tools.explanations.elevations import with_elevation
from tools.explanations.randomisation import agreement, randomised

WINDOW_S, STRIDE_S = 2.5, 1.25
DIRECTIONS = ("for", "against", "neither")  # what the outputs of `ReadsOneLead` are
PULSE = (432, 438)  # samples inside the cell from 4.3 to 4.4 s, out of reach of the blending of its neighbours


class ReadsOneLead(nn.Module):
    """A trunk whose first logit is a weighted mean of one lead, its second the opposite, its third constant."""

    def __init__(self, lead: str):
        super().__init__()
        self.lead, self.weight = LEADS.index(lead), nn.Parameter(torch.tensor(50.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = self.weight * x[:, self.lead].mean(-1)
        return torch.stack([score, -score, 0 * score], dim=-1)


def reads_one_lead(lead: str) -> RecordingNetwork:
    return RecordingNetwork(ReadsOneLead(lead), Outputs(classes=DIRECTIONS), WINDOW_S, STRIDE_S)


def with_pulses(*leads: str) -> np.ndarray:
    """A signal with an offset in every lead and the same pulse in some."""
    signal = np.linspace(-0.02, 0.02, 12, dtype=np.float32)[:, None].repeat(1000, axis=1)
    for lead in leads:
        signal[LEADS.index(lead), slice(*PULSE)] += 3
    return signal


def generated(name: str = "MI", seconds: float = 10.0) -> np.ndarray:
    """The model input of a textbook case."""
    recording, _ = synthesise(example_cases()[name], 100, np.random.default_rng(3))
    return model_input(Recording(recording.signal[:, : round(100 * seconds)], 100, recording.present), 0.235)


@pytest.fixture(scope="module")
def network() -> RecordingNetwork:
    network = narrow_network()
    with torch.no_grad():
        network.trunk.head.bias -= network.trunk(torch.from_numpy(generated()[None, :, :250]))[0]
    return network


@pytest.fixture(scope="module")
def shipped():
    return load_checkpoint(DEFAULT_OUT / "multilabel_best.pth")


def predicted(network: RecordingNetwork, signals: np.ndarray) -> np.ndarray:
    return predict_probabilities(probabilities_function(network), signals)


# -- What is explained ------------------------------------------------------------------------------------------------


@settings(max_examples=5)
@given(seconds=st.floats(5, 10))
def test_the_probabilities_explained_are_those_of_the_product(network, seconds):
    signal = generated(seconds=seconds)
    windows = np.stack([signal[:, :250], signal[:, 125:375], signal[:, 250:500]])
    with torch.inference_mode():
        assert np.ptp(network.trunk(torch.from_numpy(windows)).numpy(), axis=0).max() > 0.5
    of_the_product = predicted(network, signal[None])[0]
    explanation = explain(network, signal, method="occlusion")
    np.testing.assert_allclose(explanation.probabilities, of_the_product, rtol=1e-4)
    assert explanation.edges_s[-1] == signal.shape[1] / 100
    assert explanation.importance.shape == (5, 12, len(explanation.edges_s) - 1)


def test_integrated_gradients_add_up_to_the_difference_from_the_isoelectric_lines(shipped):
    network, signal = shipped.network(), generated()
    explanation = explain(network, signal, explained=("NORM", "MI"), method="integrated_gradients")
    both = torch.from_numpy(np.stack([signal, isoelectric_line(signal)]))
    with torch.inference_mode():  # the branch is held at what it says of the recording
        recording, flat = logit(network.read(both, network.statistics(both[:1]).expand(2, -1)).double().numpy()[:, :2])
    assert np.abs(recording - flat).min() > 1
    np.testing.assert_allclose(explanation.importance.sum((1, 2)), recording - flat, atol=0.15)


def test_integrated_gradients_add_up_where_the_windows_disagree():
    network, signal = reads_one_lead("V3"), with_pulses("V3")
    both = np.stack([signal, isoelectric_line(signal)])
    recording, flat = logit(predicted(network, both)[:, 0])
    windows = np.stack([signal[:, start : start + 250] for start in range(0, 751, 125)])
    with torch.inference_mode():
        mean_logit = network.trunk(torch.from_numpy(windows))[:, 0].mean().item()
    assert abs(recording - mean_logit) > 0.1  # so that averaging logits instead would be noticed
    importance = explain(network, signal, method="integrated_gradients").importance
    assert importance[0].sum() == pytest.approx(recording - flat, abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_explaining_some_classes_gives_their_part_of_explaining_all(network, method):
    signal = generated(seconds=5)
    some, everything = (
        explain(network, signal, explained=("HYP", "MI"), method=method),
        explain(network, signal, method=method),
    )
    numbers = [SUPERCLASSES.index(name) for name in some.classes]
    assert some.classes == ("HYP", "MI")
    np.testing.assert_allclose(some.importance, everything.importance[numbers], atol=1e-6)
    np.testing.assert_allclose(some.probabilities, everything.probabilities[numbers])
    assert np.abs(np.diff(some.importance, axis=0)).max() > 0.01


@pytest.mark.parametrize("samples", [1000, 733])
def test_occlusion_equals_predicting_the_whole_recording_without_the_cell(network, samples):
    signal = generated()[:, :samples]
    importance = explain(network, signal, method="occlusion").importance
    edges, isoelectric = cell_edges(samples), isoelectric_line(signal)
    for lead, cell in ((0, 0), (7, 24), (11, 37), (3, importance.shape[2] - 1)):
        chosen = np.zeros(signal.shape, bool)
        chosen[lead, edges[cell] : edges[cell + 1]] = True
        both = np.stack([signal, blend(signal, isoelectric, chosen)])
        whole, without = logit(predicted(network, both))
        np.testing.assert_allclose(importance[:, lead, cell], whole - without, atol=5e-4)
    assert np.abs(importance).max() > 0.05


@pytest.mark.parametrize("method", METHODS)
def test_only_the_lead_and_the_milliseconds_a_network_reads_are_important(method):
    explanation = explain(reads_one_lead("V3"), with_pulses("V3", "V4", "I"), method=method)
    lead, cell = LEADS.index("V3"), 43
    assert np.argwhere(explanation.importance[0] > 1e-5).tolist() == [[lead, cell]]
    elsewhere = explanation.importance.copy()
    elsewhere[:2, lead, cell] = 0
    assert np.abs(elsewhere).max() < 1e-5
    np.testing.assert_allclose(explanation.importance[0], -explanation.importance[1], atol=1e-6)
    assert explanation.ranked_leads("for") == [("V3", 1.0)]
    (span,) = explanation.spans("for")
    assert (span.lead, span.start_s, span.end_s, span.strength) == ("V3", 4.3, 4.4, 1.0)
    assert explanation.importance[1].min() < -0.1 and explanation.evidence("against").max() < 1e-5
    assert explanation.ranked_leads("neither") == explanation.spans("neither") == []
    assert not explanation.lead_shares("neither").any()


@pytest.mark.parametrize("method", METHODS)
def test_a_lead_that_was_not_recorded_has_no_importance(network, method):
    signal = generated()
    signal[[2, 8]] = 0
    importance = explain(network, signal, explained=("MI",), method=method).importance
    assert np.abs(importance[0, [2, 8]]).max() == pytest.approx(0, abs=1e-6)
    assert np.abs(importance[0, 7]).max() > 1e-4


def test_shares_ranking_and_spans_agree(shipped):
    recording, _ = synthesise(example_cases()["MI"], 100, np.random.default_rng(3))
    explanation = explain(shipped.network(), model_input(recording, shipped.input_scale), explained=("MI", "NORM"))
    shares, spans = explanation.lead_shares("MI"), explanation.spans("MI")
    assert shares.sum() == pytest.approx(1) and shares.min() >= 0
    by_share = sorted(zip(LEADS, shares, strict=True), key=lambda pair: -pair[1])
    assert explanation.ranked_leads("MI") == [(lead, share) for lead, share in by_share if share > 0]
    strongest = max(spans, key=lambda span: span.strength)
    lead, cell = np.unravel_index(explanation.importance[0].argmax(), (12, 100))
    assert (strongest.lead, strongest.start_s, strongest.strength) == (LEADS[lead], explanation.edges_s[cell], 1)
    assert min(span.strength for span in spans) >= 0.1
    draw(recording, shading=spans)


@pytest.mark.parametrize(
    ("signal", "choices", "reason"),
    [
        (np.zeros((11, 1000), np.float32), {}, "12 leads"),
        (np.full((12, 1000), np.nan, np.float32), {}, "model_input"),
        (np.zeros((12, 1000), np.float32), {"explained": ("AFIB",)}, "no class AFIB; it has NORM, MI"),
        (np.zeros((12, 1000), np.float32), {"method": "lime"}, "integrated_gradients, occlusion, not 'lime'"),
    ],
)
def test_what_cannot_be_explained_is_refused_with_the_reason(network, signal, choices, reason):
    with pytest.raises(ValueError, match=reason):
        explain(network, signal, **choices)


# -- What takes the place of a wave -----------------------------------------------------------------------------------


def test_the_isoelectric_line_keeps_offset_and_wander_and_drops_the_waves():
    seconds = np.arange(1000) / 100
    wander = 0.3 * np.sin(2 * np.pi * 0.1 * seconds) + 0.8
    recording, truth = synthesise(example_cases()["NORM"], 100, np.random.default_rng(0))
    clean = recording.signal - np.median(recording.signal, axis=1, keepdims=True)
    line = isoelectric_line((clean + wander).astype(np.float32))
    assert np.abs(clean).max() > 1
    assert np.abs(line - wander).max() < 0.12
    assert len(truth.r_peaks) > 5


def test_a_blend_is_complete_inside_untouched_outside_and_has_no_step():
    chosen = np.zeros(100, bool)
    chosen[40:50] = True
    blended = blend(np.zeros(100, np.float32), np.ones(100, np.float32), chosen)
    assert (blended[40:50] == 1).all()
    assert (blended[:38] == 0).all() and (blended[52:] == 0).all()
    assert np.abs(np.diff(blended)).max() < 0.34


@given(st.integers(1, 4000))
def test_cells_cover_a_lead_once(samples):
    edges = cell_edges(samples)
    assert edges[0] == 0 and edges[-1] == samples
    assert (np.diff(edges) >= 1).all() and (np.diff(edges)[:-1] == 10).all() and edges[-1] - edges[-2] <= 10


# -- The measurement --------------------------------------------------------------------------------------------------


def test_elevations_obey_the_limb_lead_equations_and_stay_where_they_belong():
    plain, _ = with_elevation(1, ("LL",), 0)
    raised, elevated = with_elevation(1, ("LL",), 0.5)
    added = raised.signal - plain.signal
    np.testing.assert_allclose(added[[0, 1, 2, 3, 4, 5]].max(axis=1), [0, 0.5, 0.5, 0, 0, 0.5], atol=1e-5)
    np.testing.assert_allclose(added[3:5].min(axis=1), -0.25, atol=1e-5)
    assert np.abs(added[:, ~elevated]).max() < 1e-5
    assert 0.2 < elevated.mean() < 0.6


def test_the_right_order_deletes_faster_and_inserts_faster_than_the_reverse():
    network, signal = reads_one_lead("V3"), with_pulses("V3", "V4")
    importance = explain(network, signal).importance[0]

    def probability(signals):
        return predicted(network, signals.astype(np.float32))[:, 0]

    right, wrong = curves(probability, signal, importance), curves(probability, signal, -importance)
    start, end = probability(np.stack([signal, isoelectric_line(signal)]))
    for name, sign in (("deletion", -1), ("insertion", 1), ("deletion_line", -1)):
        assert (sign * (right[name] - wrong[name])).max() > 0.01
        assert (sign * (right[name] - wrong[name])).min() > -1e-6
    assert right["deletion"][[0, -1]] == pytest.approx([start, end])
    assert right["insertion"][[0, -1]] == pytest.approx([end, start])


def test_a_straight_line_bridges_what_is_chosen():
    signal = np.tile(np.arange(10, dtype=np.float32), (12, 1)) ** 2
    chosen = np.zeros((12, 10), bool)
    chosen[0, 3:6], chosen[1] = True, True
    bridged = straight_line(signal, chosen)
    assert bridged[0].tolist() == [0, 1, 4, 12, 20, 28, 36, 49, 64, 81]
    assert (bridged[1] == np.median(signal[1])).all()
    assert (bridged[2:] == signal[2:]).all()


def test_randomising_goes_from_the_logits_down_and_leaves_the_network_alone():
    network = narrow_network(ALL, branch=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    stages = randomised(network, seed=0)
    assert list(stages)[0] == "head" and list(stages)[-1] == "stem"
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    first, last = stages["head"].state_dict(), stages["stem"].state_dict()
    assert not torch.equal(first["trunk.head.weight"], before["trunk.head.weight"])
    assert torch.equal(first["trunk.stem.0.weight"], before["trunk.stem.0.weight"])
    assert not torch.equal(last["trunk.stem.0.weight"], before["trunk.stem.0.weight"])


@pytest.mark.parametrize("method", METHODS)
def test_maps_depend_on_the_weights(shipped, method):
    network, signal = shipped.network(), generated("CD", seconds=5)
    (trained,) = explain(network, signal, explained=("CD",), method=method).importance
    (random,) = explain(randomised(network, 0)["stem"], signal, explained=("CD",), method=method).importance
    assert abs(agreement(trained, random)["signed"]) < 0.3
    assert agreement(trained, trained) == pytest.approx({"signed": 1, "absolute": 1, "strongest": 1})


@pytest.mark.parametrize("method", METHODS)
def test_a_missing_lead_is_never_shaded(method):
    present = np.isin(LEADS, ("I", "V2"))
    signal = generated() * present[:, None]
    found = explain(narrow_network(branch=True), signal, method=method)
    assert not found.importance[:, ~present].any()
    assert found.importance[:, present].any()
    assert {span.lead for name in SUPERCLASSES for span in found.spans(name)} <= {"I", "V2"}
