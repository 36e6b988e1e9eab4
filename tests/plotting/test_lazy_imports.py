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


def test_importing_the_package_and_its_displays_imports_no_plotting_or_search_library():
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_drawing_without_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        ImportError, match=r"ImageGridDisplay\.plot requires matplotlib.*pip install matplotlib"
    ):
        ImageGridDisplay(np.zeros((1, 1, 8, 8))).plot()
    with pytest.raises(ImportError, match=r"HistoryDisplay\.plot requires matplotlib"):
        HistoryDisplay(None).plot()
