import subprocess
import sys

import numpy as np
import pytest

from dmzrep.plotting import HistoryDisplay, ImageGridDisplay

CHECK = """
import sys
import dmzrep, dmzrep.plotting, dmzrep.datasets
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"matplotlib", "faiss", "captum"}))
"""


def test_plotting_and_search_libraries_are_imported_lazily():
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("display", [ImageGridDisplay(np.zeros((1, 1, 8, 8))), HistoryDisplay(None)])
def test_plot_without_matplotlib_names_the_remedy(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=rf"{type(display).__name__}\.plot requires matplotlib"):
        display.plot()
