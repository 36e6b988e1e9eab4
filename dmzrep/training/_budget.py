"""The time limit of a fit, part of which is reserved for the steps after training."""

from __future__ import annotations

import math
from collections.abc import Callable

from dmzrep.training._processes import Processes

#: Largest fraction of the time for the steps after training: statistics, code report and prior.
RESERVED_SHARE = 0.25
#: Largest fraction of the time for the initialisation, if training follows.
INITIALISATION_SHARE = 0.3
#: Largest fraction of the time for one validation.
VALIDATION_SHARE = 0.05


class Budget:
    """The time of a fit in seconds, measured from construction by the clock of the processes."""

    def __init__(self, limit: float | None, processes: Processes | None = None):
        self.limit = limit
        self.processes = processes or Processes()
        self.processes.synchronize()
        self.begun = self.processes.time()
        #: Duration of the run before it was resumed.
        self.before = 0.0
        #: Time reserved for the steps after training, and the part of it for the prior.
        self.reserve = self.fixed = 0.0
        #: Fraction of the time for the initialisation.
        self.initialisation = INITIALISATION_SHARE

    def elapsed(self) -> float:
        """Return the elapsed time, as of the last synchronisation."""
        return self.before + self.processes.time() - self.begun

    def left(self, keep: float = 0.0) -> float:
        """Return the remaining time minus `keep`, infinite without a limit. All processes must call it."""
        if self.limit is None:
            return math.inf
        self.processes.synchronize()
        return self.limit - keep - self.elapsed()

    def left_to_initialise(self, keep: float = 0.0) -> float:
        """Return the remaining time for initialisation, without the fraction `keep` of it."""
        if self.limit is None:
            return math.inf
        return self.initialisation * self.limit * (1.0 - keep) - (self.limit - self.left())

    def skip_training(self) -> None:
        """Allow the initialisation to take the time of training too."""
        self.initialisation = 1.0 - RESERVED_SHARE

    def phase_of_initialisation(self, share: float) -> Callable[[], float]:
        """Start a phase of the initialisation, and return a function of no arguments: its remaining time.

        A phase has its share of the time even if earlier ones took too long.
        """
        if self.limit is None:
            return lambda: math.inf
        end = self.left() - share * self.initialisation * self.limit
        return lambda: max(self.left() - end, self.left_to_initialise())

    def is_over(self) -> bool:
        """Whether the time for training is over, as of the last synchronisation."""
        return self.limit is not None and self.elapsed() >= self.limit - self.reserve

    def progress(self) -> float:
        """Return the elapsed fraction of the training time; 0 without a limit."""
        return 0.0 if self.limit is None else self.elapsed() / max(self.limit - self.reserve, 1e-9)

    def reserve_for_end(self, seconds: float) -> None:
        """Reserve time, up to a fraction of the limit, for the steps after training."""
        if self.limit is not None:
            self.reserve = min(seconds, RESERVED_SHARE * self.limit)
