"""The first operation at which a compiled artifact departs from its program, found by compiling first parts.

An artifact shows no intermediates, so the first part of its program is built in the way that the artifact
was, with all values that are live at the cut as outputs, and held against the program run eagerly there.
The next cut is chosen by binary search, so a program of n operations takes about log2(n) builds.

The invariant: of an operation that is named, a build up to it diverged in its output, and a build up to the
operation before it diverged nowhere. What is assumed is that a divergence that has begun stays to be seen in
the live values; an earlier one that vanished again (behind a ReLU that gives 0, say) can be missed.
A compiler fuses what it sees, so a part may be compiled otherwise than in the whole: where no part
diverges, the answer says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import fx

from soaflow.bisect.answer import Answer, Divergence, Operation
from soaflow.bisect.calls import Calls, Inputs, Program
from soaflow.bisect.figures import Figures, measure
from soaflow.bisect.programs import is_comparable
from soaflow.bisect.walk import operations

Model = Callable[[Inputs], Sequence[torch.Tensor]]
"""What is called with the tensors of a program's call and returns tensors."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first part of a program.

    Parameters
    ----------
    last
        Its last operation, in the program's graph.
    live
        Operations of the program's graph whose outputs are used after it, or are its own: what it returns.
    module
        The part itself; it takes the tensors of a call of the program.
    """

    last: fx.Node
    live: tuple[fx.Node, ...]
    module: fx.GraphModule


Build = Callable[[Prefix], Model]
"""Builds a first part as the artifact in question was built."""


def cuts(module: fx.GraphModule) -> list[fx.Node]:
    """Return the operations after which a program can be cut: those that give one tensor of their own."""
    tensors = {node for node in operations(module) if isinstance(node.meta.get("val"), torch.Tensor)}
    return [
        node for node in operations(module) if node in tensors and not _writes(node) and is_comparable(node)
    ]


def cut_after(module: fx.GraphModule, last: fx.Node) -> Prefix:
    """Return the first part of a program, up to and with an operation."""
    candidates = set(cuts(module))
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in module.graph.nodes:
        copies[node] = graph.node_copy(node, lambda used: copies[used])
        if node is last:
            break
    before = [node for node in copies if node in candidates]
    live = tuple(node for node in before if node is last or any(user not in copies for user in node.users))
    # All parameters of the call stay, also those that the part does not use.
    for node in module.graph.find_nodes(op="placeholder"):
        if node not in copies:
            copies[node] = graph.node_copy(node)
    graph.output(tuple(copies[node] for node in live))
    graph.eliminate_dead_code()
    return Prefix(last, live, fx.GraphModule(module, graph))


def bisect_builds(program: Program, build: Build, calls: Calls, factor: float) -> Answer:
    """Find the first operation whose output diverges when it is built.

    Parameters
    ----------
    program
        That the artifact was built from.
    build
        See `Build`.
    calls
        The rows to run on.
    factor
        See `soaflow.bisect.figures`.

    Returns
    -------
    Answer
        With a divergence, or the reason why it cannot be placed.
    """
    places = cuts(program.module)
    found: dict[int, dict[fx.Node, Figures]] = {-1: {}}

    def diverges(place: int) -> bool:
        prefix = cut_after(program.module, places[place])
        found[place] = _compare(program, prefix, build(prefix), calls)
        return any(figures.diverges(factor) for figures in found[place].values())

    agreeing, diverging = -1, len(places) - 1
    if not places or not diverges(diverging):
        why = (
            "its program, built anew, does not diverge up to its last operation: the artifact was built from "
            "something else, with another toolchain, or its outputs are wrongly stored"
        )
        return Answer(calls.rows, factor, len(places), None, len(found) - 1, why)
    while diverging - agreeing > 1:
        middle = (agreeing + diverging) // 2
        if diverges(middle):
            diverging = middle
        else:
            agreeing = middle
    builds = len(found) - 1
    wrong = [node for node, figures in found[diverging].items() if figures.diverges(factor)]
    node = places[diverging]
    if node not in wrong:
        why = (
            f"once operation {node.name} ({node.target}) is compiled too, the output of {wrong[0].name} "
            f"({wrong[0].target}) before it diverges, as the compiler treats the two together"
        )
        return Answer(calls.rows, factor, len(places), None, builds, why)
    before = {**found[agreeing], **found[diverging]}
    inputs = {used.name: before[used] for used in node.all_input_nodes if used in before}
    divergence = Divergence(Operation.of(node), found[diverging][node], inputs)
    return Answer(calls.rows, factor, len(places), divergence, builds)


def _compare(program: Program, prefix: Prefix, model: Model, calls: Calls) -> dict[fx.Node, Figures]:
    """Return the figures of each live value at a cut."""
    found = {node: Figures() for node in prefix.live}
    for inputs in calls:
        wide, eager = program.walk(inputs, widened=True), program.walk(inputs)
        last = wide.run_to(prefix.last), eager.run_to(prefix.last)
        outputs = model(program.tensors(inputs))
        for node, output in zip(prefix.live, outputs, strict=True):
            reference, own = last if node is prefix.last else (wide.value(node), eager.value(node))
            found[node] = found[node].joined(measure([reference], [own], [output]))
    return found


def _writes(node: fx.Node) -> bool:
    """Tell whether an operation stores an output where the caller wants it."""
    schema = getattr(node.target, "_schema", None)
    stores = schema is not None and bool(schema.is_mutable)
    return stores and any(used.op == "placeholder" for used in node.all_input_nodes[:1])
