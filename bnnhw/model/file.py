"""The `*.bnn` file: an IntegerModel as one safetensors file with exactly one valid encoding.

Layout (version 1): 8 bytes little-endian header length; the JSON header, keys sorted, no spaces between tokens, padded
with spaces to a multiple of 8; the tensors, int32 ones first, then packed bits, each group sorted by name. Weights are
two bit planes, ``mask`` (weight is not zero) and ``sign`` (weight is -1), packed 8 to a byte, lowest bit first, in C
order, unused bits zero. The one metadata entry ``bnnhw`` is a JSON text (sorted keys) with the format version and the
layers' shapes. The reader decodes, validates and encodes again: a file whose bytes differ from that is refused, so the
SHA-256 of the file *is* the model's digest (`sha256sum net.bnn` prints it).
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors

from bnnhw.model.layers import Conv, Dense, Hidden, IntegerModel, MaxPool, ModelError, Output, Quantizer

_deserialize: Any = safetensors.deserialize

FORMAT = "bnnhw-integer-model"
VERSION = 1
MAX_FILE_BYTES = 1 << 30


def _pack(bits: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.packbits(bits.astype(bool).reshape(-1), bitorder="little")


def _unpack(tensors: dict[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    packed = _take(tensors, name, np.uint8)
    count = prod(shape)
    if packed.shape != ((count + 7) // 8,):
        raise ModelError(f"tensor {name} holds {packed.size} bytes where shape {shape} needs {(count + 7) // 8}")
    return np.unpackbits(packed, count=count, bitorder="little").astype(bool).reshape(shape)


def _take(tensors: dict[str, npt.NDArray[Any]], name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
    if name not in tensors:
        raise ModelError(f"tensor {name} is missing")
    if tensors[name].dtype != dtype:
        raise ModelError(f"tensor {name} must be {np.dtype(dtype).name}, not {tensors[name].dtype}")
    return tensors.pop(name)


def encode(model: IntegerModel) -> bytes:
    """The model's canonical bytes: equal models give equal bytes, and only they."""
    quantizer = model.quantizer
    tensors: dict[str, npt.NDArray[Any]] = {"input.threshold": quantizer.thresholds}
    layers: list[dict[str, Any]] = []
    for index, layer in enumerate(model.layers):
        entry: dict[str, Any] = {"kind": type(layer).__name__.lower()}
        prefix = f"layer{index:03d}"
        if isinstance(layer, MaxPool):
            entry |= {"channels": layer.conjunctive.size, "kernel": layer.kernel, "stride": layer.stride}
            tensors[f"{prefix}.conjunctive"] = _pack(layer.conjunctive)
        else:
            entry["weights"] = layer.weights.shape
            tensors[f"{prefix}.mask"] = _pack(layer.weights != 0)
            tensors[f"{prefix}.sign"] = _pack(layer.weights < 0)
            if isinstance(layer, Conv):
                entry |= {"stride": layer.stride, "padding": layer.padding}
            if isinstance(layer, Output):
                entry["shift"] = layer.shift
                tensors[f"{prefix}.bias"] = layer.bias
            else:
                tensors[f"{prefix}.less_equal"] = _pack(layer.less_equal)
                tensors[f"{prefix}.threshold"] = layer.threshold
        layers.append(entry)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "input": {
            "shape": quantizer.shape,
            "pixel_min": quantizer.pixel_min,
            "pixel_max": quantizer.pixel_max,
        },
        "layers": layers,
    }
    header: dict[str, Any] = {"__metadata__": {"bnnhw": _canonical_json(description)}}
    data = bytearray()
    for name in sorted(tensors, key=lambda n: (tensors[n].dtype != np.int32, n)):
        array = tensors[name]
        start = len(data)
        data += array.astype(array.dtype.newbyteorder("<")).tobytes()
        kind = "I32" if array.dtype == np.int32 else "U8"
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [start, len(data)]}
    text = _canonical_json(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def _canonical_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _get(entry: object, key: str, kind: type) -> Any:
    """``entry[key]``, checked to be exactly of ``kind``."""
    if not isinstance(entry, dict) or type(entry.get(key)) is not kind:
        raise ModelError(f"the description's {key!r} is missing or is not a {kind.__name__}")
    return entry[key]


def _integers(entry: object, key: str, count: int) -> tuple[int, ...]:
    values = _get(entry, key, list)
    if len(values) != count or any(type(v) is not int or not 0 <= v < 1 << 31 for v in values):
        raise ModelError(f"the description's {key!r} must be {count} whole numbers below 2^31")
    return tuple(values)


def _decode_layer(entry: object, prefix: str, tensors: dict[str, npt.NDArray[Any]]) -> Hidden | Output:
    kind = _get(entry, "kind", str)
    if kind == "maxpool":
        channels = _get(entry, "channels", int)
        kernel, stride = _integers(entry, "kernel", 2), _integers(entry, "stride", 2)
        return MaxPool(
            (kernel[0], kernel[1]),
            (stride[0], stride[1]),
            _unpack(tensors, f"{prefix}.conjunctive", (channels,)),
        )
    if kind not in ("dense", "conv", "output"):
        raise ModelError(f"layer kind {kind!r} is unknown: expected conv, dense, maxpool or output")
    shape = _integers(entry, "weights", 4 if kind == "conv" else 2)
    mask, sign = _unpack(tensors, f"{prefix}.mask", shape), _unpack(tensors, f"{prefix}.sign", shape)
    weights = mask.astype(np.int8) - 2 * (mask & sign).astype(np.int8)
    if kind == "output":
        return Output(weights, _take(tensors, f"{prefix}.bias", np.int32), _get(entry, "shift", int))
    less_equal = _unpack(tensors, f"{prefix}.less_equal", shape[:1])
    threshold = _take(tensors, f"{prefix}.threshold", np.int32)
    if kind == "dense":
        return Dense(weights, threshold, less_equal)
    stride, padding = _integers(entry, "stride", 2), _integers(entry, "padding", 2)
    return Conv(weights, threshold, less_equal, (stride[0], stride[1]), (padding[0], padding[1]))


def decode(data: bytes) -> IntegerModel:
    """The model of canonical bytes; ModelError where they are anything else."""
    try:
        parts: list[tuple[str, dict[str, Any]]] = _deserialize(data)
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
    except (safetensors.SafetensorError, ValueError, struct.error, RecursionError) as error:
        raise ModelError(f"not a readable safetensors file ({error})") from None
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("bnnhw"), str):
        raise ModelError("a safetensors file, but not one of bnnhw's: its metadata has no 'bnnhw' entry")
    try:
        description = json.loads(metadata["bnnhw"])
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the description in the header is not JSON ({error})") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ModelError(f"the description in the header is not of format {FORMAT!r}")
    version = _get(description, "version", int)
    if version != VERSION:
        raise ModelError(f"format version {version}, but this bnnhw reads version {VERSION}: use a newer bnnhw")
    tensors: dict[str, npt.NDArray[Any]] = {}
    for name, part in parts:
        if part["dtype"] not in ("I32", "U8"):
            raise ModelError(f"tensor {name} has type {part['dtype']}; only I32 and U8 belong in this format")
        dtype = np.dtype("<i4" if part["dtype"] == "I32" else "u1")
        tensors[name] = np.frombuffer(part["data"], dtype).reshape(part["shape"]).astype(dtype.newbyteorder("="))
    source = _get(description, "input", dict)
    quantizer = Quantizer(
        _integers(source, "shape", 3),  # type: ignore[arg-type]
        _take(tensors, "input.threshold", np.int32),
        _get(source, "pixel_min", int),
        _get(source, "pixel_max", int),
    )
    layers = [
        _decode_layer(entry, f"layer{index:03d}", tensors)
        for index, entry in enumerate(_get(description, "layers", list))
    ]
    if not layers or not isinstance(layers[-1], Output) or any(isinstance(layer, Output) for layer in layers[:-1]):
        raise ModelError("the last layer, and only it, must be an output layer")
    model = IntegerModel(quantizer, tuple(layers[:-1]), layers[-1])  # type: ignore[arg-type]
    if encode(model) != data:
        raise ModelError("the bytes are not the canonical encoding of the model they describe: save it again")
    return model


def digest(model: IntegerModel) -> str:
    """SHA-256 of the model's canonical bytes, in hexadecimal: the name that verdicts and hardware carry."""
    return hashlib.sha256(encode(model)).hexdigest()


def write_atomically(path: str | os.PathLike[str], data: bytes | Iterable[bytes]) -> None:
    """Write ``data``, in one piece or several, so that the file is at every moment the old one or the whole new one."""
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines([data] if isinstance(data, bytes) else data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def save(model: IntegerModel, path: str | os.PathLike[str]) -> str:
    """Write ``model`` to ``path`` (atomically) and return its digest."""
    write_atomically(path, encode(model))
    return digest(model)


def load(path: str | os.PathLike[str]) -> IntegerModel:
    """Read a `*.bnn` file; ModelError, naming the file, where it is damaged, foreign, newer or not canonical."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ModelError(f"cannot read model {os.fspath(path)}: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(f"{os.fspath(path)} is not a model: larger than {MAX_FILE_BYTES} bytes")
    try:
        return decode(data)
    except ModelError as error:
        raise ModelError(f"{os.fspath(path)} is not a usable model: {error}") from None
