"""Image encoders: one file a family, one line in the table."""

from ..._registry import Registry

ENCODERS = Registry(
    "encoder",
    __name__,
    {
        "mean_rgb": "._mean_rgb:MeanRGB",
        "stain_stats": "._stain_stats:StainStats",
    },
)

__all__ = ["ENCODERS"]
