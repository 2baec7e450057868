"""The documentation site: ``sphinx-build -W docs build/site``; the README is its front page."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

ROOT = Path(__file__).parents[1]
PAGES = {"CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog", "README.md": "index"}

project = "onnxray"
author = "The onnxray authors"
release = metadata.version("onnxray")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
html_theme = "furo"
html_title = f"onnxray {release}"
myst_fence_as_directive = ["mermaid"]  # a plain block, which GitHub draws as well
myst_heading_anchors = 3  # pages link to each other's headings
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
html_static_path = ["static"]
html_extra_path = ["schemas"]
html_css_files = ["site.css"]


class LinksWithinRepository(SphinxPostTransform):
    """Links to files of the repository: those to a page lead there; a source has no page, so its text remains."""

    default_priority = 8  # before the resolver of MyST, which warns of every file that is no page

    def run(self, **_: Any) -> None:
        """Replaces the references; what is no file of the repository is left to the resolver, and its warning."""
        for node in list(self.document.findall(pending_xref)):
            target = node.get("reftarget", "")
            name = target.removeprefix(f"{ROOT}/")  # how MyST writes a page above docs/, and without its .md
            page = PAGES.get(name) or PAGES.get(f"{name}.md")
            if page:
                text = node.children[0].deepcopy()
                node.replace_self(make_refnode(self.app.builder, self.env.docname, page, "", text))
            elif node.get("reftype") == "myst" and any((folder / target).exists() for folder in (ROOT, ROOT / "docs")):
                node.replace_self(node.children)


def parsable_signature(*event: Any) -> tuple[str | None, str | None]:
    """Writes ``...`` for a default that a factory makes: Sphinx shortens types only where the signature is Python."""
    signature, returns = event[-2:]
    return signature and signature.replace("<factory>", "..."), returns


def setup(app: Sphinx) -> None:
    """Registers the transform and the signatures."""
    app.add_post_transform(LinksWithinRepository)
    app.connect("autodoc-process-signature", parsable_signature)
