"""Where tensors live."""

import torch


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` is CUDA where there is one.

    Raises
    ------
    ValueError
        If CUDA is asked for and this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "no CUDA device was found; use --device cpu, or auto to take what there is"
        )
    return torch.device(name)
