"""The model as one callable, whatever executes it.

The invariant: each backend takes the input tensors in the signature's order, hands the same tensors
to its `program`, but for those that it says it `copies`, and returns a list of output tensors. `program`
is the last Python call before the model's own code, so whoever replaces it with a watcher sees what
reaches the model.

Artifacts run native code and old TorchScript files may unpickle: both are verified against their
passport's SHA-256 before they are opened. `torch._inductor` is never imported: it costs seconds, and
the raw loader needs none of it. Torch itself is imported by what runs in it alone.
"""

import math
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soaflow.archives import AOT, FAT, JIT, ONNX
from soaflow.errors import ArtifactError
from soaflow.infer.artifacts import verified_passport
from soaflow.infer.tensors import Outputs
from soaflow.models.onnx_sessions import OnnxSession
from soaflow.models.packages import MODEL_IN_PACKAGE, load_package
from soaflow.soa.calls import call_rows, check_inputs
from soaflow.soa.contract import STORED, inner_sizes
from soaflow.soa.layout import ItemKind
from soaflow.soa.mapping import UNTOUCHED, blob_in_memory
from soaflow.soa.signature import Signature
from soaflow.soa.tensor_library import Tensor, TensorLibrary, numpy_library, torch_library
from soaflow.verification import chosen_target

if TYPE_CHECKING:
    from torch import nn


class Backend:
    """A model that can be called; the base of all backends.

    Parameters
    ----------
    program
        The last Python call before the model's own code. It takes the input tensors one by one.
    check
        Raises `ContractError` for inputs that the artifact must not be given; None for a model that
        takes any. `Backend.check` calls it.
    source_sha256
        Of the artifact's file, or of the weights'; empty for a model that is from no file.
    tensors
        The library of the tensors that it takes and returns; torch's by default.

    Attributes
    ----------
    copies
        Names of the inputs that do not reach the program as they are given.
    """

    copies: tuple[str, ...] = ()

    def __init__(
        self,
        program: Callable[..., object],
        check: Callable[[Sequence[Tensor]], None] | None = None,
        source_sha256: str = "",
        tensors: TensorLibrary | None = None,
    ) -> None:
        self.program = program
        self.source_sha256 = source_sha256
        self.tensors = tensors or torch_library()
        self._check = check

    def __call__(self, inputs: Sequence[Tensor]) -> list[Any]:
        """Run the model.

        Parameters
        ----------
        inputs
            In the signature's order.

        Returns
        -------
        list
            What the model returns, in its order; `soaflow.soa.contract.check_outputs` tells whether that
            is the tensors it must return.

        No call is checked here: see `check`.
        """
        results = self.run(inputs)
        return list(results) if isinstance(results, list | tuple) else [results]

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Check the inputs of a call against the artifact's contract.

        Batches of the same tensors differ in their rows only, so a job needs to check but one call of each
        number of rows.

        Raises
        ------
        ContractError
            If they do not hold it.
        """
        if self._check is not None:
            self._check(inputs)

    def run(self, inputs: Sequence[Tensor]) -> object:
        """Call the program with the inputs."""
        return self.program(*inputs)

    def run_batch(self, inputs: Sequence[Tensor], outputs: Outputs, begin: int, end: int) -> float:
        """Run the model on a batch and put its outputs into the rows from `begin` to before `end`.

        Returns
        -------
        float
            Seconds that this took after the model's return: 0 for an artifact that stores its outputs itself.

        Raises
        ------
        ModelError
            If the outputs are not those of the signature, or do not fit their items.
        """
        results = self(inputs)
        returned = time.perf_counter()
        outputs.write(results, begin, end)
        return time.perf_counter() - returned


class AotBackend(Backend):
    """An AOTInductor artifact, whose program takes one list.

    Parameters
    ----------
    program, check, source_sha256, tensors
        As of `Backend`.
    given
        Makes of the tensors of a call the list that the program takes: views of the same memory.
    """

    def __init__(
        self,
        program: Callable[..., object],
        check: Callable[[Sequence[Tensor]], None],
        source_sha256: str = "",
        tensors: TensorLibrary | None = None,
        *,
        given: Callable[[Sequence[Tensor]], list[Any]] = list,
    ) -> None:
        super().__init__(program, check, source_sha256, tensors)
        self._given = given

    def run(self, inputs: Sequence[Tensor]) -> object:
        """Call the program with the list of inputs."""
        return self.program(self._given(inputs))


class CopyingBackend(Backend):
    """An artifact that takes row-major tensors: what is not so already is copied, and named in `copies`.

    Attributes
    ----------
    copy
        Takes the tensors as they are given, and returns those for the program.
    """

    def __init__(
        self,
        program: Callable[..., object],
        check: Callable[[Sequence[Tensor]], None],
        source_sha256: str,
        signature: Signature,
        tensors: TensorLibrary | None = None,
    ) -> None:
        super().__init__(program, check, source_sha256, tensors)
        self.copies = copied_inputs(signature)
        self._is_copied = [spec.name in self.copies for spec in signature.inputs]
        self.copy: Callable[[Sequence[Tensor]], Sequence[Tensor]] = self._row_major

    def run(self, inputs: Sequence[Tensor]) -> object:
        """Copy the inputs, and call the program with the copies one by one."""
        return self.program(*self.copy(inputs))

    def _row_major(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        pairs = zip(inputs, self._is_copied, strict=True)
        return [self.tensors.row_major(tensor) if copied else tensor for tensor, copied in pairs]


def copied_inputs(signature: Signature) -> tuple[str, ...]:
    """Return the names of the inputs whose views are not row-major: all but those of one number a row."""
    return tuple(
        spec.name
        for spec in signature.inputs
        if spec.layout[spec.items[0]].kind is ItemKind.SCALAR
        or math.prod(inner_sizes(spec.layout[spec.items[0]], len(spec.items))) > 1
    )


class StoringBackend(AotBackend):
    """An AOTInductor artifact that stores its outputs in tensors that follow its inputs."""

    def __init__(
        self,
        program: Callable[..., object],
        check: Callable[[Sequence[Tensor]], None],
        source_sha256: str,
        signature: Signature,
        tensors: TensorLibrary | None = None,
        *,
        given: Callable[[Sequence[Tensor]], list[Any]] = list,
    ) -> None:
        super().__init__(program, check, source_sha256, tensors, given=given)
        self._signature = signature

    def __call__(self, inputs: Sequence[Tensor]) -> list[Any]:
        """Run the model with memory of this call's own for the outputs, and return them."""
        rows = call_rows(self._signature, inputs)
        blob = blob_in_memory(self._signature.output_layout.place(rows))
        blob.buffer[:] = bytes([UNTOUCHED]) * len(blob.buffer)
        outputs = Outputs.mapped(self._signature, blob, self.tensors).rows(0, rows)
        self.run([*inputs, *outputs])
        return outputs

    def run_batch(self, inputs: Sequence[Tensor], outputs: Outputs, begin: int, end: int) -> float:
        """Run the model on a batch, which stores its outputs in their rows; nothing is left to do."""
        self.run([*inputs, *outputs.rows(begin, end)])
        return 0.0


