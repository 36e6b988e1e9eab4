"""Public docstrings follow the numpydoc standard, and the README suits a package index.

`[tool.numpydoc_validation]` lists the checks of docstrings.
"""

import importlib
import inspect
import re
import runpy
import tomllib
from pathlib import Path

import setuptools
from numpydoc.validate import ERROR_MSGS, validate

from tests.public_packages import PACKAGES

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
LISTED = set(SETTINGS["numpydoc_validation"]["checks"])
#: As in `numpydoc lint`: with "all", the other entries are the checks that are left out.
CHECKS = set(ERROR_MSGS) - LISTED if "all" in LISTED else LISTED


def inherits_its_docstring(owner, name):
    return any(inspect.getdoc(vars(base)[name]) for base in owner.__mro__[1:] if name in vars(base))


def own_members(public):
    """Members of a class, those of its mixins included, but none that other packages define."""
    members = {}
    for base in public.__mro__:
        if base.__module__.startswith("dmzrep."):
            members = vars(base) | members
    return members


def public_names():
    """Each public class, function, method and property, under the first name that leads to it."""
    seen = set()
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            public = getattr(module, name)
            if not (inspect.isclass(public) or inspect.isfunction(public)) or public in seen:
                continue
            seen.add(public)
            yield f"{package}.{name}"
            if inspect.isclass(public):
                for attribute, value in own_members(public).items():
                    documented = callable(value) or isinstance(value, (property, classmethod, staticmethod))
                    if attribute.startswith("_") or not documented:
                        continue
                    if value.__doc__ or not inherits_its_docstring(public, attribute):
                        yield f"{package}.{name}.{attribute}"


def test_docstrings_follow_numpydoc():
    names = list(public_names())
    errors = [
        f"{name}: {code}: {message}"
        for name in names
        for code, message in validate(name)["errors"]
        if code in CHECKS
    ]
    assert len(names) > 200 and not errors, "\n".join(errors)


def test_description_has_no_relative_links(monkeypatch):
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **options: given.update(options))
    runpy.run_path(str(ROOT / "setup.py"))
    description = given["long_description"]
    links = re.findall(r"\]\(([^)]*)\)", description)
    assert links and all(link.startswith("https:") for link in links)
    assert description.count("```") == (ROOT / "README.md").read_text(encoding="utf-8").count("```") > 0
