"""Sums of processes on one machine; threads stand for processes here, test_processes.py has real ones."""

import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from dmzrep.training import local_sums
from dmzrep.training.local_sums import connect

SIZE = 3


class Sharing:
    """Gives what the first of some threads gives to all of them."""

    def __init__(self):
        self.barrier, self.value = threading.Barrier(SIZE), None

    def of(self, rank):
        def from_first(value):
            if rank == 0:
                self.value = value
            self.barrier.wait(30)
            value = self.value
            self.barrier.wait(30)
            return value

        return from_first


def in_all(work, patience=30.0):
    """Run work(sums, rank) in connected threads; give their results."""
    sharing = Sharing()

    def run(rank):
        sums = connect(rank, SIZE, sharing.of(rank), patience)
        try:
            return work(sums, rank)
        finally:
            if sums is not None:
                sums.close()

    with ThreadPoolExecutor(SIZE) as pool:
        return [task.result(60) for task in [pool.submit(run, rank) for rank in range(SIZE)]]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """All that is written goes here; paths of sockets must be short."""
    monkeypatch.setattr(local_sums, "SHARED_MEMORY", tmp_path)
    with tempfile.TemporaryDirectory(prefix="d") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield [tmp_path, Path(short)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_are_those_of_all_to_the_bit(dtype, monkeypatch):
    """Tensors of one number, of one less for each, and larger than the places."""
    monkeypatch.setattr(local_sums, "SHARED_BYTES", 2**14)
    shapes = [(1,), (2,), (7, 3), (2, 3, 5), (5_000,), (1,), (123, 45), (512,)] * 5
    generator = torch.Generator().manual_seed(0)
    given = [[torch.randn(s, generator=generator, dtype=dtype) for s in shapes] for _ in range(SIZE)]
    expected = [np.sum([x.numpy() for x in those], axis=0) for those in zip(*given, strict=True)]

    def work(sums, rank):
        meet, n_meetings = sums.meet, iter(range(10**6))

        def meet_and_linger():
            meet()
            # Who is ahead must not write where others still read.
            time.sleep(0.002 * ((next(n_meetings) + rank) % 4 == 0))

        sums.meet = meet_and_linger
        for x in given[rank]:
            sums.add(x)
        return given[rank]

    first, *others = in_all(work)
    assert all(torch.equal(x, y) for other in others for x, y in zip(first, other, strict=True))
    for x, y in zip(first, expected, strict=True):
        np.testing.assert_allclose(x.numpy(), y, rtol=1e-6 if dtype == torch.float32 else 1e-14)


def test_nothing_is_left_behind(folder):
    in_all(lambda sums, rank: sums.add(torch.ones(3)))
    assert [os.listdir(place) for place in folder] == [[], []]


def test_who_leaves_is_missed_at_once():
    left = threading.Event()

    def work(sums, rank):
        if rank == 1:
            sums.close()
            left.set()
            return ""
        assert left.wait(30)
        with pytest.raises(RuntimeError, match="no longer answers") as caught:
            sums.add(torch.ones(3))
        # The others are told in turn.
        sums.close()
        return str(caught.value)

    begun = time.monotonic()
    said = in_all(work)
    assert "Its own error says why" in said[0] and "Its own error says why" in said[2]
    assert time.monotonic() - begun < 20


def test_who_does_not_come_is_not_waited_for_longer_than_asked():
    def work(sums, rank):
        if rank == 2:
            time.sleep(1.5)
            return None
        with pytest.raises(RuntimeError, match="timed out"):
            sums.meet()
        return None

    in_all(work, patience=0.5)


def test_who_does_not_connect_is_missed(monkeypatch, folder):
    monkeypatch.setattr(local_sums, "ARRIVAL", 0.3)
    with pytest.raises(RuntimeError, match="Of 2 processes not all have come"):
        connect(0, 2, lambda value: value, patience=1.0)
    assert [os.listdir(place) for place in folder] == [[], []]


def test_without_memory_to_share_there_are_no_local_sums(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "ftruncate", full)
    assert in_all(lambda sums, rank: sums) == [None] * SIZE
    assert [os.listdir(place) for place in folder] == [[], []]
