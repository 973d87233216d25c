"""AOTInductor packages run through libtorch's C interface, without torch's Python part.

What is called is what torch keeps stable for the libraries that it compiles: `aoti_torch/c/shim.h` and
`aoti_runtime/interface.h` in its folder `torch/csrc/inductor`. Loading libtorch takes 0.2 s, and importing
torch 1.2 to 2 s.

The invariant: a tensor that is given is a view of the caller's memory, and it is libtorch that answers for
its address, sizes and strides, so whoever watches `LibTorchTensor` sees what the compiled code will. A call
is as torch's own loader makes it: of one model, on the calling thread.
"""

import ctypes
import importlib.util
from collections.abc import Sequence
from ctypes import c_char_p, c_int32, c_int64, c_size_t, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from soaflow.archives import packed_library
from soaflow.claims import scratch_folder
from soaflow.models.packages import loading_error
from soaflow.soa.arrays import ArrayTensor
from soaflow.soa.tensor_library import Tensor, dtype_name

LIBRARY = "lib/libtorch_cpu.so"
"""In the folder of the package torch."""

_SET_THREADS = "_ZN2at15set_num_threadsEi"
"""`at::set_num_threads(int)`, of which there is no C form."""

_DTYPES = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "bfloat16", "float32", "float64"),
)

_POINTER_TO_HANDLE = ctypes.POINTER(c_void_p)
_SIZES = ctypes.POINTER(c_int64)


def torch_library_path() -> Path:
    """Return the path of libtorch, which is found without importing torch."""
    found = importlib.util.find_spec("torch")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / LIBRARY


class _LibTorch:
    """The functions of libtorch that are called."""

    def __init__(self) -> None:
        library = ctypes.CDLL(str(torch_library_path()))

        def function(name: str, *arguments: Any, result: Any = c_int32) -> Any:
            found = library[name]
            found.argtypes, found.restype = arguments, result
            return found

        self.create = function(
            "aoti_torch_create_tensor_from_blob",
            *(c_void_p, c_int64, _SIZES, _SIZES, c_int64, c_int32, c_int32, c_int32, _POINTER_TO_HANDLE),
        )
        self.delete = function("aoti_torch_delete_tensor_object", c_void_p)
        self.data_ptr = function("aoti_torch_get_data_ptr", c_void_p, _POINTER_TO_HANDLE)
        self.dim = function("aoti_torch_get_dim", c_void_p, _SIZES)
        self.sizes = function("aoti_torch_get_sizes", c_void_p, ctypes.POINTER(_SIZES))
        self.strides = function("aoti_torch_get_strides", c_void_p, ctypes.POINTER(_SIZES))
        self.dtype = function("aoti_torch_get_dtype", c_void_p, ctypes.POINTER(c_int32))
        self.cpu = int(function("aoti_torch_device_type_cpu")())
        self.codes = {name: int(function(f"aoti_torch_dtype_{name}")()) for name in _DTYPES}
        self.names = {code: name for name, code in self.codes.items()}
        function(_SET_THREADS, c_int32, result=None)(1)


@cache
def _libtorch() -> _LibTorch:
    """Load libtorch once, and let it run on the calling thread alone."""
    return _LibTorch()


def _checked(error: int, what: str) -> None:
    if error:
        raise RuntimeError(f"libtorch cannot {what}")


class LibTorchTensor:
    """A tensor of libtorch's, which is deleted with this object unless a call takes it.

    Parameters
    ----------
    handle
        Of libtorch's.
    memory
        That the tensor is a view of and that must outlive it; None for a tensor with memory of its own.
    """

    __slots__ = ("_handle", "_memory")

    def __init__(self, handle: int | None, memory: object = None) -> None:
        self._handle = handle
        self._memory = memory

    @classmethod
    def viewing(cls, tensor: Tensor) -> "LibTorchTensor":
        """Return a view of a tensor of another library."""
        torch, dimensions = _libtorch(), tensor.dim()
        handle, extents = c_void_p(), c_int64 * dimensions
        error = torch.create(
            *(tensor.data_ptr(), dimensions, extents(*tensor.shape), extents(*tensor.stride()), 0),
            *(torch.codes[dtype_name(tensor)], torch.cpu, 0, ctypes.byref(handle)),
        )
        _checked(error, "view a tensor")
        return cls(handle.value, tensor)

    def __del__(self) -> None:
        """Delete the tensor, and its memory if it is its own."""
        if self._handle is not None:
            _libtorch().delete(self.taken())

    @property
    def handle(self) -> int:
        """Of libtorch's.

        Raises
        ------
        ValueError
            If a call has taken it.
        """
        if self._handle is None:
            raise ValueError("the tensor was given to a call, and is no more")
        return self._handle

    def taken(self) -> int:
        """Return the handle to whoever will delete it; the tensor is then no more."""
        handle, self._handle = self.handle, None
        return handle

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes, rows first."""
        return self._extents(_libtorch().sizes)

    @property
    def dtype(self) -> str:
        """Name of the elements' dtype."""
        code = c_int32()
        _checked(_libtorch().dtype(self.handle, ctypes.byref(code)), "tell a tensor's dtype")
        return _libtorch().names[code.value]

    def stride(self) -> tuple[int, ...]:
        """Return the strides in elements."""
        return self._extents(_libtorch().strides)

    def dim(self) -> int:
        """Return the number of dimensions."""
        dimensions = c_int64()
        _checked(_libtorch().dim(self.handle, ctypes.byref(dimensions)), "tell a tensor's dimensions")
        return dimensions.value

    def numel(self) -> int:
        """Return the number of elements."""
        elements = 1
        for size in self.shape:
            elements *= size
        return elements

    def element_size(self) -> int:
        """Return the bytes of an element."""
        return 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize

    def data_ptr(self) -> int:
        """Return the address of the first element."""
        address = c_void_p()
        _checked(_libtorch().data_ptr(self.handle, ctypes.byref(address)), "tell a tensor's address")
        return address.value or 0

    def is_floating_point(self) -> bool:
        """Tell whether the elements are floating numbers."""
        return "float" in self.dtype

    def is_complex(self) -> bool:
        """Tell that the elements are no complex numbers, which no model here takes or returns."""
        return False

    def narrow(self, dim: int, start: int, length: int) -> "LibTorchTensor":
        """Return the view of `length` entries from `start` in a dimension."""
        raise NotImplementedError(f"entries {start} to {start + length} of dimension {dim}")

    def array(self) -> npt.NDArray[Any]:
        """Return the elements as an array that keeps their memory; bfloat16 as float32, copied."""
        name = self.dtype
        dtype = np.dtype("uint16" if name == "bfloat16" else name)
        shape, strides = self.shape, tuple(stride * dtype.itemsize for stride in self.stride())
        if not all(shape):
            return np.empty(shape, np.float32 if name == "bfloat16" else dtype)
        found = np.asarray(_Memory(self, shape, dtype, strides))
        if name == "bfloat16":  # the upper half of a float32
            found = (found.astype(np.uint32) << 16).view(np.float32)
        return found

    def _extents(self, ask: Any) -> tuple[int, ...]:
        found = _SIZES()
        _checked(ask(self.handle, ctypes.byref(found)), "tell a tensor's sizes and strides")
        return tuple(found[: self.dim()])


