"""Networks declared with Brevitas: trained by the same trainer, lowered exactly, compared with Brevitas's own forward.

Wrap the network in `bnnhw.nn.ModuleNetwork`, train it, then ``lower`` it and ``compare`` the two. This is a front end
like `bnnhw.train.lower` and no importer: it reads a live torch module, not a file, and a pickle of one is never loaded.
Needs Brevitas (``pip install 'bnnhw[brevitas]'``). Reference: Pappalardo et al., Xilinx/brevitas.
"""

from bnnhw.train.brevitas.agreement import Comparison, compare
from bnnhw.train.brevitas.lower import lower

__all__ = ["Comparison", "compare", "lower"]
