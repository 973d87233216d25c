include: "helpers/decisions.smk"


rule measure_decisions:
    """Measure which decisions flip, and how far efficiencies, areas, resolutions and biases shift."""
    input:
        predictions=dataset_predictions,
        references=dataset_references,
        events=dataset_events,
    output:
        decisions="results/decisions/{dataset}/{model}.{variant}.json",
    log:
        "results/logs/decisions/{dataset}/{model}.{variant}.log",
    benchmark:
        "results/benchmarks/decisions/{dataset}/{model}.{variant}.tsv"
    wildcard_constraints:
        variant=one_of(settings.variants),
    group:
        if_few_shards("judgement")
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="30m",
    params:
        observables=observable_entries,
        code=script_code("measure_decisions"),
    message:
        "Decisions of {wildcards.model} as {wildcards.variant} on {wildcards.dataset}"
    script:
        "../scripts/measure_decisions.py"


rule plot_decisions:
    """Shifts of all observables of a model in all variants."""
    input:
        decisions=model_decisions,
    output:
        plot=report(
            "results/report/decisions/{model}.svg",
            caption="../report/decisions.rst",
            category="Comparison",
            labels={"model": "{model}", "figure": "decisions"},
        ),
    log:
        "results/logs/report/decisions/{model}.log",
    benchmark:
        "results/benchmarks/report/decisions/{model}.tsv"
    group:
        if_few_shards("judgement")
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("plot_decisions"),
    message:
        "Decisions of {wildcards.model}"
    script:
        "../scripts/plot_decisions.py"
