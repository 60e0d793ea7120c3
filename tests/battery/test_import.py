"""Importing the package and all its parts opens no connection."""

import subprocess
import sys

_CODE = """
import socket
def refuse(*args, **options):
    raise SystemExit(f"connected to {args}")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = refuse
import histoscribe as hs
hs.settings
import sys
assert "torch" not in sys.modules and "scanpy" not in sys.modules
for part in hs.__all__:
    getattr(hs, part)
"""


def test_import_asks_no_network() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
