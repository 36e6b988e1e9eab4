"""The time that a fit may take, and what training leaves of it to what follows."""

from __future__ import annotations

import math

from dmzrep.training.distributed._processes import Processes

#: Share of the time, at most, that is kept for what follows training: statistics, code report and prior.
RESERVED_SHARE = 0.25
#: Share of the time, at most, in which the encoder is initialised.
INITIALISATION_SHARE = 0.3
#: Share of the time, at most, that one validation takes.
VALIDATION_SHARE = 0.05


class Budget:
    """Seconds of a fit, counted from here on by the clock of the processes.

    Parameters
    ----------
    limit : float or None
        Seconds that the fit may take, or None.
    processes : Processes, optional
        Those that train together; by default this one alone.

    Attributes
    ----------
    before : float
        Seconds that the run had taken in an earlier process.
    reserve : float
        Seconds that are kept for what follows training.
    fixed : float
        Seconds of it that do not depend on the number of samples, such as those of the prior.

    Examples
    --------
    >>> from dmzrep.training._budget import Budget
    >>> from dmzrep.training.distributed._processes import Processes
    >>> now = 5.0
    >>> budget = Budget(10.0, Processes(clock=lambda: now))
    >>> now = 9.0
    >>> budget.elapsed(), budget.left(), budget.training_is_over()
    (4.0, 6.0, False)
    """

    def __init__(self, limit: float | None, processes: Processes | None = None):
        self.limit = limit
        self.processes = processes or Processes()
        self.processes.synchronize()
        self.begun = self.processes.time()
        self.before = self.reserve = self.fixed = 0.0

    def elapsed(self) -> float:
        """Seconds that have passed, as of the last synchronisation."""
        return self.before + self.processes.time() - self.begun

    def left(self, keep: float = 0.0) -> float:
        """Seconds that are left beside those to keep; infinite without a limit. All processes call it."""
        if self.limit is None:
            return math.inf
        self.processes.synchronize()
        return self.limit - keep - self.elapsed()

    def left_to_initialise(self, keep: float = 0.0) -> float:
        """Seconds that are left to the encoder's initialisation, beside a share of them to keep."""
        if self.limit is None:
            return math.inf
        return INITIALISATION_SHARE * self.limit * (1.0 - keep) - (self.limit - self.left())

    def training_is_over(self) -> bool:
        """Whether training has used its part of the time, as of the last synchronisation."""
        return self.limit is not None and self.elapsed() >= self.limit - self.reserve

    def progress(self) -> float:
        """Share of training's time that has passed; 0 without a limit."""
        return 0.0 if self.limit is None else self.elapsed() / max(self.limit - self.reserve, 1e-9)

    def plan(self, seconds: float) -> None:
        """Keep so many seconds, or a share of the limit, for what follows training."""
        if self.limit is not None:
            self.reserve = min(seconds, RESERVED_SHARE * self.limit)
