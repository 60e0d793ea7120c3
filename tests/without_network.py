"""Run Python where there is no network: names that are not found, names that hang, a proxy that is dead."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("cut off", "names hang", "dead proxy")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_HUB = ("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "HISTOSCRIBE_OFFLINE")

# Loaded by every Python process below a folder on PYTHONPATH; what runs on this machine is still reached.
_PATCH = """
import socket, time

_resolve, _connect = socket.getaddrinfo, socket.socket.connect

def _here(host):
    return host in (None, "", b"", "localhost", "127.0.0.1", "::1", b"localhost", b"127.0.0.1")

def getaddrinfo(host, *rest, **more):
    if _here(host):
        return _resolve(host, *rest, **more)
    time.sleep({hang})
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _here(address[0]):
        raise OSError(101, "Network is unreachable")
    return _connect(self, address)

socket.getaddrinfo, socket.socket.connect = getaddrinfo, connect
"""

# A network namespace has a loopback device of its own, which is down; notebooks need it.
_LAUNCH = """
import fcntl, os, socket, struct, sys

with socket.socket() as one:
    fcntl.ioctl(one, 0x8914, struct.pack("16sh", b"lo", 0x41))
os.execv(sys.argv[1], sys.argv[1:])
"""


@cache
def can_unshare() -> bool:
    """Whether a process may have a network namespace of its own here."""
    tool = shutil.which("unshare")
    return tool is not None and subprocess.run([tool, "-rn", "true"], capture_output=True).returncode == 0


@cache
def _patches(hang: float) -> TemporaryDirectory:
    folder = TemporaryDirectory(prefix="no_network_")
    (Path(folder.name) / "sitecustomize.py").write_text(_PATCH.format(hang=hang))
    return folder


@dataclass(frozen=True)
class Done:
    """How a process ended."""

    code: int
    out: str
    err: str
    seconds: float


def environment(kind: str, changes: dict[str, str | None] | None = None) -> dict[str, str]:
    """Variables for a process that sees the network like this."""
    hang = 30.0 if kind == "names hang" else 0.0
    env = {k: v for k, v in os.environ.items() if k.lower() not in _PROXIES and k not in _HUB}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (_patches(hang).name, env.get("PYTHONPATH"))))
    if kind == "dead proxy":
        env |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    for name, value in (changes or {}).items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    return env


def command(arguments: list[str]) -> list[str]:
    """Python with these arguments, in a network namespace of its own where the system has such."""
    prefix = ["unshare", "-rn", sys.executable, "-S", "-c", _LAUNCH] if can_unshare() else []
    return [*prefix, sys.executable, "-W", "ignore", *arguments]


def run(
    arguments: list[str], kind: str = "cut off", *, changes: dict[str, str | None] | None = None, timeout: float = 3600
) -> Done:
    """Run Python so, in the project's folder; ``changes`` are variables to set, or to take away (None)."""
    start = time.perf_counter()
    env = environment(kind, changes)
    done = subprocess.run(command(arguments), env=env, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    return Done(done.returncode, done.stdout, done.stderr, time.perf_counter() - start)
