"""Run the tutorials as a user would, two at a time: all, or those of some numbers (``01 04``).

``--write`` keeps their outputs, ``--offline`` takes the network away.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[1] / "tutorials"


def cut_off() -> None:
    """Start anew in a network namespace without devices."""
    tool = shutil.which("unshare")
    if tool is None or subprocess.run([tool, "-rn", "true"], capture_output=True).returncode:
        sys.exit("--offline needs the command unshare, and a kernel that lets users make network namespaces.")
    rest = [argument for argument in sys.argv if argument != "--offline"]
    os.execv(tool, [tool, "-rn", sys.executable, *rest])


def run(path: Path) -> None:
    """Run a notebook in a kernel of its own; one that needs data neither on disk nor on a network is skipped."""
    start = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(ROOT)}}
    try:
        with TemporaryDirectory() as folder:  # sockets that are files: cut off, there is no loopback device either
            config = Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})
            NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources, config=config).execute()
    except CellExecutionError as error:
        if error.ename != "OfflineError":
            error.add_note(path.name)
            raise
        print(f"{path.name}: skipped, {error.evalue.partition(' Where there')[0]}", flush=True)
        return
    if "--write" in sys.argv[1:]:
        nbformat.write(tidied(notebook), path)
    print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)


def tidied(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave out what differs from run to run: times, the file of a cell, and what other packages warn of at import."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        outputs = cell.get("outputs", [])
        for output in outputs:
            if output.output_type == "stream":
                output.text = re.sub(r"/\S*/ipykernel_\d+/\d+\.py:\d+: ", "", output.text)
        if outputs:
            cell.outputs = [output for output in outputs if "site-packages" not in output.get("text", "")]
    return notebook


def main() -> None:
    """Run each notebook; an error of one is raised when those that have begun are done."""
    if "--offline" in sys.argv[1:]:
        cut_off()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two kernels of more threads than cores take four times as long
    named = [argument for argument in sys.argv[1:] if argument[0].isdigit()]
    paths = [path for path in sorted(ROOT.glob("*.ipynb")) if not named or path.name[:2] in named]
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(run, path) for path in paths]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    main()
