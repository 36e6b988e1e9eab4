"""Sums over processes of one machine, through memory that they share.

A step of training sums a dozen small tensors (`dmzrep.networks.normalisation.BatchNorm`), each of which all
processes wait for. torch's gloo hands every sum to threads of its own, and that takes a millisecond or two
where all cores compute; here the processes work for themselves and wait for a byte of each other
(`benchmarks/processes.py`).
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

#: Bytes that all processes of a machine share; containers often have 64 MiB for it.
SHARED_BYTES = 2**25
#: Where memory has a folder, which no disk is behind.
SHARED_MEMORY = Path("/dev/shm")
#: Seconds in which all processes connect, once all have the address.
ARRIVAL = 60.0


class LocalSums:
    """Adds up tensors of processes on one machine.

    Parameters
    ----------
    rank, size : int
        Which process this is, from 0, and how many there are.
    shared : mmap
        Memory that all have open.
    others : list of socket
        Connections of the first process to all others, or of another one to the first.
    patience : float
        Seconds after which it no longer waits for them.

    Notes
    -----
    Each process writes its tensor into its place, all meet, each adds up a share of the numbers of all, all
    meet, and each reads the sums. Sums are the same to the bit in all processes, since each number is added
    up by one of them, in the order of ranks.
    """

    def __init__(self, rank: int, size: int, shared: mmap.mmap, others: list[socket.socket], patience: float):
        self.rank, self.size = rank, size
        self._shared, self._others = shared, others
        # A place of each process, and one for the sums. They stay where they are: who is ahead writes into
        # its own while others may still read the sums of the last time.
        self._place = len(shared) // (size + 1) // 64 * 64
        for other in others:
            other.settimeout(patience)

    def meet(self) -> None:
        """Wait until all processes are here.

        Raises
        ------
        RuntimeError
            A process has ended, or did not come.
        """
        try:
            if self.rank:
                self._others[0].sendall(b".")
            for other in self._others:
                if not other.recv(1):
                    raise ConnectionResetError("it has closed the connection")
            if self.rank == 0:
                for other in self._others:
                    other.sendall(b".")
        except OSError as error:
            raise RuntimeError(
                f"Another process of this training no longer answers ({error}). Its own error says why."
            ) from error

    def add(self, x: Tensor) -> None:
        """Replace a contiguous tensor on the CPU by the sum over processes."""
        for part in x.view(-1).split(self._place // x.element_size()):
            self._add(part)

    def _add(self, part: Tensor) -> None:
        n = len(part)
        places = [
            torch.frombuffer(self._shared, dtype=part.dtype, count=n, offset=i * self._place)
            for i in range(self.size + 1)
        ]
        places[self.rank].copy_(part)
        self.meet()
        share = math.ceil(n / self.size)
        mine = slice(self.rank * share, (self.rank + 1) * share)
        total = places[-1][mine].copy_(places[0][mine])
        for place in places[1:-1]:
            total += place[mine]
        self.meet()
        part.copy_(places[-1])

    def close(self) -> None:
        """Leave; whoever waits for this process gets an error."""
        for other in self._others:
            with contextlib.suppress(OSError):  # The other has left already.
                # Forked children may hold the connection open.
                other.shutdown(socket.SHUT_RDWR)
            other.close()


def connect(rank: int, size: int, from_first: Callable[[Any], Any], patience: float) -> LocalSums | None:
    """Bring processes of one machine together; give None in all where they cannot share memory.

    Parameters
    ----------
    rank, size : int
        Which process this is, from 0, and how many there are.
    from_first : callable
        Gives what the first process gives it, in all processes.
    patience : float
        Seconds after which a process no longer waits for the others.

    Raises
    ------
    RuntimeError
        Another process did not come.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training.local_sums import connect
    >>> alone, x = connect(0, 1, lambda value: value, patience=1.0), torch.ones(3)
    >>> alone.add(x)
    >>> x
    tensor([1., 1., 1.])
    >>> alone.close()
    """
    if rank:
        places = from_first(None)
        if places is None:
            return None
        other = socket.socket(socket.AF_UNIX)
        other.connect(places[0])
        sums = LocalSums(rank, size, _open(places[1]), [other], patience)
        sums.meet()
        return sums
    # Only this user's processes may look into it. Once all have come nothing needs a name any more, and
    # nothing is left behind, however they end.
    folder, path = Path(tempfile.mkdtemp(prefix="dmzrep-")), None
    try:
        with socket.socket(socket.AF_UNIX) as door:
            try:
                shared, path = _reserve(SHARED_BYTES)
                door.bind(str(folder / "door"))
            except OSError:
                from_first(None)
                return None
            door.listen(size)
            door.settimeout(ARRIVAL)
            from_first((str(folder / "door"), path))
            try:
                others = [door.accept()[0] for _ in range(size - 1)]
            except TimeoutError as error:
                raise RuntimeError(
                    f"Of {size} processes not all have come in {ARRIVAL:g} s. Their own errors say why."
                ) from error
        sums = LocalSums(rank, size, shared, others, patience)
        sums.meet()
        return sums
    finally:
        shutil.rmtree(folder)
        if path is not None:
            os.unlink(path)


def _reserve(n_bytes: int) -> tuple[mmap.mmap, str]:
    """Memory that other processes can open by a path; raise now rather than when it is written to."""
    folders = [str(SHARED_MEMORY)] if SHARED_MEMORY.is_dir() else []
    for folder in [*folders, tempfile.gettempdir()]:
        number, path = tempfile.mkstemp(prefix="dmzrep-", dir=folder)
        try:
            os.ftruncate(number, n_bytes)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(number, 0, n_bytes)
            return mmap.mmap(number, n_bytes), path
        except OSError as error:
            os.unlink(path)
            failure = error
        finally:
            os.close(number)
    raise failure


def _open(path: str) -> mmap.mmap:
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), 0)
