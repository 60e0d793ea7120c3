"""Writes of zarr that are still under way when one of them has failed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PATIENCE_S = 10.0


@contextmanager
def settled() -> Iterator[None]:
    """Wait for zarr's other writes once a block has failed: they go on by themselves, into what is removed meanwhile."""
    try:
        yield
    except BaseException:
        from zarr.core.sync import sync

        with suppress(Exception):
            sync(_others(), timeout=_PATIENCE_S)
        raise


async def _others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)
