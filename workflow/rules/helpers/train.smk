# What a model is trained on.


TRAINED = [name for name, model in settings.models.items() if model.training]
NOT_TRAINED = [name for name in settings.models if name not in TRAINED]


def training_events(wildcards):
    return event_files(model_of(wildcards).training_dataset)


def training_entry(wildcards):
    return config["models"][wildcards.model]["training"]


def given_weights(wildcards):
    """The state dict that the configuration names, if it does."""
    weights = model_of(wildcards).weights
    return [] if weights is None else [weights]
