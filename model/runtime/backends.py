"""What computes the answers: onnxruntime on the CPU, or torch on a CPU or a CUDA device."""

from importlib.util import find_spec
from typing import Literal

from model.artifact import Artifact
from model.errors import ArtifactError
from model.runtime.mixture_predictor import MixturePredictor
from model.runtime.network import Network
from model.runtime.onnx_network import OnnxNetwork

Backend = Literal["auto", "onnx", "torch"]
Device = Literal["auto", "cpu", "cuda"]


def load_predictor(
    artifact: Artifact,
    *,
    backend: Backend = "auto",
    device: Device = "auto",
    num_threads: int = 1,
) -> MixturePredictor:
    """Return a predictor of the artifact.

    `auto` takes torch where there is a CUDA device that may be used, else the graph of the artifact,
    else torch on the CPU.

    Raises
    ------
    ArtifactError
        If the backend or the device is not there, or the artifact has no graph for it.

    Examples
    --------
    `artifact` is the directory of one:

    >>> from model.artifact import load_artifact
    >>> predictor = load_predictor(load_artifact(artifact), device="cpu")
    >>> predictor.artifact.manifest.name
    'tiny'
    """
    return MixturePredictor(artifact, _network(artifact, backend, device, num_threads))


def _network(artifact: Artifact, backend: Backend, device: Device, num_threads: int) -> Network:
    has_torch = find_spec("torch") is not None
    if backend == "torch" and not has_torch:
        raise ArtifactError(
            "torch is not installed; choose --backend onnx or install lacuna[torch]"
        )
    if device == "cuda" and (backend == "onnx" or not has_torch):
        raise ArtifactError("a CUDA device is used by torch only; choose --backend torch")
    # torch takes seconds to import: only where it may be used.
    if backend == "torch" or (backend == "auto" and has_torch and device != "cpu"):
        has_gpu = _has_gpu()
        if device == "cuda" and not has_gpu:
            raise ArtifactError("no CUDA device was found; choose --device cpu or auto")
        if has_gpu and device != "cpu":
            return _torch_network(artifact, "cuda", num_threads)
    if backend == "torch" or (backend == "auto" and artifact.onnx is None and has_torch):
        return _torch_network(artifact, "cpu", num_threads)
    return OnnxNetwork.load(artifact, num_threads=num_threads)


def _has_gpu() -> bool:
    import torch  # noqa: PLC0415

    return torch.cuda.is_available()


def _torch_network(artifact: Artifact, device: str, num_threads: int) -> Network:
    import torch  # noqa: PLC0415

    from model.runtime.torch_network import TorchNetwork  # noqa: PLC0415

    torch.set_num_threads(num_threads)
    return TorchNetwork.load(artifact, device=device)
