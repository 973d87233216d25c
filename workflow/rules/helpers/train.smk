# What a model is trained on.

from soaflow.models.origins import origin_path

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


def given_origin(wildcards):
    """Where these weights come from, if soaflow has said it beside them."""
    origins = map(origin_path, given_weights(wildcards))
    return [str(origin) for origin in origins if origin.exists()]
