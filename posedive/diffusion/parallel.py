"""One task on several workers: DDP keeps all of it on each, FSDP a share.

    distribute     a task -> what trains it; DDP's wrapper, or the task itself, sharded in place
    synchronised   gradients of some parts are added up before they are exchanged
    gathered       the task's weights whole, for a while
    whole, place_like   values to and from what a checkpoint holds, which is the same for both

Under FSDP (torch's fully_shard) weights, gradients, averages and the optimizer's moments are kept
in shares. The task is one group, whole during a step: the reference branch's tokens are read
through the denoiser's own projections, outside of its forward.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel


def num_workers() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def distribute(task: nn.Module, strategy: str, device: torch.device) -> nn.Module:
    """Moves `task` to `device` and makes it train on all workers of the process group.

    strategy: "ddp" or "fsdp"; all workers hold the same weights before. Take parameters for an
    optimizer afterwards.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    task.to(device)
    if num_workers() == 1:
        return task
    if strategy == "fsdp":
        frozen = {p for p in task.parameters() if not p.requires_grad}
        mesh = init_device_mesh(device.type, (num_workers(),))
        fully_shard(task, mesh=mesh, reshard_after_forward=True, ignored_params=frozen)
        return task
    # The reference branch's last layer ends at its norm: what follows it gets no gradient.
    return DistributedDataParallel(
        task,
        device_ids=[device] if device.type == "cuda" else None,
        find_unused_parameters=True,
    )


@contextmanager
def synchronised(wrapped: nn.Module, now: bool) -> Iterator[None]:
    """Around forward and backward; gradients are exchanged only where `now`."""
    if isinstance(wrapped, FSDPModule):
        wrapped.set_requires_gradient_sync(now)
    ddp = wrapped if isinstance(wrapped, DistributedDataParallel) else None
    with nullcontext() if ddp is None or now else ddp.no_sync():
        yield


@contextmanager
def gathered(task: nn.Module) -> Iterator[None]:
    """The task's weights whole on each worker. All enter and leave; in between each may run it,
    and its parts, alone."""
    if not isinstance(task, FSDPModule):
        yield
        return
    task.unshard()
    task.set_reshard_after_forward(False)
    try:
        yield
    finally:
        task.set_reshard_after_forward(True)
        task.reshard()


def whole(value: Any) -> Any:
    """A tensor, or what mappings and lists hold of them, with shares gathered to the CPU. All
    workers call it; other values come back as they are."""
    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    if isinstance(value, Mapping):
        return {key: whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [whole(each) for each in value]
    return value


def place_like(value: Any, like: Any) -> Any:
    """`value` with each tensor shared out as the one at its place in `like`; those that lie whole
    there, and what has no dimension (a step counter), come back as they are."""
    if isinstance(value, Mapping):
        return {key: place_like(each, like.get(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [place_like(each, other) for each, other in zip(value, like, strict=True)]
    if isinstance(like, DTensor) and isinstance(value, Tensor) and value.dim():
        there = value.to(like.device)
        return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)
    return value
