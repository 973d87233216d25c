include: "helpers/invariance.smk"


rule measure_invariance:
    """Run the same rows in batches of several sizes, and again, and say which bits differ."""
    input:
        unpack(model_files),
        events="results/events/{dataset}/0.h5",
    output:
        found="results/invariance/{dataset}/{model}.{variant}.json",
    log:
        "results/logs/invariance/{dataset}/{model}.{variant}.log",
    benchmark:
        "results/benchmarks/invariance/{dataset}/{model}.{variant}.tsv"
    wildcard_constraints:
        variant=one_of(CPU_VARIANTS),
    group:
        if_few_shards("judgement")
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="1h",
    params:
        model=model_class,
        signature=model_signature,
        variant=variant_in_any_batches,
        extent=invariance_extent,
        code=script_code("measure_invariance"),
        model_code=model_code,
    message:
        "Same rows in other batches: {wildcards.model} as {wildcards.variant} on {wildcards.dataset}"
    script:
        "../scripts/measure_invariance.py"


use rule measure_invariance as measure_invariance_on_gpu with:
    wildcard_constraints:
        variant=one_of(GPU_VARIANTS),
    group:
        "inference_on_gpu"
    resources:
        mem="4GB",
        runtime="1h",
        gpu=1,


rule measure_pairs:
    """Compare the predictions of every two variants."""
    input:
        predictions=predictions_to_pair,
    output:
        found="results/pairs/{dataset}/{model}.json",
    log:
        "results/logs/pairs/{dataset}/{model}.log",
    benchmark:
        "results/benchmarks/pairs/{dataset}/{model}.tsv"
    group:
        if_few_shards("judgement")
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="1h",
    params:
        variants=model_variants,
        code=script_code("measure_pairs"),
    message:
        "Every two variants of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/measure_pairs.py"


rule plot_invariance:
    """Which bits of a row change with the batch it is in, when it is run again, and between variants."""
    input:
        invariance=model_invariance,
        pairs=model_pairs,
    output:
        plot=report(
            "results/report/invariance/{model}.svg",
            caption="../report/invariance.rst",
            category="Comparison",
            labels={"model": "{model}", "figure": "same bits"},
        ),
    log:
        "results/logs/report/invariance/{model}.log",
    benchmark:
        "results/benchmarks/report/invariance/{model}.tsv"
    group:
        if_few_shards("judgement")
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("plot_invariance"),
    message:
        "Picture of the invariance of {wildcards.model}"
    script:
        "../scripts/plot_invariance.py"
