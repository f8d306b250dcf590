"""Between arrays on the host, where a search decides, and tensors where the states are."""

import numpy as np
import torch
from torch import Tensor


def to_host(tensor: Tensor) -> np.ndarray:
    """Return a tensor without its gradient."""
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array


def to_device(values: np.ndarray, like: Tensor) -> Tensor:
    """Return numbers in the precision and on the device of a state."""
    return torch.from_numpy(values).to(like)


def as_given(values: np.ndarray, like: Tensor) -> Tensor:
    """Return indices, masks or times on the device of a state, in their own precision."""
    return torch.from_numpy(values).to(like.device)
