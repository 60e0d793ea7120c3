"""Slide images: many formats behind one reader, in the frame of the spots."""

from ._image import SlideImage, open_image

__all__ = ["SlideImage", "open_image"]
