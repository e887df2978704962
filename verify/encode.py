"""From a query to clauses and reified linear constraints over the undecided bits, and from a solution back to pixels.

Input: a pixel whose value can cross the quantizer's thresholds ``t_1 < t_2 < ...`` gets one variable per *distinct*
threshold, meaning "pixel >= t_j", and order clauses ``[p >= t_{j+1}] -> [p >= t_j]`` between neighbours only: exactly
the integer pixels of the box remain, each threshold weighted by how many levels it is worth. (Linking pairs that are
not neighbours, in the wrong direction, silently removes inputs and "proves" networks robust that are not.)
Hidden bit: ``bit <-> sum of weighted literals >= bound``, a weight -w reading the negated literal. Decided bits are
constants and vanish into the bound. Output: one literal per rival class, true exactly when that class beats the label
under the tie rule; some rival must win. Satisfiable means not robust.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse

from bnnhw.verify._solver import Solver
from bnnhw.verify.bounds import Bounds
from bnnhw.verify.network import Bits, Integers, Matrix, Network, Pool
from bnnhw.verify.properties import LinfRobustness


@dataclass(frozen=True, eq=False)
class Inputs:
    """The free part of the input: variable ``first + i`` means ``pixel[i] >= threshold[i]``, worth weight[i] levels.

    pixel: flat index into (C, H, W); sorted by pixel, then threshold.
    """

    first: int
    pixel: npt.NDArray[np.int64]
    threshold: Integers
    weight: Integers


def _free_thresholds(network: Network, query: LinfRobustness) -> tuple[npt.NDArray[np.int64], Integers, Integers]:
    """(pixel, threshold, levels it is worth) for each distinct threshold that a pixel can lie on both sides of."""
    quantizer = network.quantizer
    box_low, box_high = (side.reshape(-1) for side in query.box(quantizer))
    thresholds = np.broadcast_to(quantizer.thresholds, (quantizer.levels, *quantizer.shape))
    flat = thresholds.reshape(quantizer.levels, -1).T.astype(np.int64)
    pixel, level = np.nonzero((flat > box_low[:, None]) & (flat <= box_high[:, None]))
    value = flat[pixel, level]
    pairs, weight = np.unique(np.stack([pixel, value]), axis=1, return_counts=True)
    return pairs[0], pairs[1], weight.astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Activations:
    """Activations of a layer for the encoder: ``constant`` plus the sum of each one's variables.

    constant: int64[n]. index, variable, weight: parallel arrays sorted by index; a free activation ``index[k]`` adds
    ``weight[k] * variable[k]``. A free bit has one variable; a free level has one per threshold.
    """

    constant: Integers
    index: npt.NDArray[np.int64]
    variable: npt.NDArray[np.int64]
    weight: Integers


def _rows(
    matrix: Matrix, rows: npt.NDArray[np.intp], a: _Activations
) -> tuple[npt.NDArray[np.int64], Integers, Integers, Integers]:
    """The chosen rows of ``matrix @ activations`` as literals: (starts, literals, weights, constants).

    Row r is ``constants[r] + sum weights * [literals]`` over starts[r]:starts[r + 1], all weights positive.
    """
    chosen = matrix[rows]
    constants = chosen @ a.constant
    begin = np.searchsorted(a.index, np.arange(matrix.shape[1] + 1))
    copies = np.diff(begin)[chosen.indices]
    owner = np.repeat(np.repeat(np.arange(len(rows)), np.diff(chosen.indptr)), copies)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(copies) - copies, copies)
    source = np.repeat(begin[:-1][chosen.indices], copies) + offset
    coefficient = np.repeat(chosen.data, copies) * a.weight[source]
    literals = np.where(coefficient > 0, a.variable[source], -a.variable[source])
    np.add.at(constants, owner, np.minimum(coefficient, 0))
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(rows)))])
    return starts.astype(np.int64), literals, np.abs(coefficient), constants


def encode(network: Network, query: LinfRobustness, bounds: Bounds, solver: Solver) -> Inputs:
    """Add the query to an empty ``solver``: satisfiable exactly when some image of the ball is not given the label."""
    pixel, threshold, weight = _free_thresholds(network, query)
    inputs = Inputs(solver.new_variables(len(pixel)), pixel, threshold, weight)
    variable = inputs.first + np.arange(len(pixel), dtype=np.int64)
    chained = np.nonzero(pixel[1:] == pixel[:-1])[0]
    clauses = np.stack([-variable[chained + 1], variable[chained], np.zeros_like(chained)], axis=1)
    solver.add_clauses(clauses.astype(np.int32).reshape(-1))
    activations = _Activations(bounds.level_low, pixel, variable, weight)
    for layer, low, high in zip(network.hidden, bounds.bit_low, bounds.bit_high, strict=True):
        undecided = np.nonzero(low != high)[0]
        outs = solver.new_variables(len(undecided)) + np.arange(len(undecided), dtype=np.int64)
        if isinstance(layer, Pool):
            starts, literals, weights, constants = _rows(layer.windows, undecided, activations)
            size = np.diff(layer.windows.indptr)[undecided]
            needed = np.where(layer.conjunctive[undecided], size, 1)
            signed = outs
        else:
            starts, literals, weights, constants = _rows(layer.matrix, undecided, activations)
            flipped = layer.less_equal[undecided]
            needed = layer.threshold[undecided] + flipped
            signed = np.where(flipped, -outs, outs)
        _add(solver, signed, starts, literals, weights, needed - constants)
        activations = _bits(low, undecided, outs)
    classes, differences, needed = network.rivals(query.label)
    alive = np.isin(classes, bounds.rivals)
    wins = solver.new_variables(int(alive.sum())) + np.arange(int(alive.sum()), dtype=np.int64)
    chosen = np.nonzero(alive)[0]
    starts, literals, weights, constants = _rows(sparse.csr_array(differences), chosen, activations)
    _add(solver, wins, starts, literals, weights, needed[alive] - constants)
    solver.add_clause([int(v) for v in wins])
    return inputs


def _bits(low: Bits, undecided: npt.NDArray[np.intp], outs: npt.NDArray[np.int64]) -> _Activations:
    return _Activations(low.astype(np.int64), undecided.astype(np.int64), outs, np.ones(len(outs), np.int64))


def _add(
    solver: Solver,
    outs: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    literals: npt.NDArray[np.int64],
    weights: Integers,
    bounds: Integers,
) -> None:
    solver.add_at_least_many(
        outs.astype(np.int32),
        starts,
        literals.astype(np.int32),
        None if (weights == 1).all() else weights.astype(np.int32),
        bounds,
    )


def decode(network: Network, query: LinfRobustness, inputs: Inputs, assignment: npt.NDArray[np.int8]) -> Integers:
    """The image int64[C, H, W] of a solution: each pixel the nearest to the original that the variables allow."""
    low, high = (side.reshape(-1).copy() for side in query.box(network.quantizer))
    reached = assignment[inputs.first : inputs.first + len(inputs.pixel)].astype(bool)
    np.maximum.at(low, inputs.pixel[reached], inputs.threshold[reached])
    np.minimum.at(high, inputs.pixel[~reached], inputs.threshold[~reached] - 1)
    image = np.clip(query.image.astype(np.int64).reshape(-1), low, high)
    return image.reshape(query.image.shape)
