"""Resources: disks, folders, caches, locks, memory, open files, clocks, networks, permissions."""

import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import histoscribe as hs
from histoscribe._errors import FileError

from . import sections
from .row import Elsewhere, Raises, Row

_WRITERS: dict[str, Callable[[Path], Any]] = {
    "io.write h5ad": lambda folder: hs.io.write(sections.prepared(), folder / "x.h5ad"),
    "io.write zarr": lambda folder: hs.io.write(sections.plain(), folder / "x.zarr"),
    "nn.Model.save": lambda folder: hs.tl.fit_pca(sections.plain(), n_comps=8).save(folder / "pca"),
    "tl.fuse": lambda folder: _train(folder / "run"),
}
_ROOM = "Choose a folder that can be written to, with space left"


def _train(folder: Path) -> None:
    options = hs.nn.TrainConfig(epochs=1, val_fraction=0, accelerator="cpu", checkpoint_dir=folder)
    hs.tl.fuse(sections.prepared(), hs.nn.Contrastive(), train=options)


@contextmanager
def _no_room() -> Iterator[None]:
    """Files of more than a kilobyte fail, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def _without_room(write: Callable[[Path], Any], folder: Path) -> None:
    before = sorted(os.listdir(folder))
    try:
        with _no_room():
            write(folder)
    finally:
        assert sorted(os.listdir(folder)) in (before, ["run"])  # a folder that was made, with nothing in it
        assert not list(folder.glob("run/*"))


def _below_a_file(write: Callable[[Path], Any], folder: Path) -> None:
    (folder / "file").write_text("in the way")
    write(folder / "file")


def _folder() -> Path:
    return Path(tempfile.mkdtemp())


ROWS: list[Row | Elsewhere] = [
    Row(
        "R1",
        "a disk that is full in the middle of a write",
        _folder,
        {name: partial(_without_room, write) for name, write in _WRITERS.items()},
        Raises(FileError, r"x\.h5ad|x\.zarr|pca|last\.ckpt", _ROOM, found="File too large"),
    ),
    Elsewhere(
        "R1",
        "a full disk at every write of the package, with an older file there",
        "an error (a warning for the feature cache), the old file byte for byte, nothing left beside",
        (
            "tests/test_disks.py::test_size_limit_is_an_error_and_the_old_file_stays",
            "tests/test_disks.py::test_full_disk_is_an_error_and_the_old_file_stays",
            "tests/tl/test_feature_cache.py::test_full_disk_warns_and_the_result_is_there",
        ),
        raised=True,
    ),
    Row(
        "R2",
        "a folder that can't be made",
        _folder,
        {name: partial(_below_a_file, write) for name, write in _WRITERS.items()},
        Raises(FileError, r"x\.h5ad|x\.zarr|pca|last\.ckpt", _ROOM, found="Not a directory|File exists"),
    ),
    Elsewhere(
        "R2",
        "a folder without permission to write, at every write; a home of that kind",
        "an error and the old file as it was; without a writable home everything works, the feature cache warns",
        (
            "tests/test_disks.py::test_read_only_folder_is_an_error_and_the_old_file_stays",
            "tests/test_resources.py::test_home_that_can_not_be_written_costs_only_the_cache",
        ),
        raised=True,
    ),
    Elsewhere(
        "R3",
        "processes that share a cache, or write one path at once",
        "each finds whole content; none waits for another",
        (
            "tests/tl/test_killed_runs.py::test_processes_at_once_do_not_harm_each_other",
            "tests/test_resources.py::test_two_writers_of_one_path_do_not_harm_each_other",
        ),
        raised=False,
    ),
    Elsewhere(
        "R4",
        "a network file system without locks",
        "none are asked for: what is written is renamed into place, and known by its content",
        ("tests/test_resources.py::test_no_locks_are_asked_for",),
        raised=False,
    ),
    Elsewhere(
        "R5",
        "a process killed in the middle of a write",
        "there are no locks that could stay; what it left beside goes at the next write, that of living processes stays",
        (
            "tests/test_kills.py::test_nothing_is_lost_when_a_writer_is_killed",
            "tests/test_files.py::test_litter_of_killed_writes_goes_at_the_next_write_and_that_of_living_ones_stays",
        ),
        raised=False,
    ),
    Elsewhere(
        "R6",
        "200,000 spots",
        "graph, tokens and scores in memory that grows with the spots: a matrix of spots by spots would fail the test",
        ("tests/test_resources.py::test_memory_grows_with_the_spots_and_not_with_their_square",),
        raised=False,
    ),
    Elsewhere(
        "R7",
        "a low limit of open files",
        "no call leaves a file open, over 50 calls of each reader",
        ("tests/test_resources.py::test_no_call_leaves_a_file_open",),
        raised=False,
    ),
    Elsewhere(
        "R8",
        "TMPDIR full or missing",
        "it is not used: everything is written beside its place",
        ("tests/test_resources.py::test_nothing_is_written_where_temporary_files_go",),
        raised=False,
    ),
    Elsewhere(
        "R9",
        "clocks that differ, files from the future",
        "times decide nothing: content is known by its hash",
        ("tests/test_resources.py::test_clocks_do_not_matter",),
        raised=False,
    ),
    Elsewhere(
        "R10",
        "Ctrl-C or a full disk during a download",
        "no entry in the cache, nothing beside it",
        ("tests/test_files.py::test_interrupted_download_leaves_nothing",),
        raised=True,
    ),
    Elsewhere(
        "R11",
        "a network that stalls",
        "an error after 30 s without a byte, which says where to put the file; a download is not resumed but begun anew",
        ("tests/test_files.py::test_network_that_stalls_is_an_error_after_a_while",),
        raised=True,
    ),
    Elsewhere(
        "R12",
        "a folder that a group shares",
        "files and folders get the permissions that the umask says",
        (
            "tests/test_files.py::test_permissions_follow_the_umask",
            "tests/io/test_write.py::test_permissions_follow_the_umask",
        ),
        raised=False,
    ),
]

LEFT_OUT: dict[str, str] = {}
