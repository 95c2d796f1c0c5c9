"""A method of one's own: segment every second frame, move the labels of the one between along the vectors."""

import numpy as np
import torch

from vssbench.ops.images import labels_from_logits, to_tensor
from vssbench.records import Method, Step


class EveryOther(Method):
    needs = frozenset({"motion"})

    def __init__(self, bench):
        self.network, self.device = bench.network("constant@1.0"), bench.device

    @torch.inference_mode()
    def step(self, frame):
        height, width = frame.rgb.shape[:2]
        if frame.motion is None or frame.index % 2 == 0:
            logits = self.network(to_tensor(frame.rgb, device=self.device))
            self.labels = labels_from_logits(logits, size=(height, width))
            return Step(labels=self.labels, kind="segment")
        y, x = np.indices((height, width)) + np.round(frame.motion.flow_px).astype(int).transpose(2, 0, 1)[::-1]
        self.labels = self.labels[y.clip(0, height - 1), x.clip(0, width - 1)]
        return Step(labels=self.labels, kind="move")


METHODS = {"every-other": EveryOther}
