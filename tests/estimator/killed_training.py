"""Trains an encoder, killing it again and again, and compares it with one that was never killed.

    python killed_training.py FOLDER N_KILLS N_EPOCHS

Every attempt is a process that is killed by SIGKILL at a random instant. Processes are forked from this one,
which has imported everything and computed nothing, so that an attempt begins at once.
"""

import os
import random
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # Otherwise every attempt would import it for a second with its optimiser.

from dmzrep import DMZEncoder, Network, Training
from dmzrep.datasets import load_digits_images


def fit(folder: Path | None, n_epochs: int, result: Path) -> None:
    """Train, and write the codes, weights and losses."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    images = load_digits_images().images[:128]
    encoder = DMZEncoder(
        latent_dim=8,
        network=Network(width=(8,), encoder_width=8, dropout=0.1),
        batch_size=16,
        max_iter=n_epochs,
        init="contrast_pca",
        encoder_augment=None,
        # Each of these has a state that has to be restored.
        augment="flip",
        training=Training(timestep_sampling="loss_second_moment", decorrelation="auto"),
        prior="independent",
        device="cpu",
        random_state=0,
        checkpoint_dir=folder,
        checkpoint_every=1e-3,  # After every step, so that progress does not depend on the machine's speed.
    ).fit(images)
    weights = {name: tensor.numpy() for name, tensor in encoder.model_.state_dict().items()}
    losses = encoder.history_[["loss", "validation_loss"]].to_numpy()
    np.savez(result, losses=losses, codes=encoder.transform(images), **weights)


def start(*arguments) -> int:
    """Begin an attempt in a new process."""
    child = os.fork()
    if child:
        return child
    try:
        fit(*arguments)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def finish(child: int) -> None:
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"an attempt ended with {status}")


def names(checkpoints: Path) -> set[str]:
    """Return the names of the files of the run."""
    return {path.name for path in checkpoints.glob("run-*/*")}


def main(folder: Path, n_kills: int, n_epochs: int) -> None:
    draw = random.Random(n_kills)
    finish(start(None, n_epochs, folder / "whole.npz"))
    checkpoints, result = folder / "checkpoints", folder / "killed.npz"
    checkpoints.mkdir()
    steps = []
    for attempt in range(n_kills):
        child, seen, wanted = start(checkpoints, n_epochs, result), names(checkpoints), 0
        # Kill after some new files, half of them temporary files of checkpoints; every fourth time, at once.
        if attempt % 4 != 1:
            wanted = len(seen) + draw.randint(1, max(8, n_epochs))
        while len(seen) < wanted:
            seen |= names(checkpoints)
            if os.waitpid(child, os.WNOHANG) != (0, 0):
                sys.exit(f"attempt {attempt} ended before it was killed")
            time.sleep(0.0005)
        time.sleep(draw.uniform(0.0, 0.015 if wanted else 0.3))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if status != signal.SIGKILL:
            sys.exit(f"attempt {attempt} ended with {status} before it was killed")
        steps.append(max([name for name in names(checkpoints) if not name.startswith(".")], default=""))
    print(f"killed {n_kills} times, after checkpoints {steps}")
    finish(start(checkpoints, n_epochs, result))
    whole, killed = np.load(folder / "whole.npz"), np.load(result)
    different = [name for name in whole if whole[name].tobytes() != killed[name].tobytes()]
    print("identical bit for bit" if not different else f"different: {different}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
