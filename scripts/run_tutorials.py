"""Run the tutorials as a user would; ``--write`` keeps their outputs, ``--offline`` takes the network away."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

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


def main() -> None:
    """Run each notebook in a kernel of its own; the first error ends it all."""
    if "--offline" in sys.argv[1:]:
        cut_off()
    if not os.environ.get("HISTOSCRIBE_DATA"):
        print("Skipped: the tutorials need real sections, and HISTOSCRIBE_DATA names no folder of them.")
        return
    for path in sorted(ROOT.glob("*.ipynb")):
        start = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
        ).execute()
        if "--write" in sys.argv[1:]:
            for cell in notebook.cells:
                cell.metadata.pop("execution", None)
            nbformat.write(notebook, path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
