"""Downloads from public mirrors, checked before they are kept.

A checksum is the published SHA-256 of the file (MNIST, CIFAR-10), or the SHA-256 of the decompressed content where
mirrors compress the same content differently (Fashion-MNIST). A file appears under its name only when it is complete
and right.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

from bnnhw.data.dataset import DataError

MAX_BYTES = 1 << 28
CHUNK = 1 << 16


@dataclass(frozen=True)
class Remote:
    """One file: where it is, and the SHA-256 of its bytes or, for ``of_content``, of what gzip unpacks from them."""

    mirrors: tuple[str, ...]
    sha256: str
    of_content: bool = False

    @property
    def name(self) -> str:
        return self.mirrors[0].rsplit("/", 1)[-1]


def _mirrored(bases: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(f"{base}/{name}" for base in bases)


_MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
_FASHION = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",)

REMOTES: dict[str, tuple[Remote, ...]] = {
    "mnist": tuple(
        Remote(_mirrored(_MNIST, f"{stem}.gz"), sha256)
        for stem, sha256 in (
            ("train-images-idx3-ubyte", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            ("train-labels-idx1-ubyte", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            ("t10k-images-idx3-ubyte", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            ("t10k-labels-idx1-ubyte", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        )
    ),
    "fashion-mnist": tuple(
        Remote(_mirrored(_FASHION, f"{stem}.gz"), sha256, of_content=True)
        for stem, sha256 in (
            ("train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            ("train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
            ("t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
            ("t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
        )
    ),
    "cifar10": (
        Remote(
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
}


def _fetch(url: str, remote: Remote, target: Path) -> None:
    """Stream ``url`` into ``target``'s folder and rename it into place once its checksum is right."""
    digest = hashlib.sha256()
    unpack = zlib.decompressobj(wbits=31) if remote.of_content else None
    size = 0
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".download-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out, urllib.request.urlopen(url, timeout=30) as response:
            while chunk := response.read(CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise DataError(f"{url} sends more than {MAX_BYTES} bytes: it is not {remote.name}")
                out.write(chunk)
                digest.update(unpack.decompress(chunk) if unpack else chunk)
        if digest.hexdigest() != remote.sha256:
            raise DataError(f"{url} sent a file whose SHA-256 is {digest.hexdigest()}, not {remote.sha256}")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def fetch_missing(remotes: tuple[Remote, ...], folder: Path) -> None:
    """Download each file that ``folder`` lacks; DataError when no mirror gives the right one."""
    folder.mkdir(parents=True, exist_ok=True)
    for remote in remotes:
        target = folder / remote.name
        if target.exists():
            continue
        errors = []
        for url in remote.mirrors:
            try:
                _fetch(url, remote, target)
                break
            except (OSError, zlib.error, DataError) as error:
                errors.append(f"{url}: {error}")
        else:
            raise DataError(f"{remote.name} could not be downloaded ({'; '.join(errors)}): put it into {folder}")
