"""Published networks of others as IntegerModels, exactly: ``load("mnist.npz").model``."""

from bnnhw.importers.archive import SourceError
from bnnhw.importers.bnn_verification import LabelledImage, read_image
from bnnhw.importers.load import FORMATS, Imported, load

__all__ = ["FORMATS", "Imported", "LabelledImage", "SourceError", "load", "read_image"]
