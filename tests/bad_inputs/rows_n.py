"""Rows of the catalogue: notebooks. What every function is held to stands in the battery."""

from typing import Any

from anndata import AnnData

import histoscribe as hs

from .row import Defined, Elsewhere, Row
from .sections import prepared

_B = "tests/battery/"


def _seen(adata: AnnData) -> str:
    """Run long work where nobody is to hear of it."""
    import io
    from contextlib import redirect_stderr, redirect_stdout

    heard, before = io.StringIO(), hs.settings.verbosity
    hs.settings.verbosity = 0
    try:
        with redirect_stdout(heard), redirect_stderr(heard):
            hs.tl.encode_image(adata, "mean_rgb", cache=False)
            train = hs.nn.TrainConfig(epochs=1, val_fraction=0)
            hs.tl.fuse(adata, hs.nn.Contrastive(dim=8, hidden=16), train=train)
    finally:
        hs.settings.verbosity = before
    return heard.getvalue()


def _silent(adata: AnnData, returned: Any) -> None:
    assert returned == ""


def _battery(name: str, given: str, says: str, *tests: str) -> Elsewhere:
    return Elsewhere(name, given, says, tuple(f"{_B}{test}" for test in tests), raised=False)


ROWS: list[Row | Elsewhere] = [
    _battery(
        "N1",
        "a cell is run twice, for every function",
        "the same bytes as after the first run",
        "test_reruns.py::test_second_run_gives_identical_bytes",
    ),
    _battery(
        "N2",
        "Ctrl-C, at any line of the package and at random moments inside libraries",
        "each section is as before the call or as after it",
        "test_interrupts.py::test_stopped_calls_leave_sections_before_or_after",
        "test_sigint.py::test_ctrl_c_at_random_moments_never_leaves_a_section_between",
    ),
    _battery(
        "N3",
        "an error that nobody foresaw, at any line of the package",
        "each section is as before the call or as after it",
        "test_interrupts.py::test_stopped_calls_leave_sections_before_or_after",
    ),
    _battery(
        "N4",
        "an option is changed and changed back",
        "the same bytes as before; only the function's own keys were touched in between",
        "test_reruns.py::test_option_changed_and_changed_back_gives_identical_bytes",
        "test_reruns.py::test_what_is_not_written_is_left_alone",
    ),
    _battery(
        "N5",
        "the same call in place and with copy=True",
        "None in place; a copy that equals it, and the original as it was",
        "test_entries.py::test_entry_is_true",
        "test_reruns.py::test_copy_leaves_the_original_and_equals_in_place",
    ),
    _battery(
        "N6",
        "a figure is drawn",
        "nothing is kept but the colours of a column of obs, as scanpy keeps them",
        "test_plots.py::test_nothing_but_colours_is_kept",
    ),
    _battery(
        "N7",
        "a hundred figures, each closed",
        "no figure is open or in memory after them",
        "test_plots.py::test_figures_that_are_closed_leave_nothing",
    ),
    Row(
        "N8",
        "verbosity 0",
        prepared,
        {"tl.encode_image and tl.fuse": _seen},
        Defined("not a character is printed", _silent),
    ),
    _battery(
        "N9",
        "the process around a call: random states, torch's switches and threads, rcParams, warnings, logs, environment, files",
        "all as before, also after an error or Ctrl-C",
        "test_state.py::test_process_is_as_before",
        "test_interrupts.py::test_stopped_calls_leave_sections_before_or_after",
    ),
    Elsewhere(
        "N10",
        "import without a network",
        "it loads neither torch nor scanpy, and asks no network",
        (
            "tests/tl/test_import.py::test_importing_tl_loads_no_trainer_and_no_scanpy",
            f"{_B}test_import.py::test_import_asks_no_network",
        ),
        raised=False,
    ),
    Elsewhere(
        "N11",
        "the kernel dies in the middle of encoding or training",
        "the next run goes on from what is whole on disk, and ends with the same bits",
        (
            "tests/tl/test_killed_runs.py::test_killed_runs_continue",
            "tests/nn/test_fit.py::test_killed_and_resumed_run_ends_with_the_same_bits",
        ),
        raised=False,
    ),
]

LEFT_OUT: dict[str, str] = {}
