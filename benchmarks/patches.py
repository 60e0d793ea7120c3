"""Reading patches from a slide.

4,000 patches of 224 px at random places of a 12,000 x 12,000 px slide (JPEG tiles of 256 px; the H&E of her2st C2, enlarged).
`read_tiles` decodes each file tile once, in file order; the baselines are what one writes today, in the same run: a loop over
spots with openslide, and the same with spots sorted by place. Memory is the peak above the start, output included.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _slide import picture, write_slide

SIDE, N, SIZE = 12_000, 4_000, 224

_HOW = {
    "histoscribe read_tiles": """
with open_image(path, mpp=0.5) as slide:
    for rows, batch in slide.read_tiles(boxes, 224):
        out[rows] = batch
""",
    "openslide, spot order": """
slide = openslide.OpenSlide(path)
for i, (x, y, w, h) in enumerate(boxes.astype(int)):
    out[i] = np.asarray(slide.read_region((x, y), 0, (224, 224)).convert("RGB"))
""",
    "openslide, sorted": """
slide = openslide.OpenSlide(path)
for i in np.lexsort(boxes[:, :2].T // 256):
    x, y = boxes[i, :2].astype(int)
    out[i] = np.asarray(slide.read_region((x, y), 0, (224, 224)).convert("RGB"))
""",
}
_AROUND = """
import sys, time
import numpy as np, openslide
from histoscribe.io import open_image

def peak():  # not getrusage, which starts from the parent's peak
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

path = sys.argv[1]
rng = np.random.default_rng(0)
boxes = np.column_stack([rng.integers(0, {top}, ({n}, 2)), np.full(({n}, 2), 224)]).astype(float)
out = np.zeros(({n}, 224, 224, 3), np.uint8)
before = peak()
start = time.perf_counter()
{how}
print(time.perf_counter() - start, peak() - before, int(out.sum()))
"""


def measure() -> pd.DataFrame | None:
    """Return seconds and memory of each way, three runs interleaved."""
    image = picture()
    if image is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        write_slide(path, np.asarray(image.resize((SIDE, SIDE))))
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in _HOW}
        sums: set[str] = set()
        for _ in range(3):
            for name, how in _HOW.items():
                code = _AROUND.format(how=how, top=SIDE - SIZE, n=N)
                command = [sys.executable, "-W", "ignore", "-c", code, str(path)]
                seconds, megabytes, total = subprocess.run(
                    command, check=True, capture_output=True, text=True
                ).stdout.split()
                runs[name].append((float(seconds), float(megabytes)))
                sums.add(total)
                time.sleep(0.5)
    if len(sums) != 1:
        raise SystemExit("the ways read different pixels")
    best = {name: min(values) for name, values in runs.items()}
    ours = best["histoscribe read_tiles"][0]
    rows = [
        (name, f"{s:.2f}", f"{max(v[0] for v in runs[name]):.2f}", f"{N / s:.0f}", f"{mb:.0f}", f"{s / ours:.1f}")
        for name, (s, mb) in best.items()
    ]
    return pd.DataFrame(
        rows, columns=["how", "seconds (best)", "(worst)", "patches/s", "memory, MB (output 574)", "times ours"]
    )
