"""What of a non-key frame's multiply-adds is fusion, by hand; and how the paper's Table 3 adds them up.

`vssbench.complexity` counts what is executed; this says what should come out, term by term.
"""

from __future__ import annotations

from arseg.fusions import GLOBAL_SCALE
from arseg.options import Options


def fusion_macs(options: Options, *, channels: int, size: tuple[int, int]) -> dict[str, int]:
    """Multiply-adds of a fusion, without biases, softmax, warp, resizes and sums, as the paper counts.

    With P pixels, K keys of the global attention and k the window: encoders 27 C P, ungrouped 27 C^2 P; local
    attention 2 k^2 C P, no border correction; global attention 2 K C P; convolution 18 C^2 P. The released global
    attention has projections of the queries and of the result, 2 C^2 P, and of keys and values, 2 C^2 K.

    Args:
        options: of the fusion.
        channels: C of the fused maps.
        size: (height, width) of the key frame's map.

    Returns: term -> MACs, of "encoders", "attention", "projections", "convolution"; only those that there are.
    """
    pixels = size[0] * size[1]
    if options.fusion in ("none", "warp"):
        return {}
    if options.fusion == "convolution":
        return {"convolution": 9 * 2 * channels * channels * pixels}
    terms = {"encoders": 3 * 9 * (1 if options.grouped else channels) * channels * pixels}
    if options.fusion == "local":
        return {**terms, "attention": 2 * options.window**2 * channels * pixels}
    keys = max(1, size[0] // GLOBAL_SCALE) * max(1, size[1] // GLOBAL_SCALE)
    terms["attention"] = 2 * keys * channels * pixels
    if options.fusion == "global-release":
        terms["projections"] = 2 * channels * channels * (pixels + keys)
    return terms


def printed_macs(
    options: Options, *, high: float, branch: float, fusion: float, classifier: float, gop_length: int = 12
) -> float:
    """Multiply-adds of a frame as Table 3 prints them (its "GFLOPs").

    A mean over the GOP of one key frame and L - 1 others, but for two rows: "before N_task" and "before N_feat" are
    those of one non-key frame, to which the mean over the GOP of the classifier's term was added. Without a branch
    nothing but the key frame counts, not the classifier either; and without a fusion the branch's own classifier does.

    Args:
        options: of the row, see `arseg.options.TABLE_3`.
        high: of the key frame.
        branch: what of another frame is network: the whole low-resolution network, its final layer included; where
            fused earlier, its head at low and its tail at full resolution, final layer included.
        fusion: sum of `fusion_macs`.
        classifier: the final layer at full less that at low resolution, C n (P - p), n = 11 (the network has 12); the
            rows of L = 15, 20 and 30 leave it out.
        gop_length: L.
    """
    others = gop_length - 1
    if not options.has_branch:
        return high / gop_length
    if options.fusion == "none":
        return (high + others * branch) / gop_length
    if options.location != "final":
        return branch + fusion + others / gop_length * classifier
    return (high + others * (branch + fusion + classifier)) / gop_length
