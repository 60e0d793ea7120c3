"""Sphinx settings; the contract page is made here from the code."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from _contract import write_contract  # noqa: E402

project = "histoscribe"
author = "The histoscribe developers"
copyright = f"2026, {author}"
version = release = installed("histoscribe")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "myst_nb",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
html_theme = "sphinx_book_theme"
html_title = "histoscribe"
html_static_path = ["_static"]

autosummary_generate = True
autodoc_typehints = "none"  # sphinx_autodoc_typehints writes them
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
typehints_defaults = "braces"
always_use_bars_union = True
myst_enable_extensions = ["colon_fence", "dollarmath"]
nb_execution_mode = "off"  # `make tutorials` runs them; their outputs are committed
suppress_warnings = ["sphinx_autodoc_typehints.guarded_import", "sphinx_autodoc_typehints.forward_reference"]

write_contract(HERE / "contract.md")


def prose_returns(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Keep the prose of Returns sections together: napoleon takes each of its lines for a type."""
    heads = [k for k, line in enumerate(lines[1:]) if line and set(line) == {"-"}]
    for head in heads:
        if lines[head] == "Returns":
            end = min([k for k in heads if k > head], default=len(lines))
            lines[head:end] = [
                "",
                f":returns: {lines[head + 2]}",
                *(f"    {line}" for line in lines[head + 3 : end]),
                "",
            ]
            return


def setup(app: object) -> None:
    """Copy the tutorials to where Sphinx finds them, and mend Returns sections before napoleon reads them."""
    app.connect("autodoc-process-docstring", prose_returns, priority=100)
    target = HERE / "tutorials"
    target.mkdir(exist_ok=True)
    for notebook in (HERE.parent / "tutorials").glob("*.ipynb"):
        copy = target / notebook.name
        if not copy.exists() or copy.read_bytes() != notebook.read_bytes():
            copy.write_bytes(notebook.read_bytes())
