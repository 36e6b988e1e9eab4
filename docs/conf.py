"""Configuration of the documentation, for Sphinx: `make docs`."""

import re
from importlib.metadata import metadata
from pathlib import Path

from docutils import nodes
from math_core import LatexToMathML
from sphinx.domains.python import PyXRefRole
from sphinx.util.nodes import make_refnode

from dmzrep import __version__

project = "dmzrep"
author = "dmzrep contributors"
copyright = author
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "**/GALLERY_HEADER.*"]
templates_path = ["_templates"]

# A name in single backticks is a link where it names a public object, and code elsewhere.
default_role = "py:name"
# Names of other packages, whose documentation is not there when the pages are built without a network.
nitpick_ignore_regex = [("py:.*", r"(numpy|np|pandas|pd|scipy|sklearn|torch|matplotlib|faiss)\..*")]

smartquotes = False  # Types of parameters are Python.

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
add_module_names = False
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"(^|/)(?!plot_)[^/]*\.py$",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_",),
    "doc_module": "dmzrep",
    "backreferences_dir": "reference/generated/examples",
    "remove_config_comments": True,
    "thumbnail_size": (800, 560),
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "dmzrep"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_math_renderer = "mathml"
html_theme_options = {
    "logo": {"text": "dmzrep"},
    "navbar_align": "left",
    "show_prev_next": False,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
html_context = {"default_mode": "auto"}
html_sidebars = {"index": [], "evidence": []}


def link_short_name(app, env, node, contnode):
    """Link a public name that is given without its package, or with another package that exports it."""
    if node.get("refdomain") != "py":
        return None
    short = re.sub(r"^dmzrep\.([a-z_]+\.)?", "", node["reftarget"])
    found = [
        (name, entry)
        for name, entry in env.domains.python_domain.objects.items()
        if name.endswith(f".{short}")
        and not entry.aliased
        and ("." in short or entry.objtype not in {"attribute", "method", "property"})
    ]
    if len(found) == 1:
        name, entry = found[0]
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, name)
    return nodes.literal("", contnode.astext()) if node["reftype"] == "name" else None


def skip_foreign_member(app, what, name, obj, skip, options):
    """Leave out what scikit-learn and torch define: its docstrings refer to their documentation."""
    defined_in = getattr(getattr(obj, "fget", obj), "__module__", None) or "dmzrep"
    return skip or not defined_in.startswith("dmzrep")


def visit_math(translator, node):
    """Equations are MathML, which browsers draw without scripts or fonts of other hosts."""
    block = isinstance(node, nodes.math_block)
    equation = LatexToMathML().convert_with_local_state(node.astext(), displaystyle=block)
    translator.body.append(f'<div class="equation">{equation}</div>' if block else equation)
    raise nodes.SkipNode


def write_llms_txt(app, exception):
    """List all pages for language models, in the order of the contents."""
    if exception or app.builder.format != "html":
        return
    lines = [f"# {project}", "", f"> {metadata(project)['Summary']}", ""]
    lines += ["Guide, results and evidence in Markdown: `_sources/guide/install.md.txt`, and so on.", ""]

    def add(page, level):
        lines.append(f"{'  ' * level}- [{app.env.titles[page].astext()}]({page}.html)")
        for child in app.env.toctree_includes.get(page, ()):
            add(child, level + 1)

    add(app.config.root_doc, 0)
    (Path(app.outdir) / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def setup(app):
    app.add_role_to_domain("py", "name", PyXRefRole())
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
    app.connect("autodoc-skip-member", skip_foreign_member)
    app.connect("missing-reference", link_short_name)
    app.connect("build-finished", write_llms_txt)