def eager(
    model: "nn.Module",
    dtype: str,
    device: str = "cpu",
    *,
    names: Sequence[str] | None = None,
    weights_sha256: str = "",
) -> Backend:
    """Return a Python module as a backend that computes in `dtype`.

    Parameters
    ----------
    model
        With its weights.
    dtype
        Such as `"float64"`.
    device
        `"cpu"` or `"cuda"`.
    names
        Of the inputs in the order of the call; see `soaflow.models.precision.forward_inputs`.
    weights_sha256
        Of the file that the weights were read from, if they were.

    Raises
    ------
    ModelError
        If the model does not take inputs of these names in this order.
    """
    import torch  # noqa: PLC0415  not in every job

    from soaflow.models.precision import InPrecision  # noqa: PLC0415  loads torch

    program = InPrecision(model, getattr(torch, dtype), names).eval().to(device)
    return Backend(program, source_sha256=weights_sha256)


def jit(
    path: Path | str, signature: Signature, device: str = "cpu", *, accept: Collection[str] = ()
) -> Backend:
    """Load a TorchScript artifact.

    Parameters
    ----------
    path
        Of the artifact; its passport lies beside it.
    signature
        Of the job; the artifact's must be the same.
    device
        `"cpu"` or `"cuda"`.
    accept
        What need not fit; see `soaflow.verification.verify_artifact`.

    Raises
    ------
    ArtifactError
        If the artifact is corrupt, is another than its passport's, does not fit this machine, or has
        another signature.
    """
    from soaflow.models.torchscript import load_torchscript  # noqa: PLC0415  loads torch, as not every job does

    passport = verified_passport(path, signature, (JIT,), accept)
    return Backend(load_torchscript(path, device), partial(check_inputs, signature), passport.sha256)


def aot(
    path: Path | str,
    signature: Signature,
    device: str = "cpu",
    *,
    accept: Collection[str] = (),
    without_torch: bool = False,
) -> Backend:
    """Load an AOTInductor artifact, which takes milliseconds.

    Of a fat artifact only the target is unpacked and loaded that suits this CPU best.

    Parameters
    ----------
    path
        Of the artifact; its passport lies beside it.
    signature
        Of the job; the artifact's must be the same.
    device
        `"cpu"` or `"cuda"`.
    accept
        What need not fit; see `soaflow.verification.verify_artifact`.
    without_torch
        Whether calls take arrays, on the CPU, and torch is not imported.

    Raises
    ------
    ArtifactError
        If the artifact is corrupt, is another than its passport's, does not fit this machine, or has
        another signature.
    """
    passport = verified_passport(path, signature, (AOT, FAT), accept)
    name = chosen_target(passport) if passport.description.kind == FAT else MODEL_IN_PACKAGE
    check = partial(check_inputs, signature)
    program: Callable[..., object]
    given: Callable[[Sequence[Tensor]], list[Any]]
    if without_torch:
        from soaflow.models.libtorch import LibTorchPackage, libtorch_tensors  # noqa: PLC0415  not in every job

        program, given, tensors = LibTorchPackage(path, name), libtorch_tensors, numpy_library()
    else:
        program, given, tensors = load_package(path, device, name), list, torch_library()
    if passport.description.contract["outputs_are"] == STORED:
        computed = signature.computed_in(passport.description.dtype)
        return StoringBackend(program, check, passport.sha256, computed, tensors, given=given)
    return AotBackend(program, check, passport.sha256, tensors, given=given)


def onnx(path: Path | str, signature: Signature, *, without_torch: bool = False) -> Backend:
    """Load an ONNX artifact in onnxruntime, on the CPU; inputs are copied into row-major tensors.

    Parameters
    ----------
    path
        Of the artifact; its passport lies beside it.
    signature
        Of the job; the artifact's must be the same.
    without_torch
        Whether calls take arrays, and torch is not imported.

    Raises
    ------
    ArtifactError
        If the artifact is corrupt, is another than its passport's, has another signature, or onnxruntime
        cannot run it.
    """
    passport = verified_passport(path, signature, (ONNX,), ())
    tensors = numpy_library() if without_torch else torch_library()
    try:
        program = OnnxSession(Path(path), tensors)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"{path} cannot be run by onnxruntime: {reason}; export it again") from error
    return CopyingBackend(program, partial(check_inputs, signature), passport.sha256, signature, tensors)
