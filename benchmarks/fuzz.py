"""Parsers on anything at all.

Each parser gets 10,000 inputs by hypothesis: valid ones, valid ones with parts dropped, doubled, swapped or replaced (fields, lines,
types, huge numbers, NaN, odd Unicode, nested values, flipped bytes in packed files), and random ones. It must return a value that is
sound (the checks stand in `tests/fuzz`) or refuse with an error of histoscribe's own tree, at once. *Others* are exceptions of any
other kind and values that are not sound; *slowest* is processor time. The inputs are the same each time.
"""

import logging
import os
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.fuzz.tally import tally  # noqa: E402

EXAMPLES = int(os.environ.get("HISTOSCRIBE_FUZZ", "10000"))


def measure() -> pd.DataFrame:
    """Return a row for each parser."""
    from tests.fuzz.test_fuzz import PARSERS

    import histoscribe as hs

    hs.settings.progress = False
    logging.disable(logging.CRITICAL)
    rows = []
    for parser in PARSERS:
        found = tally(parser, EXAMPLES)
        for said in found.others:
            print(f"  {parser.name}: {said}", flush=True)
        row = (parser.name, found.examples, found.valid, found.refused, found.n_others, f"{found.slowest_s:.3f}")
        print("  ", *row, sep="  ", flush=True)
        rows.append(row)
    logging.disable(logging.NOTSET)
    return pd.DataFrame(rows, columns=["parser", "inputs", "valid", "refused", "others", "slowest, s"])
