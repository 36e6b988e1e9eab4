"""The reference has one page for each public name, links lead to files, and each picture is shown."""

import importlib
import re
from pathlib import Path

import pytest

from tests.public_packages import PACKAGES

ROOT = Path(__file__).parent.parent


def names_of_public_objects():
    """All names of each object that public packages export, the shortest first."""
    names = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", 0) == package]
        for name in getattr(module, "__all__", own):
            names.setdefault(id(getattr(module, name)), []).append(f"{package}.{name}")
    return [sorted(aliases, key=lambda name: name.count(".")) for aliases in names.values()]


def test_reference_has_one_page_for_each_public_name():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/reference/*.md"))
    listed = [f"dmzrep.{name}" for name in re.findall(r"^   ([\w.]+)$", pages, re.M)]
    listed += re.findall(r"^\.\. data:: ([\w.]+)$", pages, re.M)
    wrong = []
    for aliases in names_of_public_objects():
        found = [name for name in listed if name in aliases]
        if len(found) != 1 or found[0].count(".") > aliases[0].count("."):
            wrong.append(f"{aliases[0]}: {found or 'missing'}")
        listed = [name for name in listed if name not in aliases]
    assert not wrong, "\n".join(wrong)
    assert not listed, f"not public: {listed}"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]*)", (ROOT / page).read_text(encoding="utf-8"))
    assert not [link for link in links if not (ROOT / link).exists()]


def test_each_picture_is_shown():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert not [path.name for path in (ROOT / "docs" / "images").iterdir() if f"/{path.name}" not in text]
