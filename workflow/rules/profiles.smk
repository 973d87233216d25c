include: "helpers/profiles.smk"


rule measure_profiles:
    """Time the build profiles of a model in turn, for several numbers of rows."""
    input:
        artifacts=profile_artifacts,
        passports=profile_passports,
        events=first_events,
    output:
        figures="results/profiles/{model}.{dtype}.{target}.json",
    log:
        "results/logs/profiles/{model}.{dtype}.{target}.log",
    benchmark:
        "results/benchmarks/profiles/{model}.{dtype}.{target}.tsv"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        code=script_code("measure_profiles"),
    message:
        "Build profiles of {wildcards.model} in {wildcards.dtype} for {wildcards.target}"
    script:
        "../scripts/measure_profiles.py"


rule plot_profiles:
    """Which build profile to use for how many rows."""
    input:
        figures="results/profiles/{model}.{dtype}.{target}.json",
    output:
        plot=report(
            "results/report/profiles/{model}.{dtype}.{target}.svg",
            caption="../report/profiles.rst",
            category="Performance",
            labels={"model": "{model}", "figure": "build profiles, {target}"},
        ),
    log:
        "results/logs/report/profiles/{model}.{dtype}.{target}.log",
    benchmark:
        "results/benchmarks/report/profiles/{model}.{dtype}.{target}.tsv"
    group:
        "figures"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("plot_profiles"),
    message:
        "Picture of the build profiles of {wildcards.model}"
    script:
        "../scripts/plot_profiles.py"


rule profiles:
    """The build profiles of every model, measured on this machine."""
    input:
        expand(
            "results/report/profiles/{model}.float32.native.svg", model=settings.models
        ),
    message:
        "All build profiles are measured"
