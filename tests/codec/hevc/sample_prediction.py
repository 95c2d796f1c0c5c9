"""What the standard predicts from decoded samples along given vectors: interpolation and the average of two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from small_streams import Picture

from vssbench.codec.hevc.picture_buffer import CodedPicture
from vssbench.codec.hevc.syntax import MODE_SKIP

# fL, Table 8-11, by the quarter of the vector
FILTERS = np.array(
    [
        [0, 0, 0, 64, 0, 0, 0, 0],
        [-1, 4, -10, 58, 17, -5, 1, 0],
        [-1, 4, -11, 40, 40, -11, 4, -1],
        [0, 1, -5, 17, 58, -10, 4, -1],
    ]
)


def interpolated(reference, vectors, rows, columns, bit_depth):
    """predSampleLX of 4x4 blocks, with 14 bits (8.5.3.3.3.2); (N, 4, 4).

    The standard has four cases, by which of the two fractions are zero. The one formula below is equal to each of
    them, because the filter of fraction zero is a factor of 64, and 64 >> shift1 >> 6 is 1 << shift3.
    """
    shift1 = bit_depth - 8
    height, width = reference.shape
    taps = np.arange(-3, 8)
    y = np.clip(4 * rows[:, None] + (vectors[:, 1:] >> 2) + taps, 0, height - 1)  # (N, 11)
    x = np.clip(4 * columns[:, None] + (vectors[:, :1] >> 2) + taps, 0, width - 1)
    patches = reference.astype(np.int64)[y[:, :, None], x[:, None, :]]  # (N, 11, 11)
    windows = np.lib.stride_tricks.sliding_window_view(patches, 8, axis=2)  # (N, 11, 4, 8)
    across = np.einsum("nyxk,nk->nyx", windows, FILTERS[vectors[:, 0] & 3]) >> shift1
    windows = np.lib.stride_tricks.sliding_window_view(across, 8, axis=1)  # (N, 4, 4, 8)
    return np.einsum("nyxk,nk->nyx", windows, FILTERS[vectors[:, 1] & 3]) >> 6


def predicted(references, vectors, rows, columns, bit_depth):
    """Default weighted sample prediction (8.5.3.3.4.2) of blocks that use the given references, one or two."""
    terms = [
        interpolated(reference, vector, rows, columns, bit_depth)
        for reference, vector in zip(references, vectors, strict=True)
    ]
    shift = 14 - bit_depth + (len(terms) - 1)  # shift1 of one list, shift2 of two
    return np.clip((sum(terms) + (1 << (shift - 1))) >> shift, 0, (1 << bit_depth) - 1)


def in_blocks(luma):
    """(h4, w4, 4, 4) of (H, W)."""
    height, width = luma.shape
    return luma.reshape(height // 4, 4, width // 4, 4).swapaxes(1, 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """The 4x4 blocks of skipped coding units of one picture that use the same references.

    Args:
        rows: (N,), and columns alike, in blocks.
        predicted: (N, 4, 4), along the vectors; and reversed_predicted against them.
        decoded: (N, 4, 4).
        moved: (N,) bool, whether a vector is not zero.
        num_lists: 1 or 2.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    predicted: NDArray[np.int64]
    reversed_predicted: NDArray[np.int64]
    decoded: NDArray[np.int64]
    moved: NDArray[np.bool_]
    num_lists: int


def comparisons(pictures: list[CodedPicture], samples: list[Picture]) -> Iterator[Comparison]:
    """Predict the luma of every skipped coding unit from the decoded references."""
    index = {(picture.sequence, picture.poc): position for position, picture in enumerate(pictures)}
    for picture, own in zip(pictures, samples, strict=True):
        skipped = picture.motion.pred_mode == MODE_SKIP
        deltas = picture.motion.ref_poc_delta
        for pair in {tuple(pair) for pair in deltas[skipped].tolist()}:
            lists = [x for x in range(2) if pair[x] != 0]
            references = [samples[index[picture.sequence, picture.poc + pair[x]]].luma for x in lists]
            rows, columns = np.nonzero(skipped & (deltas == pair).all(-1))
            vectors = [picture.motion.mv[rows, columns, x].astype(np.int64) for x in lists]
            yield Comparison(
                rows=rows,
                columns=columns,
                predicted=predicted(references, vectors, rows, columns, own.bit_depth),
                reversed_predicted=predicted(references, [-v for v in vectors], rows, columns, own.bit_depth),
                decoded=in_blocks(own.luma)[rows, columns].astype(np.int64),
                moved=np.any([vector != 0 for vector in vectors], axis=(0, 2)),
                num_lists=len(lists),
            )


@dataclass(kw_only=True)
class Tally:
    """Samples of skipped coding units that were compared, and that were equal."""

    compared: int = 0
    equal: int = 0
    bi_predicted: int = 0
    moved: int = 0  # in blocks whose vector is not zero
    moved_equal_if_reversed: int = 0


def tally(pictures: list[CodedPicture], samples: list[Picture]) -> Tally:
    """Count the samples that are predicted exactly."""
    total = Tally()
    for each in comparisons(pictures, samples):
        total.compared += each.decoded.size
        total.equal += int((each.predicted == each.decoded).sum())
        total.bi_predicted += each.decoded.size * (each.num_lists == 2)
        total.moved += 16 * int(each.moved.sum())
        total.moved_equal_if_reversed += int((each.reversed_predicted == each.decoded)[each.moved].sum())
    return total
