# What is measured of a variant, and what a verdict on it is made of.

from datetime import date

TODAY = date.today()

MEASUREMENT = "results/differences/{dataset}/{shard}/{model}.{variant}.json"


def sliced_items(wildcards):
    """The items that a model is called with of the rows that it predicts for."""
    signature = model_of(wildcards).signature
    specs = [
        spec
        for spec in signature.inputs
        if spec.collection == signature.sliced_collection
    ]
    return {
        signature.sliced_collection: [item for spec in specs for item in spec.items]
    }


def verdict_files(model=None):
    """The verdicts on every variant, or on those of one model."""
    return run_files("results/verdicts/{dataset}/{model}.{variant}.json", model)


def variant_measurements(wildcards):
    """The differences of a variant on all shards."""
    return dataset_files(MEASUREMENT, wildcards)


def yard_measurements(wildcards):
    """The differences of eager float32, by which the variant is judged; none for that variant itself."""
    yard = settings.yard_of(wildcards.model)
    if yard in (None, wildcards.variant):
        return []
    return dataset_files(MEASUREMENT, wildcards, variant=yard)


def shard_names(wildcards):
    """Names of the shards that a verdict must be made of."""
    return [str(shard) for shard in range(settings.datasets[wildcards.dataset].shards)]


def output_tolerances(wildcards):
    """The tolerance of every output item, for the precision that the variant computes in."""
    precision = settings.variants[wildcards.variant].precision
    return tolerance_entries(wildcards.model, precision)


def tolerance_entries(model, dtype):
    tolerances = settings.item_tolerances(model, dtype)
    return {item: asdict(tolerance) for item, tolerance in tolerances.items()}


def variant_yardstick(wildcards):
    """How far beyond eager float32's error the variant may lie, if the configuration says it for its precision."""
    found = settings.yardsticks.get(settings.variants[wildcards.variant].precision)
    return None if found is None else asdict(found)


def variant_invariance(wildcards):
    """What was measured of the variant, or of one that differs from it in its batches only."""
    measured = settings.measured_for(wildcards.model, wildcards.variant)
    return f"results/invariance/{wildcards.dataset}/{wildcards.model}.{measured}.json"


def limited_pairs(wildcards):
    """The pairs of variants, if the configuration limits one with this variant."""
    if not variant_pair_limits(wildcards):
        return []
    return f"results/pairs/{wildcards.dataset}/{wildcards.model}.json"


def variant_batch_limits(wildcards):
    """How far each output may be from itself in batches of another size."""
    return limit_entries(settings.batch_limits(wildcards.model, wildcards.variant))


def variant_pair_limits(wildcards):
    """How far the variant may be from others."""
    found = settings.invariance[wildcards.model]
    return limit_entries(found.limits_beside(wildcards.variant))


def limit_entries(limits):
    """Tolerances by name, null where no bit may differ."""
    return {
        name: None if limit is None else asdict(limit) for name, limit in limits.items()
    }


def variant_decisions(wildcards):
    """The decisions of a variant, if its model has observables."""
    if not model_of(wildcards).observables:
        return []
    return expand("results/decisions/{dataset}/{model}.{variant}.json", **wildcards)


def observable_limits(wildcards):
    """How far each observable of the model may shift."""
    limits = model_of(wildcards).limits
    return {name: asdict(limit) for name, limit in limits.items()}


def variant_waivers(wildcards):
    """The waivers for the variant, each with whether it has expired."""
    return [
        asdict(waiver.on(TODAY))
        for waiver in settings.waivers
        if waiver.concerns(wildcards.dataset, wildcards.model, wildcards.variant)
    ]
