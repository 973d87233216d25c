# What a model does on emulated CPUs.

from soaflow.infer.emulated import EMULATED_CPUS
from soaflow.targets import SAME_BITS_FROM, find_target, levels_of


def dtype_tolerances(wildcards):
    """The tolerance of every output item, for the dtype that an artifact computes in."""
    return tolerance_entries(wildcards.model, wildcards.dtype)


def no_tolerances(wildcards):
    """A tolerance of nothing for every output item: the bits must be the same."""
    return {
        item: {"absolute": 0.0, "relative": 0.0}
        for item in tolerance_entries(wildcards.model, wildcards.dtype)
    }


def emulated_cpu(wildcards):
    return EMULATED_CPUS[wildcards.target]


def first_reference(wildcards):
    dataset = model_of(wildcards).datasets[0]
    return f"results/predictions/{dataset}/0/{wildcards.model}.reference.h5"


def portability_verdicts(wildcards):
    """What must pass for a model to be called portable.

    Small calls are right on an emulated CPU of each level among the targets; and the reproducible profile
    gives there, from the first level with vector registers up, the bits that it gives here.
    """
    levels = [level for level in levels_of(settings.targets) if level in EMULATED_CPUS]
    if not levels:
        raise WorkflowError(
            f"configuration: key 'targets' has no target that can be emulated: add {' or '.join(EMULATED_CPUS)}"
        )
    stem = f"results/portability/{wildcards.model}.float32"
    right = expand(f"{stem}.{{target}}.balanced.reference.json", target=levels)
    same = expand(
        f"{stem}.{{target}}.reproducible.bits.json",
        target=[
            level for level in levels if find_target(level).level >= SAME_BITS_FROM
        ],
    )
    return right + same
