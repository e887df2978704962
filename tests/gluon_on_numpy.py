"""Executes a Gluon kernel's own source on NumPy arrays, program after program; Triton's interpreter cannot.

The kernel is a plain Python function under its decorator, so it runs with another ``gl`` among its globals: tensors are
NumPy arrays with all axes, layouts mean nothing, pointers are a memory and offsets into it. Stricter than a GPU: every
access must be inside its memory, and an output may be written once only.
"""

from __future__ import annotations

import types

import numpy as np


class Memory:
    """A tensor's elements in one row, and how often each was written."""

    def __init__(self, elements):
        self.elements = elements.reshape(-1)
        assert np.shares_memory(self.elements, elements), "a kernel needs contiguous memory"
        self.writes = np.zeros(self.elements.size, np.int32)

    def read(self, offsets):
        self.check(offsets)
        return self.elements[offsets]

    def write(self, offsets, values):
        self.check(offsets)
        np.add.at(self.writes, offsets, 1)
        assert np.all(self.writes[offsets] == 1), "an element is written twice"
        self.elements[offsets] = values

    def add(self, offsets, values):
        self.check(offsets)
        np.add.at(self.elements, offsets, values)

    def check(self, offsets):
        assert np.all((offsets >= 0) & (offsets < self.elements.size)), "an access outside the tensor"


class AddressesOnly(Memory):
    """As large as you like: reads give ones, writes are only noted."""

    def __init__(self, size):
        self.size = size
        self.highest = -1

    def read(self, offsets):
        self.check(offsets)
        return np.ones(offsets.shape, np.int32)

    def write(self, offsets, values):
        self.check(offsets)

    add = write

    def check(self, offsets):
        assert np.all((offsets >= 0) & (offsets < self.size)), "an access outside the tensor"
        if offsets.size:
            self.highest = max(self.highest, int(offsets.max()))


class Pointer:
    def __init__(self, memory, offsets=0):
        self.memory, self.offsets = memory, offsets

    def __add__(self, offsets):
        return Pointer(self.memory, self.offsets + offsets)

    def lanes(self, mask, *values):
        """Offsets where ``mask`` holds, the mask, and values spread to the same shape."""
        mask = True if mask is None else mask
        return np.broadcast_arrays(np.asarray(self.offsets, np.int64), mask, *values)


def _load(pointer, mask=None, other=0):
    offsets, mask = pointer.lanes(mask)
    loaded = np.full(offsets.shape, other, np.int32)
    loaded[mask] = pointer.memory.read(offsets[mask])
    return loaded


def _store(pointer, value, mask=None):
    offsets, mask, value = pointer.lanes(mask, value)
    pointer.memory.write(offsets[mask], value[mask])


def _atomic_add(pointer, value, mask=None, sem=None):
    offsets, mask, value = pointer.lanes(mask, value)
    pointer.memory.add(offsets[mask], value[mask])


def _cast(value, dtype, bitcast=False):
    return value.view(dtype) if bitcast else value.astype(dtype)


def _language(program):
    def ignored(*_):
        return None

    return types.SimpleNamespace(
        int32=np.int32,
        int64=np.int64,
        uint32=np.uint32,
        BlockedLayout=ignored,
        SliceLayout=ignored,
        static_range=range,
        program_id=lambda axis: np.int32(program[axis]),
        arange=lambda start, end, layout=None: np.arange(start, end, dtype=np.int32),
        zeros=lambda shape, dtype, layout=None: np.zeros(shape, dtype),
        convert_layout=lambda value, layout, assert_trivial=False: value,
        reshape=np.reshape,
        permute=np.transpose,
        xor_sum=lambda value, axis: np.bitwise_xor.reduce(value, axis),
        minimum=np.minimum,
        cdiv=lambda a, b: -(-a // b),
        cast=_cast,
        load=_load,
        store=_store,
        atomic_add=_atomic_add,
    )


def _argument(value):
    """Integers have 32 bits, as on the GPU, so that a product too large for them goes wrong here as well."""
    if isinstance(value, Memory):
        return Pointer(value)
    return np.int32(value) if isinstance(value, int) and not isinstance(value, bool) else value


def run(kernel, programs, arguments, **replaced):
    """Run ``kernel`` for program 0 <= i < programs, or for those of a range.

    Memories among the arguments become pointers; ``replaced`` globals stand in for what NumPy does not have.
    """
    passed = {name: _argument(a) for name, a in arguments.items()}
    program = [0]
    names = dict(kernel.fn.__globals__)
    for name, value in kernel.fn.__globals__.items():
        if callable(getattr(value, "fn", None)):
            names[name] = types.FunctionType(value.fn.__code__, names)
    names.update(gl=_language(program), **replaced)
    function = types.FunctionType(kernel.fn.__code__, names)
    for program[0] in programs if isinstance(programs, range) else range(programs):
        function(**passed)
