"""CReFF's local attention: every pixel attends to the window around it, and nothing is unfolded."""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from vssbench.errors import ShapeError, UsageError

Border = Literal["zero", "masked"]

TILE = 4  # queries of a TILE x TILE block share one key block: 16 x 100 products for 7x7, of which 49 are wanted
# for the keys and logits of a band: at most so many bytes, or maps; a GPU wants few launches more than cached data
_BAND_BYTES = ((2 << 20, 2.0), (256 << 20, 1.0))  # on a CPU, on a GPU


def local_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    window: int = 7,
    scale: float | None = None,
    border: Border = "zero",
) -> Tensor:
    """A(x) = sum_n softmax_n(scale * query(x) . key(x + n)) value(x + n), n over the window around x.

    The image is done in bands of rows, each as batched products of TILE x TILE queries with the block of keys that
    they see. A band's buffers are small against a map: with its result a call adds 1.6 maps of memory at C = 256,
    90x120, 1.1 at C = 64, 720x960, and always under twice query, key and value where the map has 45x60 pixels. It
    is one operator, `vssbench::local_attention`, to whoever counts or traces. The gradient computes the softmax
    again and keeps nothing but the inputs.

    Args:
        query: (N, C, h, w), floating point; half types are computed in float32.
        key: as query.
        value: as query.
        window: odd side of the neighbourhood.
        scale: of the products; None is 1 / sqrt(C) (AR-Seg, Eq. 3), the released program has 1.0.
        border: what a position outside the image is. "zero": a key and a value of 0 that stay in the softmax,
            as in AR-Seg's released kernel (f_similar, f_weighting), so that a corner with equal products
            loses 33 of 49 parts of its mass; "masked": not there.

    Returns: (N, C, h, w).
    Raises: ShapeError, when the three differ in shape or type, or the window is even;
        UsageError, on an unknown border.
    """
    if query.ndim != 4 or not query.is_floating_point():
        raise ShapeError(f"local attention needs floating point (N, C, h, w), got {tuple(query.shape)} {query.dtype}")
    for name, other in (("key", key), ("value", value)):
        if other.shape != query.shape or other.dtype != query.dtype:
            raise ShapeError(
                f"query and {name} must be alike: {tuple(query.shape)} {query.dtype}, "
                f"{tuple(other.shape)} {other.dtype}; resize the smaller to the other's grid"
            )
    if window < 1 or window % 2 == 0:
        raise ShapeError(f"the window needs a centre: its side must be odd and at least 1, got {window}")
    if border not in ("zero", "masked"):
        raise UsageError(f"border must be zero or masked, got {border!r}")
    if scale is None:
        scale = 1 / math.sqrt(query.shape[1])
    out: Tensor = _attend(query, key, value, window, float(scale), border == "masked")
    return out


@torch.library.custom_op("vssbench::local_attention", mutates_args=())
def _attend(query: Tensor, key: Tensor, value: Tensor, window: int, scale: float, masked: bool) -> Tensor:
    with torch.autocast(query.device.type, enabled=False):  # which would take the products in another type than `out`
        out = torch.empty_like(query, memory_format=torch.contiguous_format)
        bias = _window_bias(window, query)
        planes = _planes(query, window)
        for n in range(query.shape[0]):
            queries, keys = _Queries(query[n], planes, window), _Keys(key[n], planes, window)
            # the keys of a band are done with before its values are read
            values = _Keys(value[n], planes, window, memory=keys.memory)
            inside = _inside(key, planes, window) if masked else None
            for top in range(0, query.shape[2], planes.shape[1]):
                mass = _mass(queries.load(top), keys.advance(), bias, scale, inside)
                torch.bmm(mass, values.advance(), out=queries.tiles)
                queries.store(out[n], top)
    return out


