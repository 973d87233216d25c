"""What a bisection found.

The invariant: a divergence names an operation whose output diverges while none of the values that it was
computed from does, or says with a reason that no such operation was found.
"""

from dataclasses import dataclass

from torch import fx

from soaflow.bisect.figures import Figures
from soaflow.export.source_lines import source_line

_WRAPPERS = ("soaflow.models.storing.", "soaflow.models.precision.")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a program.

    Parameters
    ----------
    name
        Of its node in the graph, such as `"linear_2"`.
    target
        What it calls, such as `"aten.linear.default"`.
    module
        Path of the module that calls it, such as `"layers.4"`; empty for the model itself.
    source
        File and line, such as `"soaflow/models/simple_net.py:34"`; empty where the program has none.
    """

    name: str
    target: str
    module: str
    source: str

    @classmethod
    def of(cls, node: fx.Node) -> "Operation":
        """Return the operation of a node."""
        return cls(node.name, str(node.target), module_path(node), source_line(node))


def module_path(node: fx.Node) -> str:
    """Return the path, within the user's model, of the module that a node is from."""
    stack = [
        (path, kind)
        for path, kind in node.meta.get("nn_module_stack", {}).values()
        if not str(kind).startswith(_WRAPPERS) and not path.startswith("_")
    ]
    if not stack:
        return ""
    root, path = str(stack[0][0]), str(stack[-1][0])
    return path.removeprefix(root).removeprefix(".") if root else path


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first operation whose output diverges.

    Parameters
    ----------
    operation
        Of the program that is the master.
    figures
        Of its output.
    inputs
        Figures of what it was computed from, by name; inputs and weights of the program are not among them.
    instead
        What the candidate has in its place or in front of it and the program does not; targets.
    """

    operation: Operation
    figures: Figures
    inputs: dict[str, Figures]
    instead: tuple[str, ...] = ()

    def describe(self, factor: float) -> list[str]:
        """Return it as lines for people.

        Parameters
        ----------
        factor
            That the outputs were judged with.
        """
        operation, figures = self.operation, self.figures
        own = f"{factor:g} x {figures.own:.4g} (the program's own error)"
        inputs = [
            f"{name}: difference {one.difference:.4g}, allowed {one.allowed(factor):.4g}"
            for name, one in self.inputs.items()
        ] or ["from the events file, the same for both"]
        return [
            f"first diverging operation: {operation.target} ({operation.name})",
            f"  module       {operation.module or '(the model itself)'}",
            f"  source       {operation.source or '(the program does not say)'}",
            f"  difference   {figures.difference:.4g} from float64",
            f"  allowed      {figures.allowed(factor):.4g} = {own} + {figures.floor:.4g} (rounding)",
            *(f"  its input    {line}" for line in inputs),
            *([f"  candidate    has here instead: {', '.join(self.instead)}"] if self.instead else []),
        ]


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a bisection.

    Parameters
    ----------
    rows
        That the candidate was run on.
    factor
        Times the program's own error that was allowed.
    operations
        How many outputs were compared; for an artifact that agrees, its outputs alone.
    divergence
        None if nothing diverges, or where it begins is not known.
    builds
        Artifacts that were built of the first part of the program.
    unplaced
        Why it is not known where the artifact, whose outputs do diverge, begins to; empty if it is.
    """

    rows: int
    factor: float
    operations: int
    divergence: Divergence | None
    builds: int = 0
    unplaced: str = ""

    @property
    def diverges(self) -> bool:
        """Whether the candidate diverges."""
        return self.divergence is not None or bool(self.unplaced)

    def describe(self) -> str:
        """Return it as lines for people, the answer first."""
        if self.divergence is not None:
            lines = self.divergence.describe(self.factor)
        elif self.unplaced:
            lines = [f"the artifact diverges, but where it begins is not known: {self.unplaced}"]
        else:
            lines = ["no operation diverges"]
        builds = f", {self.builds} first parts built" if self.builds else ""
        return "\n".join([*lines, f"{self.rows} rows, {self.operations} outputs compared{builds}"])
