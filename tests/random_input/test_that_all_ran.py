"""What the other files of this folder promise together: every public callable, and so many cases.

It comes last by its name, as pytest takes files in the order of their names.
"""

from pathlib import Path

import pytest
from public_callables import ELSEWHERE, public_callables
from random_calls import CALLED, FULL, PLANNED, RAN

FEWEST_CASES = 40_000


@pytest.fixture
def whole_folder(request):
    """Skip where only a part of the folder was asked for."""
    ran = {
        Path(item.path).name
        for item in request.session.items
        if Path(item.path).parent == Path(__file__).parent
    }
    names = {
        f"{Path(item.path).stem}::{getattr(item, 'originalname', item.name)}"
        for item in request.session.items
    }
    if ran != {path.name for path in Path(__file__).parent.glob("test_*.py")} or not set(PLANNED) <= names:
        pytest.skip("only a part of the folder runs")


def test_every_public_callable_gets_random_input(whole_folder):
    if not FULL:
        pytest.skip("a few cases need not call everything")
    wanted = {name for name in public_callables() if name.rpartition(".")[2] not in ELSEWHERE}
    assert sorted(wanted - CALLED) == []


def test_so_many_random_cases_ran(whole_folder):
    """A test may run fewer cases where there are no more, such as of a yes and a no."""
    assert sum(PLANNED.values()) >= FEWEST_CASES
    assert all(RAN[name] for name in PLANNED)
    if FULL:
        assert RAN.total() >= FEWEST_CASES, RAN
