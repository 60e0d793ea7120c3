"""Data to try things on: sections with a planted truth, real sections and gene sets."""

from ._bulb import mouse_olfactory_bulb
from ._hallmark import hallmark
from ._her2st import her2st
from ._plant import Plant
from ._toy import toy

__all__ = ["Plant", "hallmark", "her2st", "mouse_olfactory_bulb", "toy"]
