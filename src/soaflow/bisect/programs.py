"""The first operation in which one program differs from another, found by walking through both.

The invariant: three walks go side by side, the program's in float64 and in its own precision and the
candidate's, and each output is compared when all three have it; nothing is kept that no later operation
needs. The answer is exact for these rows: no earlier operation that the two have in common diverges.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

from torch import fx

from soaflow.bisect.answer import Answer, Divergence, Operation, module_path
from soaflow.bisect.calls import Calls, Inputs, Program
from soaflow.bisect.figures import Figures, measure
from soaflow.bisect.walk import operations, tensors_of
from soaflow.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Pair:
    """An operation of the program and the one of the candidate that does the same.

    Parameters
    ----------
    node, counterpart
        Of the program and of the candidate.
    instead
        Targets of what the candidate has since the last pair, or as counterpart, and the program does not.
    """

    node: fx.Node
    counterpart: fx.Node
    instead: tuple[str, ...] = ()


def paired(program: fx.GraphModule, candidate: fx.GraphModule) -> list[Pair]:
    """Pair the operations of two programs in their order.

    Those pair that call the same in the same module; where one stretch of operations replaces another of the
    same length, those pair too, so that a wrong activation is compared with the right one.
    """
    nodes, others = operations(program), operations(candidate)
    keys = [_key(node) for node in nodes]
    matcher = SequenceMatcher(None, keys, [_key(node) for node in others], autojunk=False)
    pairs: list[Pair] = []
    extra: tuple[str, ...] = ()
    for kind, begin, end, other_begin, other_end in matcher.get_opcodes():
        theirs = others[other_begin:other_end]
        same_length = end - begin == len(theirs)
        if not same_length:
            extra += tuple(str(node.target) for node in theirs)
            continue
        for node, counterpart in zip(nodes[begin:end], theirs, strict=True):
            replaced = (str(counterpart.target),) if kind == "replace" else ()
            pairs.append(Pair(node, counterpart, extra + replaced))
            extra = ()
    return pairs


def _key(node: fx.Node) -> tuple[str, str]:
    return str(node.target), module_path(node)


def is_comparable(node: fx.Node) -> bool:
    """Tell whether the values of an operation mean anything: fresh memory holds whatever it held."""
    return "empty" not in str(node.target)


def bisect_programs(program: Program, candidate: Program, calls: Calls, factor: float) -> Answer:
    """Find the first operation of a program whose output in the candidate diverges.

    Parameters
    ----------
    program
        What is right.
    candidate
        Of the same signature; other weights, another dtype or other operations.
    calls
        The rows to run both on.
    factor
        See `soaflow.bisect.figures`.

    Raises
    ------
    ArtifactError
        If the two have no operation in common.
    """
    pairs = [pair for pair in paired(program.module, candidate.module) if is_comparable(pair.node)]
    if not pairs:
        raise ArtifactError("the candidate has no operation in common with the program: name its own program")
    found: dict[fx.Node, Figures] = {}
    for inputs in calls:
        _compare(program, candidate, inputs, pairs, found)
        # Later rows can bring the start forward only.
        stop = next((i for i, pair in enumerate(pairs) if _diverges(found, pair.node, factor)), len(pairs))
        pairs = pairs[: stop + 1]
    last = pairs[-1]
    compared = len(found)
    if not _diverges(found, last.node, factor):
        return Answer(calls.rows, factor, compared, None)
    return Answer(calls.rows, factor, compared, _divergence(last, found))


def _compare(
    program: Program,
    candidate: Program,
    inputs: Inputs,
    pairs: Iterable[Pair],
    found: dict[fx.Node, Figures],
) -> None:
    """Walk through one call and add what its outputs differ by."""
    wide, eager = program.walk(inputs, widened=True), program.walk(inputs)
    other = candidate.walk(inputs)
    for pair in pairs:
        values = (wide.run_to(pair.node), eager.run_to(pair.node), other.run_to(pair.counterpart))
        reference, own, got = (tensors_of(value) for value in values)
        if reference:
            figures = measure(reference, own, got)
            found[pair.node] = figures.joined(found.get(pair.node, Figures()))


def _diverges(found: dict[fx.Node, Figures], node: fx.Node, factor: float) -> bool:
    return node in found and found[node].diverges(factor)


def _divergence(pair: Pair, found: dict[fx.Node, Figures]) -> Divergence:
    inputs = {used.name: found[used] for used in pair.node.all_input_nodes if used in found}
    return Divergence(Operation.of(pair.node), found[pair.node], inputs, pair.instead)
