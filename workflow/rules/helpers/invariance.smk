# Which bits of a model's predictions are compared.


def variant_in_any_batches(wildcards):
    """The variant without a batch size of its own, as the measurement has several."""
    return variant_entry(wildcards) | {"batch_size": 0}


def invariance_extent(wildcards):
    """Which rows are run in which batches."""
    found = settings.invariance[wildcards.model]
    return {
        "rows": found.rows,
        "calls": found.calls,
        "batch_sizes": list(found.batch_sizes),
    }


def model_variants(wildcards):
    return model_of(wildcards).variants


def predictions_to_pair(wildcards):
    """The predictions of a model on all shards of a dataset, in all its variants."""
    return [
        file
        for variant in model_of(wildcards).variants
        for file in dataset_files(PREDICTIONS, wildcards, variant=variant)
    ]


def model_invariance(wildcards):
    """What is measured of a model: variants that differ in their batches only are measured as one."""
    model = model_of(wildcards)
    variants = [settings.measured_for(model.name, name) for name in model.variants]
    return expand(
        "results/invariance/{dataset}/{model}.{variant}.json",
        dataset=model.datasets,
        model=model.name,
        variant=dict.fromkeys(variants),
    )


def model_pairs(wildcards):
    return expand(
        "results/pairs/{dataset}/{model}.json",
        dataset=model_of(wildcards).datasets,
        model=wildcards.model,
    )
