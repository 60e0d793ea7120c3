"""What one failed write leaves of the others that zarr has under way."""

import asyncio
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from histoscribe.io._zarr_tasks import settled


class _FullDisk(LocalStore):
    """Fails at the first chunk at once, and takes its time over the others."""

    async def set(self, key: str, value: Any) -> None:
        if key.endswith("c/0"):
            raise OSError(28, "No space left on device")
        if "/c/" in f"/{key}":
            await asyncio.sleep(0.3)
        await super().set(key, value)


@pytest.mark.parametrize(("waits", "late"), [(settled, False), (nullcontext, True)])
def test_no_write_comes_after_the_error(waits: Any, late: bool, tmp_path: Path) -> None:
    array = zarr.create_array(_FullDisk(tmp_path), shape=(4,), chunks=(1,), dtype="i4", zarr_format=3)
    with pytest.raises(OSError, match="No space left"), waits():
        array[:] = np.arange(1, 5)
    before = sorted(tmp_path.rglob("*"))
    time.sleep(1)
    assert (sorted(tmp_path.rglob("*")) != before) == late
