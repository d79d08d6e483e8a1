"""What must not be computed in 16 bits: losses, features that are compared, small networks with a state."""

import torch
from torch import Tensor


def at_least_fp32(tensor: Tensor) -> Tensor:
    """16-bit numbers and integers in fp32; fp32 and fp64 as they are, so that a run in double precision stays one."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
