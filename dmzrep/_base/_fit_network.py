"""The training loop of small networks: classifiers, probes, priors, maps between codes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dmzrep._base._validation import check_number


@contextmanager
def gradients() -> Iterator[None]:
    """Record gradients even if the caller has switched them off; around all tensors that are trained on."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@gradients()
def fit_network(
    network: nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    n_samples: int,
    *,
    n_steps: int,
    batch_size: int,
    learning_rate: float,
    generator: torch.Generator,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    schedule: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler] | None = None,
    drop_last: bool = False,
    validation_loss: Callable[[], float] | None = None,
    patience: int | None = None,
    tol: float = 0.0,
) -> float:
    """Train a network in place by gradient descent; return its best validation loss.

    Parameters
    ----------
    network : nn.Module
        Left in eval mode, with the weights of the epoch with the lowest validation loss if there is one.
    loss_of : callable
        From the positions of a batch's samples to the loss.
    n_samples : int
        Number of training samples.
    n_steps : int
        Steps at most, in as many epochs as it takes.
    batch_size : int
        Samples per step; all samples where they are fewer.
    learning_rate : float
        Above 0.
    generator : torch.Generator
        Shuffles the samples, on the CPU.
    optimizer : callable, default=torch.optim.Adam
        From parameters and `lr` to an optimizer.
    schedule : callable, optional
        From the optimizer to a schedule of the learning rate, stepped after each step.
    drop_last : bool, default=False
        Leave out the last batch of an epoch where it is smaller.
    validation_loss : callable, optional
        Called after each epoch, in eval mode and without gradients.
    patience : int, optional
        Epochs without a lower validation loss, by more than `tol`, after which training stops.
    tol : float, default=0.0
        See `patience`.

    Returns
    -------
    float
        Infinite without validation, and where no validation loss was finite.
    """
    rate = check_number(learning_rate, "learning_rate", 0)
    trained = optimizer(network.parameters(), lr=rate)
    scheduler = None if schedule is None else schedule(trained)
    size = min(int(batch_size), n_samples)
    used = n_samples // size * size if drop_last else n_samples
    best, best_weights, since, step = math.inf, None, 0, 0
    while step < n_steps and (patience is None or since < patience):
        network.train()
        for batch in torch.randperm(n_samples, generator=generator)[:used].split(size)[: n_steps - step]:
            loss = loss_of(batch)
            trained.zero_grad(set_to_none=True)
            loss.backward()
            trained.step()
            if scheduler is not None:
                scheduler.step()
            step += 1
        if validation_loss is None:
            continue
        network.eval()
        with torch.no_grad():
            reached = validation_loss()
        since += 1
        if reached < best - tol:
            best, best_weights, since = reached, copy.deepcopy(network.state_dict()), 0
    if best_weights is not None:
        network.load_state_dict(best_weights)
    network.eval()
    return best
