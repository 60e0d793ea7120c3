"""From a slide to image vectors.

256 tiles of 224 px at random places of a 12,000 x 12,000 px slide (JPEG tiles of 256 px; the H&E of her2st C2, enlarged) through timm's
ViT-S/16 with random weights, in batches of 32, on the CPU. `encode_image` reads each file tile once, in file order, while the encoder
works; the baselines are what one writes today, in the same run and at the same precision: a loop over spots with openslide whose
next batches are read in a thread, and lazyslide's `feature_extraction` where it is installed, on as many tiles of a grid of its own. All
start from a model in memory; none reads a cache. Memory is the peak above the start. The last column is the least cosine to the
loop's vectors at 32 bits.
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _slide import picture, write_slide
from patches import SIDE, SIZE

N, RUNS = 256, 1

_HOW = {
    "histoscribe encode_image": """
encoder = hs.nn.load_encoder(model, precision={"fp32": "32", "bf16": "bf16"}[precision])
adata = AnnData(np.zeros((len(boxes), 0), dtype=np.float32))
adata.obsm["tiles"] = boxes
adata.uns["spatial"] = {"S": {"metadata": {"mpp": 0.5, "source_image_path": path}}}
hs.io.open_image, hs.tl.encode_image
start = begin()
hs.tl.encode_image(adata, encoder, batch_size=32, cache=False)
vectors = adata.obsm["X_image"]
""",
    "openslide loop, prefetch": """
def batch(rows):
    read = [slide.read_region(tuple(boxes[i, :2].astype(int)), 0, (224, 224)).convert("RGB") for i in rows]
    return torch.stack([transform(one) for one in read])

start = begin()
slide, parts = openslide.OpenSlide(path), []
with ThreadPoolExecutor(1) as pool, torch.inference_mode():
    ahead = [pool.submit(batch, rows) for rows in np.array_split(np.arange(len(boxes)), len(boxes) // 32)]
    for one in ahead:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            parts.append(model(one.result()).float().numpy())
vectors = np.concatenate(parts)
""",
    "lazyslide feature_extraction": """
import lazyslide as zs
from wsidata import open_wsi

wsi = open_wsi(path)
zs.pp.find_tissues(wsi)
zs.pp.tile_tissues(wsi, 224, mpp=0.5)
wsi.shapes["tiles"] = wsi.shapes["tiles"].iloc[: len(boxes)]
start = begin()
zs.tl.feature_extraction(wsi, model, transform=transform, batch_size=32, device="cpu", amp=precision == "bf16",
                         autocast_dtype=torch.bfloat16, key_added="features", pbar=False)
vectors = np.zeros((0, 384))  # of other tiles
""",
}
_AROUND = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np, openslide, timm, timm.data, torch, torchvision
from anndata import AnnData
import histoscribe as hs

def peak():  # not getrusage, which starts from the parent's peak
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

def begin():
    global before
    before = peak()
    return time.perf_counter()

path, precision, out = sys.argv[1:]
torch.manual_seed(0)
model = timm.create_model("vit_small_patch16_224", pretrained=False, num_classes=0).eval()
colours = timm.data.resolve_model_data_config(model)
normalize = torchvision.transforms.Normalize(colours["mean"], colours["std"])
transform = torchvision.transforms.Compose([torchvision.transforms.ToTensor(), normalize])
rng = np.random.default_rng(0)
boxes = np.column_stack([rng.integers(0, {top}, ({n}, 2)), np.full(({n}, 2), 224)]).astype(float)
{how}
print(time.perf_counter() - start, peak() - before)
np.save(out, vectors)
"""


def measure() -> pd.DataFrame | None:
    """Return seconds and memory of each way, runs interleaved."""
    image = picture()
    if image is None:
        return None
    ways = [name for name in _HOW if "lazyslide" not in name or importlib.util.find_spec("lazyslide")]
    runs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    vectors: dict[tuple[str, str], np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "slide.tif", Path(folder) / "vectors.npy"
        write_slide(path, np.asarray(image.resize((SIDE, SIDE))))
        for _ in range(RUNS):
            for precision in ("fp32", "bf16"):
                for name in ways:
                    code = (
                        _AROUND.replace("{how}", _HOW[name]).replace("{top}", str(SIDE - SIZE)).replace("{n}", str(N))
                    )
                    command = [sys.executable, "-W", "ignore", "-c", code, str(path), precision, str(out)]
                    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                    seconds, megabytes = map(float, printed.split()[-2:])
                    runs.setdefault((precision, name), []).append((seconds, megabytes))
                    vectors[precision, name] = np.load(out)
                    time.sleep(0.5)
    return _table(runs, vectors)


def _table(
    runs: dict[tuple[str, str], list[tuple[float, float]]], vectors: dict[tuple[str, str], np.ndarray]
) -> pd.DataFrame:
    reference = vectors["fp32", "openslide loop, prefetch"]
    rows = []
    for (precision, name), values in runs.items():
        found, ours = vectors[precision, name], min(runs[precision, "histoscribe encode_image"])[0]
        cosine = _least_cosine(found, reference)
        if cosine < 0.99:
            raise SystemExit(f"{name} at {precision} made other vectors: cosine {cosine}")
        seconds, megabytes = min(values)
        worst = max(value[0] for value in values)
        numbers = (f"{seconds:.1f}", f"{worst:.1f}", f"{N / seconds:.1f}", f"{megabytes:.0f}")
        rows.append((precision, name, *numbers, f"{seconds / ours:.2f}", f"{cosine:.5f}"))
    columns = ["precision", "how", "seconds (best)", "(worst)", "tiles/s", "memory, MB", "times ours", "cosine"]
    return pd.DataFrame(rows, columns=columns)


def _least_cosine(found: np.ndarray, reference: np.ndarray) -> float:
    if not len(found):
        return float("nan")
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(reference, axis=1)
    return float(((found * reference).sum(axis=1) / lengths).min())
