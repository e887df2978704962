import numpy as np
import numpy.typing as npt

_Geometry = tuple[int, int, int, int, int, int, int, int, int]
_Limits = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]] | None
_Levels = npt.NDArray[np.uint8] | npt.NDArray[np.int16] | npt.NDArray[np.int32]
_Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.int32]

def instruction_sets() -> list[str]: ...
def instruction_set() -> str: ...
def multiplies_bytes() -> bool: ...
def select_instruction_set(name: str) -> bool: ...
def ternary_dense(
    activations: npt.NDArray[np.uint64],
    images: int,
    weights: npt.NDArray[np.uint64],
    outputs: int,
    count: int,
    sums: npt.NDArray[np.int32] | None,
    bits: npt.NDArray[np.uint64] | None,
    limits: _Limits,
    threads: int,
) -> None: ...
def digit_dense(
    activations: npt.NDArray[np.uint64],
    images: int,
    weights: DigitWeights,
    sums: npt.NDArray[np.int32] | None,
    bits: npt.NDArray[np.uint64] | None,
    limits: _Limits,
    threads: int,
) -> None: ...
def looks_up() -> bool: ...
def lookup_dense(
    activations: npt.NDArray[np.uint64],
    images: int,
    weights: LookupWeights,
    sums: npt.NDArray[np.int32] | None,
    bits: npt.NDArray[np.uint64] | None,
    limits: _Limits,
    threads: int,
) -> None: ...
def ternary_conv(
    activations: npt.NDArray[np.uint64],
    images: int,
    window: _Geometry,
    weights: npt.NDArray[np.uint64],
    outputs: int,
    sums: npt.NDArray[np.int32] | None,
    bits: npt.NDArray[np.uint64] | None,
    limits: _Limits,
    threads: int,
) -> None: ...
def level_conv(
    levels: _Levels,
    images: int,
    window: _Geometry,
    weights: npt.NDArray[np.int16],
    outputs: int,
    sums: npt.NDArray[np.int32] | None,
    bits: npt.NDArray[np.uint64] | None,
    limits: _Limits,
    threads: int,
) -> None: ...
def max_pool(
    bits: npt.NDArray[np.uint64],
    images: int,
    window: _Geometry,
    conjunctive: npt.NDArray[np.uint64],
    pooled: npt.NDArray[np.uint64],
    threads: int,
) -> None: ...
def quantize(
    pixels: _Pixels,
    shape: tuple[int, int, int, int],
    thresholds: npt.NDArray[np.int32],
    levels: _Levels,
    threads: int,
) -> None: ...
def quantize_bits(
    pixels: _Pixels,
    shape: tuple[int, int, int, int],
    thresholds: npt.NDArray[np.int32],
    bits: npt.NDArray[np.uint64],
    threads: int,
) -> None: ...
def scores_argmax(
    sums: npt.NDArray[np.int32],
    images: int,
    bias: npt.NDArray[np.int32],
    shift: int,
    scores: npt.NDArray[np.int64],
    winners: npt.NDArray[np.int64],
) -> None: ...

class LookupWeights:
    def __init__(self, weights: npt.NDArray[np.int8]) -> None: ...

class DigitWeights:
    def __init__(self, weights: npt.NDArray[np.int8]) -> None: ...

class ImageLanes:
    def __init__(self, shape: tuple[int, int, int, int], thresholds: npt.NDArray[np.int32]) -> None: ...
    def add_product(self, window: _Geometry, weights: npt.NDArray[np.int8], limits: _Limits) -> None: ...
    def add_pool(self, window: _Geometry, conjunctive: npt.NDArray[np.uint8]) -> None: ...
    def set_scores(self, bias: npt.NDArray[np.int32], shift: int) -> None: ...
    def run(
        self,
        pixels: npt.NDArray[np.uint8],
        images: int,
        threads: int,
        scores: npt.NDArray[np.int64],
        winners: npt.NDArray[np.int64],
    ) -> None: ...

class Program:
    def __init__(self, shape: tuple[int, int, int, int], thresholds: npt.NDArray[np.int32], levels: int) -> None: ...
    def add_tiles(self, window: _Geometry, weights: npt.NDArray[np.int8], limits: _Limits) -> None: ...
    def add_ternary(
        self, window: _Geometry, weights: npt.NDArray[np.uint64], outputs: int, limits: _Limits
    ) -> None: ...
    def add_levels(self, window: _Geometry, weights: npt.NDArray[np.int16], outputs: int, limits: _Limits) -> None: ...
    def add_pool_of_bits(self, window: _Geometry, conjunctive: npt.NDArray[np.uint64]) -> None: ...
    def add_pool_of_bytes(self, window: _Geometry, conjunctive: npt.NDArray[np.uint8]) -> None: ...
    def set_scores(self, bias: npt.NDArray[np.int32], shift: int) -> None: ...
    def run(
        self,
        pixels: npt.NDArray[np.integer],
        images: int,
        threads: int,
        batch: int,
        scores: npt.NDArray[np.int64],
        winners: npt.NDArray[np.int64],
    ) -> None: ...
    def trace(self, pixels: npt.NDArray[np.integer], images: int) -> list[npt.NDArray[np.uint8]]: ...