class _Memory:
    """The memory of a tensor as NumPy's array interface has it; an array keeps this, and so the tensor."""

    def __init__(
        self, tensor: LibTorchTensor, shape: tuple[int, ...], dtype: np.dtype[Any], strides: tuple[int, ...]
    ) -> None:
        self._tensor = tensor
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "strides": strides,
            "data": (tensor.data_ptr(), False),
        }


def libtorch_tensors(tensors: Sequence[Tensor]) -> list[LibTorchTensor]:
    """Return libtorch's views of the tensors of a call."""
    return [LibTorchTensor.viewing(tensor) for tensor in tensors]


def _loaded(library: Path) -> ctypes.CDLL:
    """Load the library of a package, where need be with all of libtorch, to which torch 2.11 links it."""
    try:
        return ctypes.CDLL(str(library))
    except OSError:
        ctypes.CDLL(str(torch_library_path().with_name("libtorch.so")))
        return ctypes.CDLL(str(library))


class LibTorchPackage:
    """One model of an AOTInductor package for the CPU, as what is called with a list of libtorch's tensors.

    A call checks no more than their number: inputs that do not hold the artifact's contract are read out of
    bounds.

    Parameters
    ----------
    path
        Of the package; it must have been verified, as loading it runs its code.
    name
        Of the model; no other is unpacked or loaded.

    Raises
    ------
    ArtifactError
        If its library cannot be loaded.
    """

    def __init__(self, path: Path | str, name: str) -> None:
        self._torch = _libtorch()  # the library finds it among what is loaded
        self._model = c_void_p()
        try:
            # The library reads its own file while the model is made, and no longer.
            with scratch_folder() as folder:
                file = folder / f"{name}.so"
                file.write_bytes(packed_library(path, name))
                self._library = _loaded(file)
                self._call(
                    "AOTInductorModelContainerCreateWithDevice",
                    *(ctypes.byref(self._model), c_size_t(1), c_char_p(b"cpu"), c_char_p(None)),
                )
            self._inputs = self._count("AOTInductorModelContainerGetNumInputs")
            self._outputs = self._count("AOTInductorModelContainerGetNumOutputs")
        except (OSError, AttributeError, RuntimeError) as error:
            raise loading_error(path, error) from error

    def __call__(self, tensors: list[LibTorchTensor]) -> list[ArrayTensor]:
        """Run the model.

        Parameters
        ----------
        tensors
            Its inputs; they are no more when the call returns.

        Returns
        -------
        list of ArrayTensor
            Its outputs, in memory of their own; none of a model that stores them.

        Raises
        ------
        RuntimeError
            If their number is wrong, or the model fails.
        """
        if len(tensors) != self._inputs:  # which the library itself ends the process for
            raise RuntimeError(f"the model takes {self._inputs} tensors, and the call has {len(tensors)}")
        given = (c_void_p * self._inputs)(*(tensor.taken() for tensor in tensors))
        returned = (c_void_p * self._outputs)()
        self._call(
            "AOTInductorModelContainerRunSingleThreaded",
            *(self._model, given, c_size_t(self._inputs)),
            *(returned, c_size_t(self._outputs), None, None),
        )
        return [ArrayTensor(LibTorchTensor(handle).array()) for handle in returned if handle]

    def __del__(self) -> None:
        """Free the model; its library stays loaded."""
        if self._model:
            self._library.AOTInductorModelContainerDelete(self._model)

    def _count(self, name: str) -> int:
        count = c_size_t()
        self._call(name, self._model, ctypes.byref(count))
        return count.value

    def _call(self, name: str, *arguments: Any) -> None:
        if self._library[name](*arguments):
            raise RuntimeError(self._last_error())

    def _last_error(self) -> str:
        """Return why the last call failed, which a library made with torch 2.11 prints and does not tell."""
        if not hasattr(self._library, "AOTInductorGetLastError"):
            return "the compiled model failed, and has printed why"
        message = c_char_p()
        self._library.AOTInductorGetLastError(ctypes.byref(message))
        return (message.value or b"the compiled model failed").decode(errors="replace")
