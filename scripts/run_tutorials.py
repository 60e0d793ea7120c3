"""Run the tutorials as a user would, all or those of some numbers (``01 04``).

``--write`` keeps their outputs, ``--offline`` takes the network away.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1] / "tutorials"


# A network namespace has a loopback device of its own, which is down; kernels are spoken to over it.
_CUT_OFF = """
import fcntl, os, socket, struct, sys
with socket.socket() as one:
    fcntl.ioctl(one, 0x8914, struct.pack("16sh", b"lo", 0x41))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def cut_off() -> None:
    """Start anew in a network namespace without devices."""
    tool = shutil.which("unshare")
    if tool is None or subprocess.run([tool, "-rn", "true"], capture_output=True).returncode:
        sys.exit("--offline needs the command unshare, and a kernel that lets users make network namespaces.")
    rest = [argument for argument in sys.argv if argument != "--offline"]
    os.execv(tool, [tool, "-rn", sys.executable, "-c", _CUT_OFF, *rest])


def run(path: Path) -> nbformat.NotebookNode | None:
    """Run a notebook in a kernel of its own; None if it needs data that are neither on disk nor on a network."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(ROOT)}}
    try:
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    except CellExecutionError as error:
        if error.ename != "OfflineError":
            raise
        print(f"{path.name}: skipped, {error.evalue.partition(' Where there')[0]}")
        return None
    return notebook


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
    """Run each notebook; the first error ends it all."""
    if "--offline" in sys.argv[1:]:
        cut_off()
    named = [argument for argument in sys.argv[1:] if argument[0].isdigit()]
    for path in sorted(ROOT.glob("*.ipynb")):
        if named and path.name[:2] not in named:
            continue
        start = time.perf_counter()
        notebook = run(path)
        if notebook is None:
            continue
        if "--write" in sys.argv[1:]:
            nbformat.write(tidied(notebook), path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
