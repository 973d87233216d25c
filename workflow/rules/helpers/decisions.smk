# What the decisions of a model are measured from.


def dataset_references(wildcards):
    return dataset_files(PREDICTIONS, wildcards, variant=REFERENCE.name)


def dataset_events(wildcards):
    return event_files(wildcards.dataset)


def observable_entries(wildcards):
    """What a physicist takes from the model's outputs, without the limits, which measure nothing."""
    return [asdict(observable) for observable in model_of(wildcards).observables]


def model_decisions(wildcards):
    """The decisions of a model on each dataset in each variant."""
    model = model_of(wildcards)
    return expand(
        "results/decisions/{dataset}/{model}.{variant}.json",
        dataset=model.datasets,
        model=model.name,
        variant=model.variants,
    )
