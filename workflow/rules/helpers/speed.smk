# Which variants are timed, and how.

from soaflow.infer.timing_settings import BRIEF, THOROUGH
from soaflow.infer.variants import without_batch_sizes


def timed_variants(model):
    """The variants of a model on the CPU, without those that differ from an earlier one in batch size alone."""
    names = settings.models[model].variants
    return without_batch_sizes(
        [settings.variants[name] for name in names if name in CPU_VARIANTS]
    )


def timed_variant_entries(wildcards):
    return [asdict(variant) for variant in timed_variants(wildcards.model)]


def timed_models(wildcards):
    """The weights or the artifact of each timed variant, in their order."""
    found = [
        variant_files(wildcards.model, variant)
        for variant in timed_variants(wildcards.model)
    ]
    return [files.get("artifact", files.get("weights")) for files in found]


def timed_passports(wildcards):
    return [
        f"{file}.json"
        for file, variant in zip(
            timed_models(wildcards), timed_variants(wildcards.model), strict=True
        )
        if variant.backend != "eager"
    ]


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
            for name in MEASURED
            if effort != BRIEF or settings.models[name].measure_starts
        ],
        effort=effort,
    )
