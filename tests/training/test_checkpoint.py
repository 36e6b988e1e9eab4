from dataclasses import replace

import numpy as np
import pytest
import torch

from dmzrep.diffusion.objective import Objective
from dmzrep.diffusion.schedule import NoiseSchedule
from dmzrep.errors import CheckpointMismatchError, PersistenceError
from dmzrep.networks.model import DiffusionAutoencoder, NetworkConfig, memory_format
from dmzrep.training import CheckpointWriter, Trainer, TrainingConfig, TrainingData, read_checkpoint, resume
from dmzrep.training.checkpoint import CHECKPOINT_NAME

NETWORK = NetworkConfig((2, 8, 8), 4, "unet", (8,), (1, 1), encoder_width=4)
SETTINGS = TrainingConfig(max_epochs=3, batch_size=16, warmup_steps=2, ema_half_life=100.0)
IDENTITY = {"learning_rate": 1e-3, "seed": 0}


def make_trainer(seed=0, **settings):
    torch.manual_seed(seed)
    model = DiffusionAutoencoder(NETWORK).to(memory_format=memory_format(NETWORK))
    return Trainer(model, Objective(NoiseSchedule.named("cosine", 6)), replace(SETTINGS, **settings), seed)


@pytest.fixture
def data():
    rows = np.random.default_rng(0).normal(size=(48, 2, 8, 8)).astype(np.float32)

    def prepare(raw):
        return raw.contiguous(memory_format=torch.channels_last)

    return TrainingData(rows, prepare, np.arange(48), torch.device("cpu"))


@pytest.mark.parametrize(
    "settings",
    [
        {"timestep_sampling": "high_noise"},
        {"timestep_sampling": "loss_second_moment"},
        {"decorrelation": "auto", "ordered": True},
    ],
    ids=str,
)
def test_a_run_taken_up_from_a_file_is_the_run_that_never_stopped(tmp_path, data, settings):
    settings = settings | {"final_learning_rate": 1.0}
    whole, first = (make_trainer(max_epochs=n, **settings) for n in (3, 1))
    whole.fit(data)
    first.fit(data, hooks=CheckpointWriter(tmp_path / "new" / "folder", IDENTITY))
    resumed = make_trainer(seed=7, **settings)
    resume(resumed, IDENTITY, *read_checkpoint(tmp_path / "new" / "folder"))
    assert resumed.epoch == 1
    resumed.fit(data)
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in whole.history]
    for part in ("model", "average"):
        a, b = (t.state()[part] for t in (whole, resumed))
        assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_no_checkpoint_is_none_and_a_damaged_one_raises(tmp_path, data):
    assert read_checkpoint(tmp_path) is None
    make_trainer(max_epochs=1).fit(data, hooks=CheckpointWriter(tmp_path, IDENTITY))
    path = tmp_path / CHECKPOINT_NAME
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(PersistenceError, match="not a whole dmzrep file"):
        read_checkpoint(tmp_path)


def test_a_checkpoint_of_another_run_is_refused_and_leaves_the_trainer_alone(tmp_path, data):
    make_trainer(max_epochs=1).fit(data, hooks=CheckpointWriter(tmp_path, IDENTITY))
    trainer = make_trainer(seed=3)
    before = trainer.state()
    message = r"learning_rate: checkpoint 0.001, now 0.1; seed: .* now 3"
    with pytest.raises(CheckpointMismatchError, match=message):
        resume(trainer, {"learning_rate": 0.1, "seed": 3}, *read_checkpoint(tmp_path))
    after = trainer.state()
    assert all(torch.equal(before["model"][name], after["model"][name]) for name in before["model"])
    assert trainer.epoch == 0
