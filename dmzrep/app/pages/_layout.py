"""A map as a mosaic: each picture gets a cell of a square grid of its own."""

import numpy as np

#: Cells per picture; the more, the truer the map and the smaller the pictures.
_CELLS_PER_PICTURE = 2.5


def snap_to_grid(positions: np.ndarray) -> tuple[np.ndarray, int]:
    """Assign each position to its own cell, so that pictures of the size of a cell do not overlap.

    The grid is halved again and again, and with it the positions. Where a half would get more positions
    than it has cells, those nearest to the other half move there. Thus sparse places keep their form, and
    crowded ones expand without losing their neighbours. Return the cells (column, row), uint16 of shape
    (n, 2), and the number of cells per side.
    """
    n = len(positions)
    size = int(np.ceil(np.sqrt(_CELLS_PER_PICTURE * n))) + 1
    positions = np.asarray(positions, dtype=np.float64)
    low, high = positions.min(axis=0), positions.max(axis=0)
    extent = max(float((high - low).max()), 1e-12)
    # Both axes have the same scale; the shorter one is centred.
    wanted = (positions - (low + high) / 2) / extent * size + size / 2
    cells = np.zeros((n, 2), dtype=np.uint16)
    # Rows, and the first cell and the number of cells of their rectangle, along both axes.
    waiting = [(np.arange(n), np.array([0, 0]), np.array([size, size]))]
    while waiting:
        rows, start, length = waiting.pop()
        if length.max() == 1:
            cells[rows] = start
            continue
        axis = int(length.argmax())
        middle, across = length[axis] // 2, length[1 - axis]
        rows = rows[np.argsort(wanted[rows, axis], kind="stable")]
        n_first = int(np.searchsorted(wanted[rows, axis], start[axis] + middle))
        n_first = min(max(n_first, len(rows) - (length[axis] - middle) * across), middle * across)
        step = np.eye(2, dtype=int)[axis]
        halves = (
            (rows[:n_first], start, length + step * (middle - length[axis])),
            (rows[n_first:], start + step * middle, length - step * middle),
        )
        waiting += [half for half in halves if len(half[0])]
    return cells, size
