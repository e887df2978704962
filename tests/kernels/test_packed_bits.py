"""Packing follows its definition bit by bit, and strings that break the invariant are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.kernels import PackedBits, pack


@settings(derandomize=True, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(0, 3))
def test_bit_k_is_bit_k_mod_64_of_word_k_div_64(bits, rows):
    packed = pack(np.tile(np.array(bits), (rows, 1)))
    number = sum(int(bit) << k for k, bit in enumerate(bits))
    assert packed.words.shape == (rows, -(-len(bits) // 64))
    for words in packed.words.tolist():
        assert sum(word << (64 * k) for k, word in enumerate(words)) == number
    assert packed.unpack().tolist() == [bits] * rows


def test_integers_pack_like_booleans_and_keep_leading_axes():
    bits = np.arange(2 * 3 * 70).reshape(2, 3, 70) % 3 == 0
    assert pack(bits.astype(np.int64)) == pack(bits)
    assert pack(bits).shape == (2, 3)
    assert np.array_equal(pack(bits).unpack(), bits)


@pytest.mark.parametrize("bits", [np.array([0, 2]), np.array([0.0, 1.0]), np.array(1), np.zeros((2, 0), bool)])
def test_anything_but_bits_is_refused(bits):
    with pytest.raises(ValueError, match="bit"):
        pack(bits)


def test_words_must_match_the_count():
    with pytest.raises(ValueError, match="65 bits need uint64 words"):
        PackedBits(np.zeros((3, 1), np.uint64), 65)
    with pytest.raises(ValueError, match="uint64"):
        PackedBits(np.zeros((3, 1), np.int64), 64)
    with pytest.raises(ValueError, match="ones past bit 4"):
        PackedBits(np.array([[32]], np.uint64), 5)
    assert PackedBits(np.array([[31]], np.uint64), 5).unpack().all()


def test_words_are_made_contiguous():
    words = np.zeros((4, 4), np.uint64)[:, ::2]
    assert PackedBits(words, 128).words.flags.c_contiguous
