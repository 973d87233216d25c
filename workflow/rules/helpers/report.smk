# What is drawn, and from which files.


def trained_targets():
    """Model and output of every training target, for which there is a physics plot."""
    return [
        (name, target.output)
        for name, model in settings.models.items()
        if model.training
        for target in model.training.targets
    ]


def learning_curves():
    return expand("results/report/learning_curves/{model}.svg", model=TRAINED)


def physics_plots():
    return [
        f"results/report/physics/{model}.{output}.svg"
        for model, output in trained_targets()
    ]


def difference_plots():
    return expand("results/report/differences/{model}.svg", model=settings.models)


def invariance_plots():
    return expand("results/report/invariance/{model}.svg", model=settings.models)


def decision_plots():
    """Those of the models that have observables."""
    names = [name for name, model in settings.models.items() if model.observables]
    return expand("results/report/decisions/{model}.svg", model=names)


def parity_plots():
    return expand("results/report/parity/{model}.svg", model=settings.models)


def performance_plots():
    return expand("results/report/performance/{model}.svg", model=settings.models)


def profile_plots():
    """Those of the models whose configuration asks for them."""
    return [
        f"results/report/profiles/{name}.float32.native.svg"
        for name, model in settings.models.items()
        if model.measure_profiles
    ]


def target_entry(wildcards):
    """The training target whose output the plot shows, as the configuration says it."""
    targets = training_entry(wildcards)["targets"]
    return next(target for target in targets if target["output"] == wildcards.tensor)


def validation_fraction(wildcards):
    return model_of(wildcards).training.validation_fraction


def reference_predictions(wildcards):
    """The reference's predictions for the events that the model is trained on."""
    dataset = model_of(wildcards).training_dataset
    return dataset_files(
        PREDICTIONS, wildcards, dataset=dataset, variant=REFERENCE.name
    )


def target_prediction_item(wildcards):
    """The item of the predictions file that the target's output fills."""
    outputs = model_of(wildcards).signature.outputs
    return next(
        output.items[0] for output in outputs if output.name == wildcards.tensor
    )


def model_verdicts(wildcards):
    return verdict_files(wildcards.model)


def model_references(wildcards):
    """The reference's predictions for all datasets and shards of the model."""
    return [
        file
        for dataset in model_of(wildcards).datasets
        for file in dataset_files(
            PREDICTIONS, wildcards, dataset=dataset, variant=REFERENCE.name
        )
    ]


def model_predictions(wildcards):
    return run_files(PREDICTIONS, wildcards.model)


def model_measurements(wildcards):
    return run_files(MEASUREMENT, wildcards.model)


def model_proofs(wildcards):
    return run_files(
        "results/predictions/{dataset}/{shard}/{model}.{variant}.proof.json",
        wildcards.model,
    )