def _work_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _tiles_across(width: int, window: int) -> int:
    """Tiles in a row of tiles. The last are spare: they hold the zeros right of the image.

    What the last tiles read beyond those is the next row's left zeros.
    """
    return -(-width // TILE) + -(-(window // 2) // TILE)


def _band_height(query: Tensor, window: int) -> int:
    """Rows of pixels to do at once: whole rows of tiles, as many as keep keys and logits within _BAND_BYTES."""
    _, channels, height, width = query.shape
    bytes_each = _work_dtype(query).itemsize
    side = TILE + window - 1
    tile_bytes = (TILE * side * channels + 2 * TILE**2 * side**2) * bytes_each
    most_bytes, most_maps = _BAND_BYTES[query.is_cuda]
    allowed = min(most_bytes, int(most_maps * height * width * channels * bytes_each))
    rows = -(-height // TILE)
    bands = -(-rows // max(1, allowed // (_tiles_across(width, window) * tile_bytes)))
    return -(-rows // bands) * TILE


def _odd_rows(x: Tensor, count: int, length: int) -> Tensor:
    """An empty (count, length) whose rows lie an odd number of cache lines apart.

    A transposition walks across the rows. Where they are a power of two apart they share a few lines of the
    cache and it takes four times as long, as it does straight from a map, whose planes lie megabytes apart.
    """
    pitch = 16 * (-(-length // 16) | 1)
    return x.new_empty((count, pitch), dtype=_work_dtype(x))[:, :length]


def _planes(query: Tensor, window: int) -> Tensor:
    """An empty band of a sample, (C, height, w): where every band is put before it is transposed."""
    _, channels, _, width = query.shape
    height = _band_height(query, window)
    return _odd_rows(query, channels, height * width).view(channels, height, width)


class _Queries:
    """A band of a map (C, h, w) as tiles (tiles, TILE^2, C), column by column, 0 outside the image."""

    def __init__(self, x: Tensor, planes: Tensor, window: int) -> None:
        channels, height, width = planes.shape
        across = _tiles_across(width, window)
        self._x, self._planes = x, planes
        columns = (height // TILE, across * TILE, TILE, channels)
        self._columns = x.new_zeros(columns, dtype=_work_dtype(x))
        self._pixels = _odd_rows(x, height * width, channels).view(-1, TILE, width, channels)
        self.tiles = self._columns.view(-1, TILE * TILE, channels)

    def load(self, top: int) -> Tensor:
        """The tiles of the rows from `top` on; always the same buffer."""
        rows = self._x[:, top : top + self._planes.shape[1]]
        self._planes[:, : rows.shape[1]] = rows
        self._planes[:, rows.shape[1] :] = 0
        planes = self._planes.view(self._planes.shape[0], -1, *self._pixels.shape[1:3])  # (C, rows, TILE, w)
        self._columns[:, : planes.shape[3]] = planes.permute(1, 3, 2, 0)
        return self.tiles

    def store(self, x: Tensor, top: int) -> None:
        """Write the tiles to the rows of x (C, h, w) from `top` on."""
        self._pixels.copy_(self._columns[:, : self._pixels.shape[2]].transpose(1, 2))
        self._planes.copy_(self._pixels.flatten(0, 1).permute(2, 0, 1))
        rows = x[:, top : top + self._planes.shape[1]]
        rows.copy_(self._planes[:, : rows.shape[1]])


class _Keys:
    """The blocks of keys (or values) that the tiles of a band share; moves down the map (C, h, w).

    A block is side x side pixels, side = TILE + window - 1. Kept column by column, neighbouring blocks of a
    row of tiles overlap in memory as they do in the image, so the products read them with no copy in between.
    Every row of the map is loaded once; the rows that the next band sees too are carried over. Buffers are
    made once, since fresh pages cost as much as the work done in them.

    Args:
        x: the map.
        planes: from _planes, shared by all.
        window: side of the neighbourhood.
        memory: of another _Keys of the same size, to put the blocks in; the two then take turns.
    """

    def __init__(self, x: Tensor, planes: Tensor, window: int, memory: Tensor | None = None) -> None:
        channels, height, width = planes.shape
        rows, across, side = height // TILE, _tiles_across(width, window), TILE + window - 1
        self._x, self._planes, self._height, self._halo = x, planes, height, window // 2
        self._pixels = x.new_zeros((height + window - 1, across * TILE, channels), dtype=_work_dtype(x))
        self._rows_of_tiles = self._pixels.unfold(0, side, TILE).transpose(2, 3)  # (rows, columns, side, C)
        spare = (side - TILE) * side * channels  # what the last block reads beyond the last column
        count = self._rows_of_tiles.numel()
        self.memory = x.new_zeros((count + spare,), dtype=_work_dtype(x)) if memory is None else memory
        self._columns = self.memory[:count].view(self._rows_of_tiles.shape)
        self._blocks = self.memory.as_strided(
            (rows * across, side * side, channels), (TILE * side * channels, channels, 1)
        )
        self._next_row = 0
        self._load(self._halo, self._halo)

    def advance(self) -> Tensor:
        """(tiles, side^2, C): the blocks of the next band; always one buffer, not to be written to."""
        if self._next_row > self._halo:
            self._pixels[: 2 * self._halo] = self._pixels[self._height :].clone()
        self._load(2 * self._halo, self._height)
        self._columns.copy_(self._rows_of_tiles)
        return self._blocks

    def _load(self, start: int, count: int) -> None:
        """Bring the map's next `count` rows to the pixels from row `start` on."""
        rows = self._x[:, self._next_row : self._next_row + count]
        self._next_row += count
        target = self._pixels[start : start + count, self._halo : self._halo + self._x.shape[2]]
        target[rows.shape[1] :] = 0
        for first in range(0, rows.shape[1], self._height):
            part = rows[:, first : first + self._height]
            planes = self._planes[:, : part.shape[1]].copy_(part)
            target[first : first + part.shape[1]] = planes.permute(1, 2, 0)


def _inside(key: Tensor, planes: Tensor, window: int) -> _Keys:
    """Keys of one channel of ones, and so 0 outside the image."""
    ones = key.new_ones((1, 1, 1)).expand(1, *key.shape[2:])
    return _Keys(ones, planes[:1], window)


def _mass(query_tiles: Tensor, blocks: Tensor, bias: Tensor, scale: float, inside: _Keys | None) -> Tensor:
    """(tiles, TILE^2, side^2): softmax of the scaled products over the window, 0 for other keys."""
    logits = torch.baddbmm(bias, query_tiles, blocks.transpose(1, 2), alpha=scale)
    if inside is not None:
        outside = inside.advance().transpose(1, 2) == 0  # (tiles, 1, side^2)
        # finite, so that a query of the ragged edge, whose window may be all outside, is not NaN
        logits = torch.where(outside, torch.finfo(logits.dtype).min + bias, logits)
    return logits.softmax(dim=-1)


def _window_bias(window: int, like: Tensor) -> Tensor:
    """(1, TILE^2, side^2): 0 where a key of the tile's block lies in the query's window, -inf elsewhere."""
    side = TILE + window - 1
    offset = torch.arange(side, device=like.device) - torch.arange(TILE, device=like.device).unsqueeze(1)
    near = (offset >= 0) & (offset < window)  # (TILE, side)
    both = near[:, None, :, None] & near[None, :, None, :]
    bias = torch.zeros(both.shape, dtype=_work_dtype(like), device=like.device)
    return bias.masked_fill_(~both, -torch.inf).view(1, TILE * TILE, side * side)


@_attend.register_fake
def _(query: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)


@torch.library.custom_op("vssbench::local_attention_backward", mutates_args=())
def _attend_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, window: int, scale: float, masked: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value; the softmax is computed again, band by band."""
    grads = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (query, key, value)]
    bias = _window_bias(window, query)
    planes = _planes(query, window)
    height = planes.shape[1]
    for n in range(query.shape[0]):
        queries, arriving = _Queries(query[n], planes, window), _Queries(grad[n], planes, window)
        keys, values = _Keys(key[n], planes, window), _Keys(value[n], planes, window)
        inside = _inside(key, planes, window) if masked else None
        key_total, value_total = _KeyTotal(key[n], height, window), _KeyTotal(value[n], height, window)
        for top in range(0, query.shape[2], height):
            blocks, grad_tiles = keys.advance(), arriving.load(top)
            mass = _mass(queries.load(top), blocks, bias, scale, inside)
            value_total.add(torch.bmm(mass.transpose(1, 2), grad_tiles))
            grad_mass = torch.bmm(grad_tiles, values.advance().transpose(1, 2))
            grad_logits = mass * (grad_mass - (mass * grad_mass).sum(dim=-1, keepdim=True)) * scale
            key_total.add(torch.bmm(grad_logits.transpose(1, 2), queries.tiles))
            torch.bmm(grad_logits, blocks, out=queries.tiles)
            queries.store(grads[0][n], top)
        grads[1][n] = key_total.inside()
        grads[2][n] = value_total.inside()
    return grads[0], grads[1], grads[2]


class _KeyTotal:
    """What all tiles give to the keys (or values) of their blocks, summed: the adjoint of _Keys.

    A block is cut into TILE x TILE parts; the parts at one place of their blocks do not overlap, so each is
    one add, in a fixed order: the gradient is the same in every run, which atomic adds would not give.
    """

    def __init__(self, x: Tensor, height: int, window: int) -> None:
        channels, *self._size = x.shape
        self._halo, self._row, self._rows = window // 2, 0, height // TILE
        self._across = _tiles_across(self._size[1], window)
        self._parts = -(-(TILE + window - 1) // TILE)
        rows = -(-self._size[0] // height) * self._rows + self._parts
        across = self._across + self._parts
        self._pixels = x.new_zeros((rows, TILE, across, TILE, channels), dtype=_work_dtype(x))

    def add(self, blocks: Tensor) -> None:
        """Add the next band's (tiles, side^2, C)."""
        side = TILE + 2 * self._halo
        columns = blocks.view(self._rows, self._across, side, side, -1)  # (rows, across, x, y, C)
        rows_first = columns.permute(0, 3, 1, 2, 4)  # (rows, y, across, x, C)
        for i in range(self._parts):
            for j in range(self._parts):
                part = rows_first[:, i * TILE : (i + 1) * TILE, :, j * TILE : (j + 1) * TILE]
                rows = self._pixels[self._row + i : self._row + i + self._rows]
                rows[:, : part.shape[1], j : j + self._across, : part.shape[3]] += part
        self._row += self._rows

    def inside(self) -> Tensor:
        """(C, h, w): what fell on the image; the rest went to the zeros around it."""
        pixels = self._pixels.flatten(2, 3).flatten(0, 1)[self._halo :, self._halo :]
        return pixels[: self._size[0], : self._size[1]].permute(2, 0, 1)


@_attend_backward.register_fake
def _(*inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    grads = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in inputs[1:4]]
    return grads[0], grads[1], grads[2]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001 (torch names them)
    query, key, value, ctx.window, ctx.scale, ctx.masked = inputs
    ctx.save_for_backward(query, key, value)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grads = _attend_backward(grad, *ctx.saved_tensors, ctx.window, ctx.scale, ctx.masked)
    return (*grads, None, None, None)


_attend.register_autograd(_differentiate, setup_context=_save)
