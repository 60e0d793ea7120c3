"""Data to try things on: sections with a planted truth, real sections and gene sets."""

from ._plant import Plant
from ._toy import toy

__all__ = ["Plant", "toy"]
