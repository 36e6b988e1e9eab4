"""The Python code of the README and of the guide, run page by page, as a reader would run it.

Blocks marked `python skip` need hardware, a network or files of the reader; only their syntax is checked.
"""

import ast
import re
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from mktestdocs import check_md_file, grab_code_blocks

from dmzrep import DMZEncoder, Sampling
from dmzrep.estimator import _resolve
from tests.collection.conftest import write_pictures

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
#: Limits of each fit, in place of those of the text.
LIMITS = {"max_iter": 1, "max_time": 0.3}


@pytest.fixture
def little_work(monkeypatch):
    """Shorten fits, whose parameters stay those of the text, and make networks small by default."""
    fit = DMZEncoder.fit
    monkeypatch.setattr(_resolve, "default_widths", lambda *_: (8, 16))

    def limited(self, X, y=None):
        wanted = {name: getattr(self, name) for name in LIMITS}
        self.set_params(
            max_iter=min(self.max_iter, LIMITS["max_iter"]),
            max_time=min(self.max_time or np.inf, LIMITS["max_time"]),
        )
        try:
            return fit(self, X[:300] if isinstance(X, np.ndarray) else X, y)
        finally:
            self.set_params(**wanted)

    monkeypatch.setattr(DMZEncoder, "fit", limited)
    monkeypatch.setitem(Sampling.__init__.__kwdefaults__, "n_steps", 2)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore::dmzrep.errors.LikelihoodWarning")
def test_the_code_of_a_page_runs(page, little_work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos = write_pictures(tmp_path / "photos")
    for i, name in enumerate(("beach", "dunes", "desert")):
        shutil.copy(photos / "a" / f"{i:02}.png", photos / f"{name}.jpg")
    matplotlib.use("Agg")
    check_md_file(page, memory=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_figures_are_in_the_results_that_the_page_links(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    linked = {page.parent / name for name in re.findall(r"\]\(([\w./]*results/\w+\.md)", text)}
    results = " ".join(path.read_text(encoding="utf-8") for path in linked)
    figures = set(re.findall(r"\b0\.\d{3}\b", text))
    assert figures <= set(re.findall(r"\b0\.\d{3}", results))


SKIPPED = [
    pytest.param(block, id=f"{page.stem}-{i}")
    for page in PAGES
    for i, block in enumerate(grab_code_blocks(page.read_text(), lang="python skip"))
]


@pytest.mark.parametrize("block", SKIPPED)
def test_code_that_is_not_run_can_be_parsed(block):
    ast.parse(block)
    pytest.skip("only the syntax is checked")
