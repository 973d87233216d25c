include: "helpers/speed.smk"


rule measure_speed:
    """Time the variants of a model in turn, for several batch sizes."""
    input:
        models=timed_models,
        passports=timed_passports,
        events=first_events,
    output:
        speed="results/speed/{model}.{effort}.json",
    log:
        "results/logs/speed/{model}.{effort}.log",
    benchmark:
        "results/benchmarks/speed/{model}.{effort}.tsv"
    wildcard_constraints:
        model=one_of(MEASURED_ON_CPU),
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="1h",
    params:
        variants=timed_variant_entries,
        model=model_class,
        signature=model_signature,
        batch_sizes=speed_batch_sizes,
        seconds=speed_seconds,
        code=script_code("measure_speed"),
        model_code=model_code,
    message:
        "Speed of the variants of {wildcards.model}, {wildcards.effort}"
    script:
        "../scripts/measure_speed.py"


use rule measure_speed as measure_speed_on_gpu with:
    wildcard_constraints:
        model=one_of(MEASURED_ON_GPU),
    resources:
        mem="8GB",
        runtime="1h",
        gpu=1,


rule measure_starts:
    """Start each variant of a model in processes of its own."""
    input:
        models=started_models,
        passports=started_passports,
        events=first_events,
    output:
        starts="results/starts/{model}.{effort}.json",
    log:
        "results/logs/starts/{model}.{effort}.log",
    benchmark:
        "results/benchmarks/starts/{model}.{effort}.tsv"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="1h",
    params:
        variants=started_variant_entries,
        model=model_class,
        signature=model_signature,
        repetitions=start_repetitions,
        code=script_code("measure_starts"),
        model_code=model_code,
    message:
        "Starts of the variants of {wildcards.model}, {wildcards.effort}"
    script:
        "../scripts/measure_starts.py"


rule plot_speed:
    """Throughput and latency of a model's variants against the batch size."""
    input:
        speed="results/speed/{model}.{effort}.json",
    output:
        throughput=report(
            "results/report/speed/{model}.{effort}.svg",
            caption="../report/speed.rst",
            category="Performance",
            labels={"model": "{model}", "figure": "throughput, {effort}"},
        ),
        latency=report(
            "results/report/latency/{model}.{effort}.svg",
            caption="../report/latency.rst",
            category="Performance",
            labels={"model": "{model}", "figure": "latency, {effort}"},
        ),
        table="results/report/speed/{model}.{effort}.tsv",
    log:
        "results/logs/report/speed/{model}.{effort}.log",
    benchmark:
        "results/benchmarks/report/speed/{model}.{effort}.tsv"
    group:
        "figures"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        base=speed_base,
        code=script_code("plot_speed"),
    message:
        "Pictures of the speed of {wildcards.model}"
    script:
        "../scripts/plot_speed.py"


rule plot_starts:
    """What the start of each variant of a model costs in time and memory."""
    input:
        starts="results/starts/{model}.{effort}.json",
    output:
        plot=report(
            "results/report/starts/{model}.{effort}.svg",
            caption="../report/starts.rst",
            category="Performance",
            labels={"model": "{model}", "figure": "cold start, {effort}"},
        ),
    log:
        "results/logs/report/starts/{model}.{effort}.log",
    benchmark:
        "results/benchmarks/report/starts/{model}.{effort}.tsv"
    group:
        "figures"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("plot_starts"),
    message:
        "Picture of the starts of {wildcards.model}"
    script:
        "../scripts/plot_starts.py"


rule speed:
    """Speed and starts of every model, measured thoroughly."""
    input:
        speed_plots(THOROUGH),
        start_plots(THOROUGH),
    message:
        "Speed and starts of all models are measured thoroughly"
