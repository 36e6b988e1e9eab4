"""What a package index shows."""

import re
import runpy
from pathlib import Path

import setuptools

ROOT = Path(__file__).parent.parent


def test_description_has_no_relative_links(monkeypatch):
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **options: given.update(options))
    runpy.run_path(str(ROOT / "setup.py"))
    description = given["long_description"]
    links = re.findall(r"\]\(([^)]*)\)", description)
    assert links and all(link.startswith("https:") for link in links)
    assert description.count("```") == (ROOT / "README.md").read_text(encoding="utf-8").count("```") > 0
