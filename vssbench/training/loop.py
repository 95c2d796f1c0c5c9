"""The training loop: a pure function of seed and step, so that a resumed run goes on exactly where it stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vssbench.errors import StoreError, UsageError, WeightsError
from vssbench.training.augment import Augmentation, Sample, augment


class Samples(Protocol):
    """Anything with a length and items; loading may be lazy."""

    def __len__(self) -> int:
        """How many samples there are."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """One sample, not augmented."""
        ...


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast to train (AR-Seg on CamVid: Adam 1e-3, cosine, 100 epochs of batches of 8).

    Args:
        steps: optimiser steps.
        batch: samples a step.
        learning_rate: at the start; falls to 0 along a cosine.
        warmup_steps: over which the rate rises linearly first.
        seed: of sampling and augmentation.
        bfloat16: run the convolutions of forward and backward passes in bfloat16.
        checkpoint_every: steps between checkpoints.
        augmentation: of the samples.

    Raises: UsageError, when a number is out of range.
    """

    steps: int
    batch: int = 8
    learning_rate: float = 1e-3
    warmup_steps: int = 20
    seed: int = 0
    bfloat16: bool = False
    checkpoint_every: int = 100
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} of a schedule must be at least 1, got {getattr(self, name)}")
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning_rate of a schedule must be positive, got {self.learning_rate}")

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        cosine = 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * step / self.steps))))
        return self.learning_rate * warm * cosine


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Stacked samples on the training device: (N, T, 3, H, W), (N, H, W) or (N, T, H, W), and (N, H, W, 2) or None."""

    images: Tensor
    label: Tensor
    flow_px: Tensor | None


Loss = Callable[[Batch, int], Tensor]  # (batch, step) -> scalar
Progress = Callable[[int, int, float, float], None]  # (steps done, steps in all, mean loss, seconds a step)


def train(
    module: nn.Module,
    loss: Loss,
    samples: Samples,
    schedule: Schedule,
    *,
    checkpoint: Path,
    device: torch.device,
    identity: str = "",
    progress: Progress | None = None,
) -> None:
    """Minimise `loss` over `samples`, changing `module` in place; resume from `checkpoint` where it exists.

    Args:
        module: holds the trainable parameters (those with requires_grad).
        loss: the scalar to minimise; it calls the module itself.
        checkpoint: a safetensors file with weights, optimiser state and step, replaced atomically.
        identity: what else the result depends on (data, loss); a checkpoint of another is refused.

    Sets torch's global seed at every step, so that dropout too falls the same way after a resume.

    Raises: WeightsError, when the checkpoint belongs to another network or schedule; StoreError, when it
        cannot be written.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=schedule.learning_rate, fused=True)
    first = _resume(checkpoint, module, optimiser, parameters, schedule, identity)
    module.train()
    losses: list[float] = []
    started = time.perf_counter()
    for step in range(first, schedule.steps):
        batch = _batch(samples, schedule, step, device)
        torch.manual_seed(schedule.seed * 1_000_003 + step)  # of dropout
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        with torch.autocast(device.type, torch.bfloat16, enabled=schedule.bfloat16):
            value = loss(batch, step)
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(value.detach()))
        done = step + 1
        if progress is not None:
            recent = losses[-50:]
            progress(
                done,
                schedule.steps,
                sum(recent) / len(recent),
                (time.perf_counter() - started) / (done - first),
            )
        if done % schedule.checkpoint_every == 0 or done == schedule.steps:
            _save(checkpoint, module, optimiser, parameters, schedule, identity, done)
    module.eval()


def _batch(samples: Samples, schedule: Schedule, step: int, device: torch.device) -> Batch:
    """The batch of a step: each epoch is a permutation drawn from (seed, epoch), each variant from (seed, step)."""
    drawn: list[Sample] = []
    generator = torch.Generator().manual_seed(schedule.seed * 1_000_003 + step)
    for place in range(step * schedule.batch, (step + 1) * schedule.batch):
        epoch, position = divmod(place, len(samples))
        order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(schedule.seed * 7919 + epoch))
        drawn.append(augment(samples[int(order[position])], schedule.augmentation, generator=generator))
    flows = [s.flow_px for s in drawn if s.flow_px is not None]
    return Batch(
        images=torch.stack([s.images for s in drawn]).to(device),
        label=torch.stack([s.label for s in drawn]).to(device),
        flow_px=torch.stack(flows).to(device) if flows else None,
    )


def _save(
    path: Path,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    parameters: Sequence[Tensor],
    schedule: Schedule,
    identity: str,
    step: int,
) -> None:
    tensors = {f"module.{k}": v.detach().cpu().contiguous().clone() for k, v in module.state_dict().items()}
    for i, parameter in enumerate(parameters):
        for name, value in optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser.{i}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous().clone()
    metadata = {"step": str(step), "schedule": json.dumps(asdict(schedule), sort_keys=True), "identity": identity}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        save_file(tensors, partial, metadata)
        partial.replace(path)
    except (OSError, SafetensorError) as error:  # safetensors wraps what the system says in its own
        raise StoreError(f"cannot write the checkpoint {path}: {error}; choose a folder you may write") from error


def _resume(
    path: Path,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    parameters: Sequence[Tensor],
    schedule: Schedule,
    identity: str,
) -> int:
    """Load a checkpoint into module and optimiser; the step to go on with, 0 where there is none."""
    if not path.exists():
        return 0
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        if metadata["identity"] != identity:
            raise WeightsError(f"{path} was trained by another recipe or on other data; delete it to start afresh")
        came = json.loads(metadata["schedule"])
        wanted: dict[str, Any] = json.loads(json.dumps(asdict(schedule)))
        if came != wanted:
            differing = sorted(k for k in wanted if came.get(k) != wanted[k])
            raise WeightsError(
                f"{path} was trained with other settings ({', '.join(differing)}); delete it to start afresh, "
                "or resume with the settings it was started with"
            )
        module.load_state_dict({k[7:]: v for k, v in tensors.items() if k.startswith("module.")})
        for i, parameter in enumerate(parameters):
            prefix = f"optimiser.{i}."
            state = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
            optimiser.state[parameter] = {k: _placed_like(v, parameter) for k, v in state.items()}
        return int(metadata["step"])
    except (OSError, SafetensorError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} is no checkpoint of this network: {error}; delete it to start afresh") from error


def _placed_like(value: Tensor, parameter: Tensor) -> Tensor:
    """A moment in the memory layout of its parameter, without which fused Adam pairs the wrong elements."""
    if value.shape != parameter.shape:  # "step"
        return value.to(parameter.device)
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
