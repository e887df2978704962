"""Packed tensors: the bits of PackedBits, their layouts, and what is refused."""

import numpy as np
import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.kernels import PackedBits, Thresholds, pack
from bnnhw.kernels.gpu import fragments
from bnnhw.kernels.gpu.column_thresholds import ColumnThresholds, column_thresholds
from bnnhw.kernels.gpu.packed_tensor import Layout, PackedTensor, from_packed_bits, from_words


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 40), st.sampled_from([1, 31, 32, 33, 63, 64, 65, 255, 256, 257, 520]), st.integers(0, 2**32))
def test_layouts_hold_the_same_rows(rows, count, seed):
    bits = np.random.default_rng(seed).random((rows, count)) < 0.5
    packed = from_packed_bits(pack(bits))
    assert packed.popcounts.tolist() == bits.sum(1).tolist()
    assert np.array_equal(packed.unpack(), np.where(bits, 1, -1))
    padded = np.zeros((-(-rows // 16) * 16, -(-count // 256) * 8), np.int32)
    padded[:rows, : packed.words.shape[1]] = packed.words.numpy()
    for layout, fragment in (
        (Layout.A_FRAGMENTS, fragments.a_fragment),
        (Layout.B_FRAGMENTS, fragments.b_fragments),
    ):
        relaid = packed.relayout(layout)
        for tile, block in np.ndindex(*relaid.words.shape[:2]):
            expected = fragment(padded[tile * 16 : tile * 16 + 16, block * 8 : block * 8 + 8])
            assert np.array_equal(relaid.words[tile, block].numpy(), expected)
        for other in Layout:
            back = relaid.relayout(other).relayout(Layout.ROWS)
            assert torch.equal(back.words, packed.words)
            assert back.popcounts is packed.popcounts


def test_packed_bits_are_not_copied():
    bits = pack(np.ones((3, 5, 70), bool))
    packed = from_packed_bits(bits)
    assert (packed.rows, packed.count, tuple(packed.words.shape)) == (15, 70, (15, 3))
    bits.words[0, 0, 1] = 0
    assert packed.words[0, 2] == 0
    assert packed.relayout(Layout.ROWS) is packed


def test_words_of_numpy_and_torch_are_not_copied():
    array = np.array([[0xFFFFFFFF, 1], [0x80000000, 0]], np.uint32)
    assert from_words(array, 33).popcounts.tolist() == [33, 1]
    tensor = torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.int32)
    view = from_words(tensor[:, :2], 64)
    tensor[0, 0] = 0
    assert view.words[0, 0] == 0
    assert view.to("cpu").words.data_ptr() == tensor.data_ptr()


def test_what_does_not_fit_is_refused():
    words = torch.zeros((2, 2), dtype=torch.int32)
    ones = torch.zeros(2, dtype=torch.int32)
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        from_words(words, 65)
    with pytest.raises(ValueError, match="32-bit integer"):
        from_words(words.long(), 64)
    with pytest.raises(ValueError, match="ones past bit 32"):
        from_words(np.array([[0, 2]], np.int32), 33)
    with pytest.raises(ValueError, match="ones past bit 30"):
        from_words(np.array([[-1]], np.int32), 31)
    with pytest.raises(ValueError, match="strides"):
        from_words(torch.zeros((2, 2), dtype=torch.int32).t(), 64)
    with pytest.raises(ValueError, match="at least one row"):
        from_packed_bits(PackedBits(np.zeros((0, 1), np.uint64), 64))
    with pytest.raises(ValueError, match="A fragments"):
        PackedTensor(words, ones, 2, 64, Layout.A_FRAGMENTS)
    with pytest.raises(ValueError, match="popcounts must be int32"):
        PackedTensor(words, ones.long(), 2, 64, Layout.ROWS)


def test_thresholds_keep_their_comparison():
    given_thresholds = Thresholds(np.array([-5, 2**31 - 1, 7], np.int32), np.array([True, True, False]))
    columns = column_thresholds(given_thresholds)
    assert columns.limits.tolist() == [-4, 2**31 - 1, 7]
    assert columns.flips.tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match="one threshold a column"):
        column_thresholds(Thresholds(np.zeros((2, 3, 3), np.int32), np.zeros(2, bool)))
    with pytest.raises(ValueError, match="one shape"):
        ColumnThresholds(columns.limits, columns.flips[:2])
