"""Statistics of batch normalisation across processes and for averaged weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from dmzrep.networks._normalization import BatchNorm
from dmzrep.training._budget import Budget
from dmzrep.training._data import TrainingData

#: Largest number of samples for re-estimating running statistics after training.
STATISTICS_SAMPLES = 8192


@contextmanager
def synchronized_batch_norm(module: nn.Module, budget: Budget) -> Iterator[None]:
    """Normalise over the batches of all processes within the context."""
    norms = _batch_norms(module)
    for norm in norms:
        norm.all_reduce = budget.processes.all_reduce if budget.processes.size > 1 else None
    try:
        yield
    finally:
        for norm in norms:
            norm.all_reduce = None


@torch.no_grad()
def refresh_statistics(encoder: nn.Module, data: TrainingData, batch_size: int, budget: Budget) -> None:
    """Re-estimate running statistics of averaged weights, in at most half of the remaining time."""
    norms, processes = _batch_norms(encoder), budget.processes
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    generator = torch.Generator().manual_seed(0)
    positions = torch.randperm(len(data), generator=generator)[:STATISTICS_SAMPLES]
    size = min(batch_size, len(positions))
    size -= size % processes.size
    keep = budget.left() / 2
    with synchronized_batch_norm(encoder, budget):
        for start in range(0, len(positions) - size + 1, size):
            encoder(data.batch(processes.shard(positions[start : start + size])))
            if budget.limit is not None and budget.left(keep) <= 0:
                break
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _batch_norms(module: nn.Module) -> list[BatchNorm]:
    return [part for part in module.modules() if isinstance(part, BatchNorm)]
