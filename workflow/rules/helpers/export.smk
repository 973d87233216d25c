# What an artifact is built from.

from soaflow.errors import TargetError
from soaflow.targets import find_target, levels_of, require_buildable


def buildable_program(wildcards):
    """The program, unless this machine cannot build for the target and the job would run here."""
    if runs_jobs_here():
        target = find_target(wildcards.target)
        try:
            require_buildable(target)
        except TargetError as error:
            raise WorkflowError(str(error)) from error
        if target.device == "cuda":
            count_gpus_here()
    return f"results/programs/{wildcards.model}.{wildcards.dtype}.pt2"


def level_artifacts(wildcards):
    """The artifacts for each level of x86-64 among the targets; there must be one."""
    levels = levels_of(settings.targets)
    if not levels:
        raise WorkflowError(
            "configuration: key 'targets' has no level of x86-64 to put into a fat artifact: add x86-64-v3, for one"
        )
    stem = f"results/artifacts/{wildcards.model}.{wildcards.dtype}"
    return [f"{stem}.{level}.{wildcards.profile}.pt2" for level in levels]


def level_passports(wildcards):
    return [f"{artifact}.json" for artifact in level_artifacts(wildcards)]


def store_outputs(wildcards):
    return model_of(wildcards).store_outputs


def jit_mode(wildcards):
    return model_of(wildcards).jit
