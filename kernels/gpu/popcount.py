"""Population count of 32-bit words inside a kernel, in the arithmetic form that LLVM knows for one.

Fields of 2, 4 and 8 bits are summed within a word (Warren, "Hacker's Delight", section 5-1). The compiler recognises it
and emits one instruction (POPC; v_bcnt_u32_b32 on AMD), and Triton's interpreter can run it, which it cannot do with
inline assembly or libdevice. On signed words it is not recognised: their right shift is another one.
"""

from __future__ import annotations

import triton
from triton import language as tl
from triton.experimental import gluon


def _popcount(words: tl.tensor) -> tl.tensor:
    """uint32 of uint32, of any shape."""
    pairs = words - ((words >> 1) & 0x55555555)
    nibbles = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333)
    octets = (nibbles + (nibbles >> 4)) & 0x0F0F0F0F
    return (octets * 0x01010101) >> 24


popcount = triton.jit(_popcount)
popcount_gluon = gluon.jit(_popcount)
