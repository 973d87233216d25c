"""Every error that soaflow raises on purpose.

A `SoaflowError` is the user's to mend: its text is one sentence that names the file, item or key
and the remedy. The command line and the workflow's scripts print that sentence without a traceback
and exit with code 2. Any other exception is a bug and keeps its traceback.
"""


class SoaflowError(Exception):
    """Base of all errors that the user can mend."""


class ConfigError(SoaflowError, ValueError):
    """A key or value of the configuration does not fit."""


class LayoutError(SoaflowError, ValueError):
    """Items do not form a layout, or an item is not in one."""


class TensorSpecError(SoaflowError, ValueError):
    """Items cannot be seen as one tensor without a copy."""


class StorageError(SoaflowError, ValueError):
    """A file is not what its contract says."""


class OutputError(SoaflowError, OSError):
    """An output cannot be written: full disk, no permission, no such folder."""


class EventSourceError(SoaflowError, ValueError):
    """An event source cannot give what the dataset's entry asks of it."""


class ModelError(SoaflowError, ValueError):
    """A model cannot be built, or its outputs are not those declared."""


class TrainingError(SoaflowError, ValueError):
    """Training data or training settings do not fit."""


class ExportError(SoaflowError, RuntimeError):
    """A model cannot be exported, or its export failed a check."""


class TargetError(SoaflowError, ValueError):
    """A target does not exist, or this machine cannot build for it."""


class ArtifactError(SoaflowError, ValueError):
    """A program, artifact or weights file is corrupt, foreign or does not belong to its passport."""


class ContractError(SoaflowError, ValueError):
    """A call does not hold the contract of an artifact."""


class DeviceError(SoaflowError, RuntimeError):
    """A device that a variant asks for is not there."""


class OutOfDeviceMemoryError(DeviceError):
    """A device's memory does not hold what a job puts there at once."""


class PortabilityError(SoaflowError, RuntimeError):
    """An artifact does not run on a CPU that it claims, or that CPU cannot be emulated here."""


class ProofError(SoaflowError, RuntimeError):
    """A job did not do what it claims: a copy on the way in, a second thread."""


class ProvenanceError(SoaflowError, ValueError):
    """A file is not the one that another was made from, or nothing says what it was made from."""
