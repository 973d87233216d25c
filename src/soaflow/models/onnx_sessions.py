"""An ONNX model as a callable, run by onnxruntime on the calling thread.

The invariant: a session starts no thread and writes no file. onnxruntime's builds from PyPI start a thread
and a database in the home folder for telemetry when they are imported, unless the environment says no.
"""

import os
from pathlib import Path
from typing import Any

from soaflow.soa.tensor_library import TensorLibrary, torch_library

_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"


class OnnxSession:
    """A model that onnxruntime runs on the CPU, on one thread.

    Parameters
    ----------
    model
        Its file, or its bytes.
    tensors
        The library of the tensors that it takes and returns; torch's by default.

    Raises
    ------
    RuntimeError
        Or another error of onnxruntime's, if it cannot run the model.
    """

    def __init__(self, model: Path | bytes, tensors: TensorLibrary | None = None) -> None:
        onnxruntime = onnxruntime_without_telemetry()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 4  # errors are raised; onnxruntime would print them too
        source = model if isinstance(model, bytes) else str(model)
        self._session: Any = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self._tensors = tensors or torch_library()
        self._names = [entry.name for entry in self._session.get_inputs()]

    def __call__(self, *inputs: Any) -> list[Any]:
        """Run the model.

        Parameters
        ----------
        inputs
            On the CPU and contiguous, which onnxruntime reads where they are.

        Returns
        -------
        list
            The outputs, in memory of onnxruntime's.

        Raises
        ------
        ValueError
            If an input is not contiguous: onnxruntime's binding would copy it unseen.
        """
        for tensor in inputs:
            if not tensor.is_contiguous():
                raise ValueError(f"an input of sizes {list(tensor.shape)} is not contiguous")
        values = {name: tensor.numpy() for name, tensor in zip(self._names, inputs, strict=True)}
        return [self._tensors.from_array(result) for result in self._session.run(None, values)]


def onnxruntime_without_telemetry() -> Any:
    """Import onnxruntime, and return the module."""
    os.environ[_NO_TELEMETRY] = "1"
    import onnxruntime  # noqa: PLC0415  after the environment that it reads

    return onnxruntime
