"""Multi-scale deformable attention (MSDA; Zhu et al., ICLR 2021), done at chosen points alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.errors import ShapeError, UsageError

Normalise = Literal["per head", "all"]
EXPANSION = 4  # of the channels inside the feed-forward network
# queries: on a CPU as many as its caches hold the taps of, else many, since a GPU wants few launches
_AT_ONCE = {"cpu": 1024, "other": 32768}


class DeformableAttention(nn.Module):
    """Sum over heads of W_m [sum over levels and points of A x W'_m x^l(p)] (TFC, Eqs. 9 and 10).

    A linear layer on the query gives the offsets of the points p from the reference, in pixels of their level, another
    the weights A. Outside a level there is nothing: neither value nor bias, as with zero padding after W'_m.

    The maps are read first and W'_m comes after, which is the same since both are linear: for every head the weighted
    sum of the maps' own channels, then its D / M rows of W'. So there is no work that the number of points does not
    scale, as in the paper's O(N_q D^2 + 5 N_q K D + 3 N_q D K). Deformable DETR's program projects the whole maps
    first, and then reads D / M channels a head in place of all D. At 480x853, D = 256, 8 heads, 4 levels, 4 points
    (25 680 queries at 1/4, 34 125 places in the levels), in GMAC without the feed-forward network: 0.09 at 1 % of the
    queries, 0.93 at 10 %, 9.26 at 100 %; with the maps first 2.28, 2.70 and 6.86, of which 2.24 are for the maps
    whatever the share. The two meet at 48 %; the paper's share is 10 %.

    Each level is read by one weighted `embedding_bag`, whose rows are the four pixels around each point: the bilinear
    samples of `grid_sample` (a test), summed while they are read. `grid_sample` writes all M L K D of a query out,
    131 kB, and takes 6 to 7 times as long on one core (454 against 64 ms for 10 % of the queries); reading projected
    maps with it takes 218 ms. It counts as a warp: D MACs for each of the 4 M L K pixels.

    Args:
        channels: D, of queries and results; a multiple of `heads`.
        level_channels: of each level, which then has a W' of its own; None where each has D and all share one.
        heads, levels, points: M, L, and K of each head and level.
        normalise: over what the weights sum to 1: "per head" over levels and points (Deformable DETR), "all" over
            heads, levels and points (TFC's text, which makes the result M times smaller to begin with).
    """

    def __init__(
        self,
        channels: int,
        *,
        level_channels: Sequence[int] | None = None,
        heads: int = 8,
        levels: int = 4,
        points: int = 4,
        normalise: Normalise = "per head",
    ) -> None:
        super().__init__()
        if min(channels, heads, levels, points) < 1 or channels % heads:
            raise ShapeError(
                f"deformable attention needs channels in equal parts for its heads, and levels and points: "
                f"{channels = }, {heads = }, {levels = }, {points = }"
            )
        if level_channels is not None and len(level_channels) != levels:
            raise ShapeError(f"one number of channels for each of {levels} levels, got {tuple(level_channels)}")
        if normalise not in ("per head", "all"):
            raise UsageError(f"normalise must be 'per head' or 'all', got {normalise!r}")
        self.channels, self.heads, self.points, self.normalise = channels, heads, points, normalise
        self.level_channels = (channels,) * levels if level_channels is None else tuple(level_channels)
        self.offsets = nn.Linear(channels, heads * levels * points * 2)
        self.weights = nn.Linear(channels, heads * levels * points)
        of_a_value = (channels,) if level_channels is None else self.level_channels
        self.values = nn.ModuleList(nn.Linear(c, channels) for c in of_a_value)
        self.output = nn.Linear(channels, channels)
        self.reset()

    def reset(self) -> None:
        """As released: head m looks in direction m of a ring, point k goes k pixels out, all weights are alike."""
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        angle = torch.arange(self.heads, dtype=torch.float32) * (2 * math.pi / self.heads)
        direction = torch.stack((angle.cos(), angle.sin()), dim=-1)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)  # onto the square of side 2
        steps = torch.arange(1, self.points + 1, dtype=torch.float32)
        ring = direction.view(-1, 1, 1, 2) * steps.view(-1, 1)  # (M, 1, K, 2)
        with torch.no_grad():
            self.offsets.bias.copy_(ring.expand(-1, len(self.level_channels), -1, -1).reshape(-1))
        for layer in (*self.values, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, queries: Tensor, reference: Tensor, levels: Sequence[Tensor]) -> Tensor:
        """What each query finds around its reference point.

        Args:
            queries: (N, Q, D).
            reference: (N, Q, 2), (x, y) from 0 to 1 across the image; pixel i of w is at (i + 0.5) / w.
            levels: L maps (N, C_l, h_l, w_l); read in place where they lie in channels-last order, as a transposed
                sequence of tokens does, and copied into it otherwise.

        Returns: (N, Q, D).
        Raises: ShapeError, when the arguments do not fit one another or the module.
        """
        if queries.ndim != 3 or reference.shape != (*queries.shape[:2], 2):
            raise ShapeError(
                f"queries (N, Q, D) need references (N, Q, 2), got {tuple(queries.shape)} and {tuple(reference.shape)}"
            )
        num, count, _ = queries.shape
        _check_samples("queries", num, levels)
        sample = torch.arange(num, device=queries.device).repeat_interleave(count, output_size=num * count)
        found = self.at_points(queries.flatten(0, 1), reference.flatten(0, 1), sample, levels)
        return found.view(num, count, self.channels)

    def at_points(self, queries: Tensor, reference: Tensor, sample: Tensor, levels: Sequence[Tensor]) -> Tensor:
        """The same for queries in one row, however many a sample has: (P, D), (P, 2), (P,) whose n, -> (P, D)."""
        self._check(queries, levels)
        if queries.shape[0] == 0:
            return queries
        tables = [level.flatten(2).transpose(1, 2).contiguous() for level in levels]  # (N, h w, C_l)
        sizes = [(level.shape[-2], level.shape[-1]) for level in levels]
        wants_gradients = torch.is_grad_enabled() and any(
            x.requires_grad for x in (queries, reference, *levels, *self.parameters())
        )
        if wants_gradients:  # a backward pass keeps all taps anyhow, and of fewer channels where W' comes first
            return self._attend_projected(queries, reference, sample, tables, sizes)
        at_once = _AT_ONCE["cpu" if queries.device.type == "cpu" else "other"]
        parts = [
            self._attend(queries[some], reference[some], sample[some], tables, sizes)
            for some in (slice(start, start + at_once) for start in range(0, queries.shape[0], at_once))
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def sampling(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets (P, M, L, K, 2) in pixels of each level, and weights (P, M, L, K), of queries (P, D)."""
        shape = (self.heads, len(self.level_channels), self.points)
        offsets: Tensor = self.offsets(queries).view(-1, *shape, 2)
        logits: Tensor = self.weights(queries)
        if self.normalise == "per head":
            logits = logits.view(-1, self.heads, len(self.level_channels) * self.points)
        return offsets, logits.softmax(dim=-1).view(-1, *shape)

    def _attend(
        self,
        queries: Tensor,
        reference: Tensor,
        sample: Tensor,
        tables: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
    ) -> Tensor:
        offsets, weights = self.sampling(queries)
        offsets = offsets.to(torch.promote_types(offsets.dtype, torch.float32))  # half types cannot hold a position
        read = [
            _read(table, size, reference, offsets[:, :, index], weights[:, :, index], sample)
            for index, (table, size) in enumerate(zip(tables, sizes, strict=True))
        ]
        if len(self.values) == 1:  # one W' for all levels: what they add up to is projected
            sums, masses = zip(*read, strict=True)
            read = [(_total(sums), _total(masses))]
        mixed = _total([self._project(layer, *each) for layer, each in zip(self.values, read, strict=True)])
        y: Tensor = self.output(mixed)
        return y

    def _attend_projected(
        self,
        queries: Tensor,
        reference: Tensor,
        sample: Tensor,
        tables: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
    ) -> Tensor:
        """The same by W' on the whole maps first: what training runs, as its gradients touch D / M channels a tap."""
        offsets, weights = self.sampling(queries)
        offsets = offsets.to(torch.promote_types(offsets.dtype, torch.float32))
        found = []
        for index, (table, size) in enumerate(zip(tables, sizes, strict=True)):
            layer = self.values[index if len(self.values) > 1 else 0]
            projected = F.linear(table, layer.get_parameter("weight"))  # (N, h w, D)
            read, mass = _read(
                projected, size, reference, offsets[:, :, index], weights[:, :, index], sample, heads=self.heads
            )
            found.append(read + mass.unsqueeze(-1) * layer.get_parameter("bias").view(self.heads, -1))
        y: Tensor = self.output(_total(found).flatten(1))
        return y

    def _project(self, layer: nn.Module, read: Tensor, mass: Tensor) -> Tensor:
        """Each head's rows of W' on its sum (P, M, C_l), the bias as often as weight fell inside, (P, M): (P, D)."""
        weight = layer.get_parameter("weight").view(self.heads, -1, read.shape[-1])  # (M, D / M, C_l)
        bias = layer.get_parameter("bias").view(self.heads, -1)
        heads = torch.bmm(read.transpose(0, 1), weight.transpose(1, 2)).transpose(0, 1)  # (P, M, D / M)
        return (heads + mass.unsqueeze(-1) * bias).flatten(1)

    def _check(self, queries: Tensor, levels: Sequence[Tensor]) -> None:
        if queries.shape[-1] != self.channels:
            raise ShapeError(f"queries of {self.channels} channels are needed, got {tuple(queries.shape)}")
        if tuple(level.shape[1] if level.ndim == 4 else -1 for level in levels) != self.level_channels:
            raise ShapeError(
                f"levels (N, C, h, w) of {self.level_channels} channels are needed, "
                f"got {[tuple(level.shape) for level in levels]}"
            )


class DeformableEncoderLayer(nn.Module):
    """One encoder layer of Deformable DETR: attention, then a feed-forward network, each added and then normalised.

    0.757 M parameters at D = 256, near the 0.7 M that TFC's Table 1 adds to every network (3.8 -> 4.5, 13.8 ->
    14.5, 82.1 -> 82.8 M; its rows allow 0.645 to 0.755 on our SegFormers). Without a code of places and without
    dropout, of which TFC says nothing: offsets and weights come of "a linear layer on top of" the feature itself.

    Args:
        channels, level_channels, heads, levels, points, normalise: as in `DeformableAttention`.
    """

    def __init__(
        self,
        channels: int,
        *,
        level_channels: Sequence[int] | None = None,
        heads: int = 8,
        levels: int = 4,
        points: int = 4,
        normalise: Normalise = "per head",
    ) -> None:
        super().__init__()
        self.attention = DeformableAttention(
            channels, level_channels=level_channels, heads=heads, levels=levels, points=points, normalise=normalise
        )
        self.norm1 = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, EXPANSION * channels)
        self.contract = nn.Linear(EXPANSION * channels, channels)
        self.norm2 = nn.LayerNorm(channels)

    def forward(self, queries: Tensor, reference: Tensor, levels: Sequence[Tensor]) -> Tensor:
        """Queries (N, Q, D), references and levels as in `DeformableAttention` -> (N, Q, D)."""
        return self.finish(queries, self.attention(queries, reference, levels))

    def update_points(self, features: Tensor, levels: Sequence[Tensor], index: Tensor) -> Tensor:
        """Run the layer at some points of a map and leave the others as they are; the map itself is not written to.

        The points of all samples make one row, so samples may have different numbers of them, without padding and
        without a loop. Indices are not looked at and nothing waits for a GPU; a mask has to be counted first, which
        does wait. With no points the features themselves come back.

        Args:
            features: (N, D, h, w).
            levels: L maps (N, C_l, h_l, w_l).
            index: (P,) int64, n h w + y w + x, each at most once; or a mask, (N, h, w) or (N, 1, h, w), bool.

        Returns: (N, D, h, w), in the memory order of the features.
        Raises: ShapeError, when index is neither; UsageError, for a mask on the meta device, which has no values.
        """
        height, width = features.shape[-2:]
        _check_samples("features", features.shape[0], levels)
        index = _points(index, features)
        if index.numel() == 0:
            return features
        sample = index.div(height * width, rounding_mode="floor")
        place = index - sample * (height * width)
        row = place.div(width, rounding_mode="floor")
        reference = torch.stack(((place - row * width + 0.5) / width, (row + 0.5) / height), dim=-1)
        pixels = features.flatten(2).transpose(1, 2)  # (N, h w, D), a view
        queries = pixels[sample, place]
        updated = self.finish(queries, self.attention.at_points(queries, reference, sample, levels))
        written = pixels.index_put((sample, place), updated.to(pixels.dtype))
        return written.transpose(1, 2).view(features.shape)

    def finish(self, queries: Tensor, attended: Tensor) -> Tensor:
        """All but the attention: (..., D) twice -> (..., D)."""
        x = self.norm1(queries + attended)
        y: Tensor = self.norm2(x + self.contract(self.expand(x).relu()))
        return y


def _check_samples(name: str, num: int, levels: Sequence[Tensor]) -> None:
    came = [level.shape[0] for level in levels]
    if any(n != num for n in came):
        raise ShapeError(f"{name} and levels of one number of samples are needed, got {num} and {came}")


def _points(index: Tensor, features: Tensor) -> Tensor:
    """A mask's or a list's points as a list, (P,)."""
    num, _, height, width = features.shape
    if index.dtype == torch.int64 and index.ndim == 1:
        return index
    if index.dtype != torch.bool or tuple(index.shape) not in ((num, height, width), (num, 1, height, width)):
        raise ShapeError(
            f"points are (P,) int64 or a mask over {(num, height, width)}, got {tuple(index.shape)} {index.dtype}"
        )
    if index.device.type == "meta":
        raise UsageError("a mask on the meta device has no values to count; give the points as (P,) int64")
    return index.flatten().nonzero().flatten()


def _total(parts: Sequence[Tensor]) -> Tensor:
    if len(parts) == 1:
        return parts[0]
    total = parts[0] + parts[1]
    for part in parts[2:]:
        total += part
    return total


def _read(
    table: Tensor,
    size: tuple[int, int],
    reference: Tensor,
    offsets: Tensor,
    weights: Tensor,
    sample: Tensor,
    *,
    heads: int = 1,
) -> tuple[Tensor, Tensor]:
    """The weighted sum of a level's bilinear samples, and how much of the weight fell inside.

    Args:
        table: (N, h w, C), contiguous.
        size: (h, w).
        reference: (P, 2), 0..1.
        offsets: (P, M, K, 2), pixels of this level.
        weights: (P, M, K).
        sample: (P,).
        heads: of which each reads its own C / heads channels; 1: all read all.

    Returns: (P, M, C / heads) and (P, M).
    """
    height, width = size
    column, across = _taps(offsets[..., 0] + (reference[:, 0] * width - 0.5).view(-1, 1, 1), width)
    line, down = _taps(offsets[..., 1] + (reference[:, 1] * height - 0.5).view(-1, 1, 1), height)
    if table.shape[0] > 1:
        line = line + (sample * height).to(line.dtype).view(-1, 1, 1, 1)
    row = (line * width).unsqueeze(-1) + column.unsqueeze(-2)  # (P, M, K, 2, 2)
    weight = (down * weights.unsqueeze(-1)).unsqueeze(-1) * across.unsqueeze(-2)
    weight = weight.to(table.dtype).flatten(2)  # (P, M, 4 K)
    if heads > 1:
        row = row * heads + torch.arange(heads, dtype=row.dtype, device=row.device).view(1, -1, 1, 1, 1)
        table = table.reshape(table.shape[0], -1, table.shape[-1] // heads)  # (N, h w M, C / M)
    read: Tensor = F.embedding_bag(
        row.flatten(2).flatten(0, 1), table.flatten(0, 1), mode="sum", per_sample_weights=weight.flatten(0, 1)
    )
    return read.view(*weight.shape[:2], -1), weight.sum(dim=-1)


def _taps(position_px: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The two pixels around each position, (..., 2) int32, and their bilinear weights: 0 for a pixel outside."""
    low = position_px.floor()
    share = position_px - low
    # positions far out, or NaN, whose integer is any, end at a pixel that exists
    first = low.clamp(-2, length).to(torch.int32)
    wanted = torch.stack((first, first + 1), dim=-1)
    pixel = wanted.clamp(0, length - 1)
    return pixel, torch.stack((1 - share, share), dim=-1).where(pixel == wanted, 0)
