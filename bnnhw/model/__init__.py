"""The exact integer model: its layers, file format, digest, summary and NumPy reference inference."""

from bnnhw.model.file import decode, digest, encode, load, save
from bnnhw.model.layers import (
    Conv,
    Dense,
    Hidden,
    IntegerModel,
    MaxPool,
    ModelError,
    Output,
    Quantizer,
    Shape,
)
from bnnhw.model.summary import summarize, summary

__all__ = [
    "Conv",
    "Dense",
    "Hidden",
    "IntegerModel",
    "MaxPool",
    "ModelError",
    "Output",
    "Quantizer",
    "Shape",
    "decode",
    "digest",
    "encode",
    "load",
    "save",
    "summarize",
    "summary",
]
