"""Run in a process of its own: a digest of the outcome of every call, as JSON."""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

import histoscribe as hs

from . import material
from .calls import CALLS
from .outcome import outcome


def main() -> None:
    """Print the digests, last line of the output."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        hs.settings.cache_dir, hs.settings.progress = Path(folder), False
        for name, call in CALLS.items():
            if call.needs_data and not os.path.isdir(os.environ.get("HISTOSCRIBE_DATA", "")):
                continue
            digest = hashlib.sha256()
            for key, value in sorted(outcome(call, material.section()).items()):
                if str(material.folder()) in str(value) or "sha256" in key:  # the folder is another each time
                    continue
                content = value.encode() if isinstance(value, str) else np.ascontiguousarray(value).tobytes()
                digest.update(key.encode() + content)
            found[name] = digest.hexdigest()
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
