"""The network as an ONNX graph on the CPU: numpy and onnxruntime, no torch."""

import os
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Float

from model.artifact import Artifact
from model.config import LatentODEConfig
from model.data.batch import Batch
from model.errors import ArtifactError
from model.runtime.network import NetworkOutput

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_MAX_QUERIES = 2**11


@final
class OnnxNetwork:
    """Runs the graph of an artifact."""

    def __init__(self, config: LatentODEConfig, session: "InferenceSession") -> None:
        self._config = config
        self._session = session
        self._inputs = [one.name for one in session.get_inputs()]

    @classmethod
    def load(cls, artifact: Artifact, *, num_threads: int = 1) -> "OnnxNetwork":
        """Open the graph of an artifact.

        Raises
        ------
        ArtifactError
            If the artifact has no graph, or onnxruntime cannot read it.
        """
        if artifact.onnx is None:
            raise ArtifactError(
                "the artifact has no model.onnx; fit or export it again, or choose --backend torch"
            )
        return cls.of_graph(artifact.config, artifact.onnx, num_threads=num_threads)

    @classmethod
    def of_graph(
        cls, config: LatentODEConfig, graph: bytes, *, num_threads: int = 1
    ) -> "OnnxNetwork":
        """Open a graph that `export_onnx` made; raises `ArtifactError` if it cannot be read."""
        return cls(config, _session(graph, num_threads))

    @property
    def config(self) -> LatentODEConfig:
        """The architecture of the network."""
        return self._config

    @property
    def computed_by(self) -> str:
        """What computes it."""
        return "onnxruntime on cpu"

    @property
    def max_queries(self) -> int:
        """Where the arrays of a run still lie in the processor's cache."""
        return _MAX_QUERIES

    def run(
        self, batch: Batch[np.ndarray], noise: Float[np.ndarray, "draw 1 latent"]
    ) -> NetworkOutput:
        """Answer every query of the batch; see `Network`."""
        arrays = {**batch.arrays(), "noise": noise.astype(np.float32)}
        # The exporter leaves out what the network does not read.
        return NetworkOutput(
            *self._session.run(None, {name: arrays[name] for name in self._inputs})
        )


def _session(graph: bytes, num_threads: int) -> "InferenceSession":
    # Read when onnxruntime is first imported: nothing may leave the hospital.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # Imported here: it is part of no other backend.
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    # Planned for one set of shapes; ours differ from request to request.
    options.enable_mem_pattern = False
    # A thread that waits in a loop takes the processor from the ones that answer.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime raises classes of its C++ side without a common public base.
        raise ArtifactError(f"onnxruntime cannot open model.onnx: {error}") from error
