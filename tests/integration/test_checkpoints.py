"""Checkpoint files: what is refused, what earlier versions wrote, failed writes."""

import pytest
import torch

from models.checkpoint import CheckpointError, load_checkpoint, load_plain, save_atomically


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def without_head(content):
    weights = {name: value for name, value in content["weights"].items() if not name.startswith("trunk.head")}
    return {**content, "weights": weights}


DAMAGE = {
    "of another project": (lambda content: {"state_dict": content["weights"]}, "it lacks classes"),
    "a list": (lambda content: [1], "it holds a list"),
    "a state to resume from": (lambda content: {"network": {}, "optimizer": {}}, "best.pth"),
    "a later version's": (lambda content: {**content, "colour": 1}, "it also holds colour"),
    "an unknown architecture": (lambda content: {**content, "model": "transformer"}, "'transformer', not one of"),
    "an unknown task": (lambda content: {**content, "task": "beats"}, "its task is 'beats'"),
    "other classes": (lambda content: {**content, "classes": ["MI"]}, "its classes are MI"),
    "another lead order": (lambda content: {**content, "leads": content["leads"][::-1]}, "its leads are V6"),
    "no head": (without_head, "its weights lack the last layer, trunk.head.weight, trunk.head.bias"),
    "wrong sizes": (
        lambda content: {**content, "model_arguments": {"classes": 78, "heart_channels": 8}},
        "its weights do not fit its architecture, hmt_ecgnet",
    ),
    "unknown arguments": (lambda content: {**content, "model_arguments": {"depth": 3}}, "do not fit its architecture"),
    "unknown statements": (lambda content: {**content, "statements": ["XYZ"]}, "its statements hold XYZ"),
    "fewer statements": (lambda content: {**content, "statements": ["AFIB"]}, "do not fit its architecture"),
    "no branch": (lambda content: {**content, "branch": False}, "do not fit its architecture"),
    "a wrong type": (lambda content: {**content, "leads": 5}, "wrong type"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_not_our_checkpoint_is_refused_in_one_sentence(uninterrupted, tmp_path, kind):
    damage, sentence = DAMAGE[kind]
    path = tmp_path / "bad.pth"
    save_atomically(path, damage(load_plain(uninterrupted / "multilabel_best.pth")))
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(path)
    message = str(refused.value)
    assert message.startswith(f"{path} is not a checkpoint of this project: ") and sentence in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path, whole: path.write_bytes(whole[:5000]), "bad.pth cannot be read"),
        (lambda path, whole: path.write_text("101"), "bad.pth is not a checkpoint: "),
        (lambda path, whole: path.write_bytes(b""), "bad.pth is not a checkpoint: "),
        (lambda path, whole: torch.save({"weights": Malicious()}, path), "more than weights and plain values"),
        (lambda path, whole: None, "train_multilabel.py"),
    ],
    ids=["truncated", "text", "empty", "code", "missing"],
)
def test_a_damaged_file_is_refused_and_never_executed(uninterrupted, tmp_path, write, sentence):
    write(tmp_path / "bad.pth", (uninterrupted / "multilabel_best.pth").read_bytes())
    with pytest.raises(CheckpointError, match=sentence) as refused:
        load_checkpoint(tmp_path / "bad.pth")
    assert "\n" not in str(refused.value)


def test_settings_of_earlier_checkpoints_are_found_by_their_present_names(uninterrupted, tmp_path):
    content = load_plain(uninterrupted / "multilabel_best.pth")
    for earlier in ("statements", "auxiliary_weight"):
        save_atomically(tmp_path / "earlier.pth", {**content, "training": {earlier: 2.0, "epochs": 7}})
        assert load_checkpoint(tmp_path / "earlier.pth").training == {"statement_weight": 2.0, "epochs": 7}


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.pth"
    save_atomically(path, {"a": 1})
    with pytest.raises(AttributeError):
        save_atomically(path, {"a": lambda: 1})
    assert load_plain(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.pth"]
