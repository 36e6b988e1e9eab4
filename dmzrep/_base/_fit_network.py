"""The training loop of small networks: classifiers, probes, priors, mappings between codes."""

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dmzrep._base._validation import check_number


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
    """Train a network in place, leave it in eval mode, and return its best validation loss.

    `loss_of` maps the sample indices of a batch to its loss. `validation_loss` is called after each epoch, in
    eval mode and without gradients; the weights of the best epoch are kept, and training stops after
    `patience` epochs that do not improve on it by more than `tol`. The result is infinite without
    validation, or if no validation loss is finite. `generator`, on the CPU, shuffles the samples.
    Gradients must be enabled, as in public functions, which are `isolated`.
    """
    optim = optimizer(network.parameters(), lr=check_number(learning_rate, "learning_rate", 0))
    scheduler = None if schedule is None else schedule(optim)
    size = min(int(batch_size), n_samples)
    n_used = n_samples // size * size if drop_last else n_samples
    best, best_weights, n_no_change, step = math.inf, None, 0, 0
    while step < n_steps and (patience is None or n_no_change < patience):
        network.train()
        for batch in torch.randperm(n_samples, generator=generator)[:n_used].split(size)[: n_steps - step]:
            loss = loss_of(batch)
            optim.zero_grad()
            loss.backward()
            optim.step()
            if scheduler is not None:
                scheduler.step()
            step += 1
        if validation_loss is None:
            continue
        network.eval()
        with torch.no_grad():
            score = validation_loss()
        n_no_change += 1
        if score < best - tol:
            best, best_weights, n_no_change = score, copy.deepcopy(network.state_dict()), 0
    if best_weights is not None:
        network.load_state_dict(best_weights)
    network.eval()
    return best
