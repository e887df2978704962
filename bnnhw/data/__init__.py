"""Data sets by name: ``load("digits")`` needs nothing; the others read a local folder, or download with checksums."""

from bnnhw.data.dataset import DataError, Dataset
from bnnhw.data.load import NAMES, cache_folder, load

__all__ = ["NAMES", "DataError", "Dataset", "cache_folder", "load"]
