"""Three training steps in float32 with batch normalisation in evaluation mode, by one process or by several.

torchrun --nproc_per_node 2 tests/support/three_steps.py DATA WEIGHTS
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from config import MULTILABEL_RECIPE
from dataset import PTBXLDataset
from models.recording_network import RecordingNetwork, make_network
from training.distributed import ALONE, Processes, join, leave
from training.loop import epoch_generator, random_crops, start_state, train_step
from training.objective import outputs_of

CONFIG = replace(MULTILABEL_RECIPE, batch_size=32, epochs=1)


def three_steps(data: str, processes: Processes = ALONE) -> tuple[RecordingNetwork, list[float]]:
    """The network after three steps, and the loss of the whole batch in each."""
    train = PTBXLDataset(data, "train")
    torch.manual_seed(0)
    network = make_network("hmt_ecgnet_tiny", {"dropout": 0.0}, outputs_of(CONFIG), 2.5, 1.25, branch=True)
    state = start_state(network, train, CONFIG, processes=processes)
    network.eval()
    generator, losses = epoch_generator(0, 0), []
    for batch in torch.randperm(len(train), generator=generator)[:96].numpy().reshape(3, 32):
        signals = processes.share(random_crops(train, batch, CONFIG, generator))
        own = processes.share(batch)
        loss = train_step(state, signals, torch.from_numpy(train.targets[own]), own, CONFIG, False, generator)
        losses.append(processes.mean(loss).item())
    return network, losses


if __name__ == "__main__":
    here = join(torch.device("cpu"))
    trained, losses = three_steps(sys.argv[1], here)
    if here.writes:
        torch.save({"weights": trained.state_dict(), "losses": losses}, sys.argv[2])
    leave(here)
