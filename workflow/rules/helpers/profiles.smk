# The build profiles of a model.


def profile_artifacts(wildcards):
    """An artifact in each build profile."""
    return expand(
        "results/artifacts/{model}.{dtype}.{target}.{profile}.pt2",
        profile=PROFILES,
        **wildcards,
    )


def profile_passports(wildcards):
    return [f"{artifact}.json" for artifact in profile_artifacts(wildcards)]
