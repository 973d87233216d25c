# Which variants are timed, and how.

from soaflow.infer.timing_settings import BRIEF, THOROUGH
from soaflow.infer.variants import without_batch_sizes


def timed_variants(model):
    """The variants of a model, without those that differ from an earlier one in batch size alone.

    cuBLAS takes its workspace when it starts, so those that want another cannot be timed beside the others.
    """
    variants = [settings.variants[name] for name in settings.models[model].variants]
    return without_batch_sizes(
        [variant for variant in variants if variant.gpu.cublas_workspace]
    )


def started_variants(model):
    """The variants of a model on the CPU: how a job on a GPU starts is not measured."""
    return [variant for variant in timed_variants(model) if variant.device == "cpu"]


def timed_variant_entries(wildcards):
    return [asdict(variant) for variant in timed_variants(wildcards.model)]


def timed_models(wildcards):
    """The weights or the artifact of each timed variant, in their order."""
    variants = timed_variants(wildcards.model)
    for variant in variants:
        require_here(variant)
    return loaded_files(wildcards.model, variants)


def timed_passports(wildcards):
    return loaded_passports(wildcards.model, timed_variants(wildcards.model))


def started_variant_entries(wildcards):
    return [asdict(variant) for variant in started_variants(wildcards.model)]


def started_models(wildcards):
    """The weights or the artifact of each variant that is started, in their order."""
    return loaded_files(wildcards.model, started_variants(wildcards.model))


def started_passports(wildcards):
    return loaded_passports(wildcards.model, started_variants(wildcards.model))


def loaded_files(model, variants):
    found = [variant_files(model, variant) for variant in variants]
    return [files.get("artifact", files.get("weights")) for files in found]


def loaded_passports(model, variants):
    artifacts = [variant for variant in variants if variant.backend != "eager"]
    return [f"{file}.json" for file in loaded_files(model, artifacts)]


def speed_batch_sizes(wildcards):
    return settings.speed.batch_sizes


def speed_seconds(wildcards):
    return settings.speed.seconds_of(wildcards.effort)


def start_repetitions(wildcards):
    return settings.starts.repetitions_of(wildcards.effort)


def speed_base(wildcards):
    """The variant that ratios are quoted to: the configured one, or the first of the model."""
    names = [variant.name for variant in timed_variants(wildcards.model)]
    return settings.speed.base if settings.speed.base in names else names[0]


MEASURED = [name for name in settings.models if timed_variants(name)]
STARTED = [name for name in settings.models if started_variants(name)]
MEASURED_ON_GPU = [
    name
    for name in MEASURED
    if any(variant.device == "cuda" for variant in timed_variants(name))
]
MEASURED_ON_CPU = [name for name in MEASURED if name not in MEASURED_ON_GPU]


def speed_plots(effort):
    """Those of the models whose configuration asks for them, or of all if it is thorough."""
    return expand(
        "results/report/speed/{model}.{effort}.svg",
        model=[
            name
            for name in MEASURED
            if effort != BRIEF or settings.models[name].measure_speed
        ],
        effort=effort,
    )


def start_plots(effort):
    return expand(
        "results/report/starts/{model}.{effort}.svg",
        model=[
            name
            for name in STARTED
            if effort != BRIEF or settings.models[name].measure_starts
        ],
        effort=effort,
    )
