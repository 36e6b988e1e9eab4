"""A headless browser for tests of pages, and what the explorer shows."""

import shutil

import numpy as np
import pandas as pd
import pytest

from dmzrep.app.explorer._exploration import Exploration
from tests.app.fake_collection import FakeCollection


@pytest.fixture(scope="module")
def browser():
    """Chromium of the system; its event loop ends with the module, so that it does not disturb others."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("there is no chromium on the PATH")
    # Containers often lack the rights that the sandbox needs; the pages are our own.
    options = {"executable_path": path, "args": ["--no-sandbox"]}
    with playwright.sync_playwright() as driver, driver.chromium.launch(**options) as chromium:
        yield chromium


@pytest.fixture(scope="session")
def pictures(tmp_path_factory, digits):
    """Paths of 60 digits as PNG files."""
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"digit_{i:02d}.png" for i in range(60)]
    for path, image in zip(paths, digits, strict=False):
        Image.fromarray(image).save(path)
    return paths


@pytest.fixture(scope="session")
def labels_file(tmp_path_factory, digit_labels):
    """Labels of the pictures, by the ends of their paths."""
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    table = pd.DataFrame({"path": [f"digit_{i:02d}.png" for i in range(60)]})
    table["round"] = np.isin(digit_labels[:60], [0, 6, 8, 9]).astype(int)
    table["seven"] = (digit_labels[:60] == 7).astype(int)
    table.assign(remark="none").to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def exploration(encoder, pictures, digits):
    return Exploration(encoder, FakeCollection(encoder, pictures, digits[:60]))


@pytest.fixture
def picture(exploration, pictures):
    return exploration.read(pictures[3])
