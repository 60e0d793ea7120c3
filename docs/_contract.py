"""Make the page of the data contract from ``_keys.py``."""

from pathlib import Path

from histoscribe._keys import slots

_HEAD = """# Data contract

Every slot that histoscribe reads or writes. Names are the same everywhere; `key_added=` changes one for you. Each write
leaves a record of how it was made in `adata.uns["histoscribe"]["<slot>.<key>"]`: the function (`by`), the package
version, all parameters, the slots it read and the hashes of what it depends on.

- Positions and boxes are in full-resolution pixels; pixel *i* covers [*i*, *i* + 1), a box's centre is *x* + *w*/2.
- Distances, radii and tile sizes are in micrometres.
- Rows never shift: a spot that can't be done stays, and `obs["<key>_valid"]` is False.
- `X` is never overwritten, and raw counts are never guessed.

| slot | key | shape | type | written by | what it holds |
|---|---|---|---|---|---|
"""


def write_contract(path: Path) -> None:
    """Write the page, if it changed."""
    rows = [
        f"| {s.where} | `{s}` | {s.shape} | {s.dtype} | {s.writer} | {s.meaning.replace('|', chr(92) + '|')} |"
        for s in slots()
    ]
    text = _HEAD + "\n".join(rows) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
