"""Recordings with fewer than twelve leads, from the diagnoser to the table."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest

import predict
from config import ANYLEAD, BINARY_TASKS, CHEST_LEADS, LEADS, LIMB_LEADS, SUPERCLASSES
from ecg.lead_sets import CANONICAL_SETS, FITTED_SETS
from ecg.recording import RecordingError
from export_onnx import export_anylead, write_manifest
from files import sha256
from inference import InferenceError
from inference.diagnoser import Diagnoser
from inference.result_rows import columns_of
from inference.results_table import read_rows
from tests.support.ecgs import generated
from tests.support.lead_sets import with_leads
from tests.support.manifests import edit_json, list_again
from tests.support.server import assert_problem, client_with, prediction_of


@pytest.fixture(scope="module")
def diagnoser(served_anylead):
    return Diagnoser.load(served_anylead)


@pytest.fixture(scope="module")
def without(served_anylead, tmp_path_factory):
    """The same networks for twelve leads alone."""
    own = shutil.copytree(served_anylead, tmp_path_factory.mktemp("without") / "own")
    (own / "anylead_thresholds.json").unlink()
    listed = json.loads((own / "manifest.json").read_text())["files"]
    write_manifest(own, [name for name in listed if "anylead" not in name])
    return Diagnoser.load(own)


@pytest.fixture(scope="module")
def recordings():
    return [generated(seed)[0] for seed in range(8)]


@pytest.fixture(scope="module")
def whole(recordings):
    return recordings[0]


def numbers(diagnosis):
    return [*diagnosis.probabilities.values(), diagnosis.mi_vs_norm.probability, diagnosis.norm_vs_abnormal.probability]


# --------------------------------------------------------------------------- which network answers


@pytest.mark.parametrize("name", CANONICAL_SETS)
def test_every_canonical_set_is_diagnosed_with_its_own_thresholds(diagnoser, whole, name):
    recorded = ("I", "II", *CHEST_LEADS) if name == "8" else CANONICAL_SETS[name]
    diagnosis = diagnoser.diagnose(with_limb_leads(whole, *recorded))
    assert diagnosis.leads == CANONICAL_SETS[name]
    assert diagnosis.lead_set == {"8": "12"}.get(name, name)
    assert diagnosis.lead_set_exact
    assert tuple(diagnosis.probabilities) == SUPERCLASSES
    answered = "multilabel" if name in ("12", "8") else ANYLEAD
    assert answered in diagnosis.model
    assert (answered == ANYLEAD) == any("Read from" in sentence for sentence in diagnosis.warnings)


def with_limb_leads(recording, *leads):
    """As a reader leaves it: two of I, II, III give all six limb leads."""
    if sum(lead in leads for lead in LIMB_LEADS[:3]) >= 2:
        leads = (*LIMB_LEADS, *leads)
    return with_leads(recording, *leads)


def test_twelve_leads_are_diagnosed_as_without_the_other_network(diagnoser, without, whole):
    expected, diagnosis = without.diagnose(whole), diagnoser.diagnose(whole)
    assert numbers(diagnosis) == numbers(expected)
    assert diagnosis.model == expected.model
    assert diagnosis.warnings == expected.warnings
    assert diagnosis.not_assessable == ()


def test_both_backends_agree_with_few_leads(diagnoser, served_anylead, whole):
    pytorch = Diagnoser.load(served_anylead, backend="pytorch")
    for leads in (("I",), (*LIMB_LEADS, "V2"), ("V3",)):
        few = with_leads(whole, *leads)
        np.testing.assert_allclose(numbers(pytorch.diagnose(few)), numbers(diagnoser.diagnose(few)), atol=1e-4)


def test_a_missing_lead_says_nothing_whatever_stands_in_its_place(diagnoser, whole):
    few = with_leads(whole, "I", "V5")
    disturbed = replace(few, signal=np.where(few.present[:, None], few.signal, 7).astype(np.float32))
    one, other = (diagnoser.probabilities(recording) for recording in (few, disturbed))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_set_in_between_gets_the_thresholds_of_the_largest_one_it_contains_and_says_so(diagnoser, whole):
    diagnosis = diagnoser.diagnose(with_leads(whole, *LIMB_LEADS, "V2", "V5"))
    assert diagnosis.lead_set == "I,II,V2"
    assert not diagnosis.lead_set_exact
    assert "with the thresholds for the limb leads, V2, the largest set" in diagnosis.warnings[0]


def test_recordings_with_different_leads_are_diagnosed_together_as_alone(diagnoser, recordings):
    leads = [("I",), LEADS, ("V3",), ("I",), LIMB_LEADS]
    mixed = [with_leads(one, *these) for one, these in zip(recordings, leads, strict=False)]
    refused = replace(recordings[5], signal=recordings[5].signal[:, :1000])
    *together, error = diagnoser.diagnose_many([*mixed, refused])
    assert isinstance(error, RecordingError)
    for one, diagnosis in zip(mixed, together, strict=True):
        alone = diagnoser.diagnose(one)
        assert numbers(diagnosis) == numbers(alone)
        assert (diagnosis.leads, diagnosis.headline) == (alone.leads, alone.headline)


def test_every_subset_of_leads_is_answered(diagnoser, whole):
    rng = np.random.default_rng(0)
    for bits in rng.choice(4095, 40, replace=False) + 1:
        leads = [lead for number, lead in enumerate(LEADS) if bits >> number & 1]
        diagnosis = diagnoser.diagnose(with_limb_leads(whole, *leads), quality=False)
        assert all(0 <= p <= 1 for p in numbers(diagnosis))


# --------------------------------------------------------------------------- what cannot be assessed


def test_what_the_leads_do_not_show_is_never_asserted(diagnoser, recordings):
    for recording in recordings:
        diagnosis = diagnoser.diagnose(with_leads(recording, "I"))
        assert set(diagnosis.not_assessable) == {"MI", "mi_vs_norm", "IMI"}
        assert "MI" not in diagnosis.predicted_classes
        assert diagnosis.mi_vs_norm.positive is None
        assert diagnosis.mi_vs_norm.withheld_because == "not assessable from these leads"
        assert "Not assessable from lead I: MI, MI against NORM, 1 statement." in diagnosis.not_assessed
        if "NORM" in diagnosis.predicted_classes:
            assert any("as far as can be told from lead I" in phrase for phrase in diagnosis.headline)


def test_without_a_canonical_set_nothing_is_asserted(diagnoser, recordings):
    for recording in recordings:
        diagnosis = diagnoser.diagnose(with_leads(recording, "V3", "V6"))
        assert diagnosis.lead_set is None
        assert diagnosis.predicted_classes == ()
        assert not any(one.asserted for one in (*diagnosis.statements, *diagnosis.subclasses))
        assert diagnosis.headline == ("Rhythm not assessed", "No diagnosis can be told from leads V3, V6")
        assert diagnosis.mi_vs_norm.positive is diagnosis.norm_vs_abnormal.positive is None
        assert {*SUPERCLASSES, *BINARY_TASKS} <= set(diagnosis.not_assessable)
        assert any("calibrated" in sentence for sentence in diagnosis.uncertain_because)
        assert "which has no calibration for them" in diagnosis.warnings[0]


# --------------------------------------------------------------------------- lost leads


def test_a_flat_lead_is_treated_as_missing_and_said_so(diagnoser, whole):
    broken = replace(whole, signal=whole.signal * (np.array(LEADS) != "V3")[:, None])
    diagnosis = diagnoser.diagnose(broken)
    assert diagnosis.leads == tuple(lead for lead in LEADS if lead != "V3")
    assert diagnosis.lead_set == "11"
    assert any(sentence.startswith("Lead V3 ") and "as missing" in sentence for sentence in diagnosis.warnings)
    missing = diagnoser.diagnose(with_leads(whole, *diagnosis.leads))
    assert numbers(missing) == numbers(diagnosis)


def test_without_a_network_for_missing_leads_a_flat_lead_is_left_to_the_others(without, whole):
    broken = replace(whole, signal=whole.signal * (np.array(LEADS) != "V3")[:, None])
    diagnosis = without.diagnose(broken)
    assert diagnosis.leads == LEADS
    assert "multilabel" in diagnosis.model


# --------------------------------------------------------------------------- threads


def outcome(diagnoser, recording, quality):
    """Everything that is said of a recording, or why nothing is."""
    try:
        diagnosis = replace(diagnoser.diagnose(recording, quality), milliseconds=0.0)
    except RecordingError as error:
        return str(error)
    return json.dumps(asdict(diagnosis), default=np.ndarray.tolist)


@pytest.mark.parametrize("quality", [True, False])
def test_a_diagnosis_is_the_same_however_many_threads_work_on_it(served_anylead, diagnoser, whole, quality):
    helped = Diagnoser.load(served_anylead, threads=2)
    present = (np.array(LEADS) != "V3")[:, None]
    silent = replace(whole, signal=whole.signal * present)
    short = replace(whole, signal=whole.signal[:, :1000])
    broken = replace(whole, signal=np.where(present, whole.signal, np.nan))
    several = [whole, with_leads(whole, "I"), silent, short, broken]
    assert [outcome(helped, one, quality) for one in several] == [outcome(diagnoser, one, quality) for one in several]


# --------------------------------------------------------------------------- refusals


def test_few_leads_are_refused_without_their_network_and_told_what_is_missing(without, whole):
    with pytest.raises(RecordingError, match=r"lead II, .* is missing, and .*anylead_best"):
        without.diagnose(with_leads(whole, "I"))


def test_no_leads_at_all_are_refused(diagnoser, whole):
    with pytest.raises(RecordingError, match="none of the leads"):
        diagnoser.diagnose(with_leads(whole), quality=False)


@pytest.mark.parametrize("backend", ["onnx", "pytorch"])
def test_thresholds_of_another_network_are_refused(served_anylead, tmp_path, backend):
    own = shutil.copytree(served_anylead, tmp_path / "own")
    edit_json(own / "anylead_thresholds.json", lambda content: content.update(checkpoint_sha256="0" * 64))
    list_again(own, "anylead_thresholds.json")
    with pytest.raises(InferenceError, match="another checkpoint"):
        Diagnoser.load(own, backend)


def test_an_exchanged_network_is_noticed(served_anylead, tmp_path):
    own = shutil.copytree(served_anylead, tmp_path / "own")
    edit_json(own / "manifest.json", lambda content: content["self_test_anylead"].update(MI=2.0))
    with pytest.raises(InferenceError, match="self-test failed: MI"):
        Diagnoser.load(own)
    edit_json(own / "manifest.json", lambda content: content.pop("self_test_anylead"))
    with pytest.raises(InferenceError, match="no self-test of .*anylead_best.onnx"):
        Diagnoser.load(own)
    (own / "anylead_best.onnx").write_bytes(b"")
    with pytest.raises(InferenceError, match="anylead_best.onnx"):
        Diagnoser.load(own)


def test_a_network_without_thresholds_is_not_exported(served_anylead, tmp_path, capsys):
    own = shutil.copytree(served_anylead, tmp_path / "own")
    (own / "anylead_thresholds.json").unlink()
    listed = json.loads((own / "manifest.json").read_text())["files"]
    write_manifest(own, [name for name in listed if "anylead" not in name] + export_anylead(own))
    assert "anylead_thresholds.json: recordings with missing leads will be refused" in capsys.readouterr().out
    assert Diagnoser.load(own).anylead is None
    assert not any("anylead" in name for name in json.loads((own / "manifest.json").read_text())["files"])


# --------------------------------------------------------------------------- the table


def test_predict_takes_a_file_of_one_lead(served_anylead, whole, tmp_path, capsys):
    rows = "\n".join(f"{value:.4f}" for value in whole.signal[0])
    (tmp_path / "watch.csv").write_text(f"I\n{rows}\n")
    arguments = ["--artifacts", str(served_anylead), "--sampling-rate", f"{whole.sampling_rate:g}", "--units", "mV"]
    assert predict.main([str(tmp_path / "watch.csv"), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "leads               I\n" in printed
    assert "Not assessable from lead I: MI" in printed
    out = tmp_path / "results.csv"
    assert predict.main([str(tmp_path / "watch.csv"), *arguments, "--out", str(out), "--long"]) == 0
    (row,) = read_rows(out, columns_of())
    assert row["leads"] == "I"
    assert row["lead_set"] == "I"
    assert row["lead_set_exact"]
    assert row["not_assessable"].split() == ["MI", "mi_vs_norm", "IMI"]
    assert row["model"] == sha256(served_anylead / "anylead_best.pth")[:12]


# --------------------------------------------------------------------------- the server


@pytest.fixture(scope="module")
def client(served_anylead):
    with client_with(served_anylead) as client:
        yield client


@pytest.fixture(scope="module")
def body(whole):
    leads = dict(zip(LEADS, whole.signal.astype(float).round(4).tolist(), strict=True))
    return {"sampling_rate": whole.sampling_rate, "units": "mV", "leads": leads}


def only(body, *leads):
    return {**body, "leads": {lead: body["leads"][lead] for lead in leads}}


def test_the_server_takes_one_lead_in_every_form(client, body, served_anylead):
    of_watch = only(body, "I")
    prediction = prediction_of(client.post("/predict", json=of_watch))
    assert prediction["leads"] == ["I"]
    assert prediction["lead_set"] == "I"
    assert prediction["lead_set_exact"] is True
    assert prediction["not_assessable"] == ["MI", "mi_vs_norm", "IMI"]
    assert prediction["model"] == {"anylead": sha256(served_anylead / "anylead_best.pth")}
    rows = "\n".join(map(str, of_watch["leads"]["I"]))
    upload = {"files": ("watch.csv", f"I\n{rows}\n".encode())}
    query = f"?sampling_rate={body['sampling_rate']:g}&units=mV"
    of_file = prediction_of(client.post(f"/predict/file{query}", files=upload))
    assert of_file["probabilities"] == prediction["probabilities"]
    sent = [body, of_watch, only(body, "V3")]
    whole, again, chest = client.post("/predict/batch", json={"recordings": sent}).json()["results"]
    assert (whole["lead_set"], whole["leads"]) == ("12", list(LEADS))
    assert again["probabilities"] == prediction["probabilities"]
    assert (chest["lead_set"], chest["predicted_classes"]) == (None, [])


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda leads: {}, ["no leads were given", "V6"]),
        (lambda leads: {"I": leads["I"], "V02": leads["V2"]}, ["unknown leads: V02", "V6"]),
        (lambda leads: {"I": leads["I"], "II": leads["II"][:-7]}, ["different lengths", "I 5000", "II 4993"]),
    ],
)
def test_leads_that_make_no_recording_have_a_message_each(client, body, path, change, words):
    bad = {**body, "leads": change(body["leads"])}
    if path == "/predict":
        assert_problem(client.post(path, json=bad), 422, *words)
        return
    good, problem = client.post(path, json={"recordings": [only(body, "I"), bad]}).json()["results"]
    assert good["leads"] == ["I"]
    assert problem["status"] == 422
    assert all(word in problem["detail"] for word in words)


def test_the_model_names_the_lead_sets_and_both_networks(client, served_anylead):
    facts = client.get("/model").json()
    assert facts["input"]["lead_sets"] == list(FITTED_SETS)
    assert facts["networks"]["anylead"]["checkpoint_sha256"] == sha256(served_anylead / "anylead_best.pth")
    assert {"anylead_best.onnx", "anylead_thresholds.json"} <= set(facts["files"])
