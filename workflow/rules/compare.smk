include: "helpers/compare.smk"


rule measure_differences:
    """Measure how a variant's outputs differ from the reference's on one shard."""
    input:
        predictions="results/predictions/{dataset}/{shard}/{model}.{variant}.h5",
        reference="results/predictions/{dataset}/{shard}/{model}.reference.h5",
        events="results/events/{dataset}/{shard}.h5",
    output:
        measurement="results/differences/{dataset}/{shard}/{model}.{variant}.json",
    log:
        "results/logs/differences/{dataset}/{shard}/{model}.{variant}.log",
    benchmark:
        "results/benchmarks/differences/{dataset}/{shard}/{model}.{variant}.tsv"
    wildcard_constraints:
        variant=one_of(settings.variants),
    group:
        "inference"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="30m",
    params:
        first_rows=False,
        inputs=sliced_items,
        code=script_code("measure_differences"),
    message:
        "Differences: {wildcards.model} as {wildcards.variant} on {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/measure_differences.py"


rule judge:
    """Judge what was measured of a variant on all shards of a dataset."""
    input:
        measurements=variant_measurements,
        yard=yard_measurements,
        invariance=variant_invariance,
        pairs=limited_pairs,
        decisions=variant_decisions,
    output:
        verdict="results/verdicts/{dataset}/{model}.{variant}.json",
    log:
        "results/logs/verdicts/{dataset}/{model}.{variant}.log",
    benchmark:
        "results/benchmarks/verdicts/{dataset}/{model}.{variant}.tsv"
    wildcard_constraints:
        variant=one_of(settings.variants),
    group:
        if_few_shards("judgement")
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        shards=shard_names,
        tolerances=output_tolerances,
        yardstick=variant_yardstick,
        batch_limits=variant_batch_limits,
        pair_limits=variant_pair_limits,
        limits=observable_limits,
        waivers=variant_waivers,
        code=script_code("judge"),
    message:
        "Verdict: {wildcards.model} as {wildcards.variant} on {wildcards.dataset}"
    script:
        "../scripts/judge.py"


rule summarize_verdicts:
    """Put all verdicts into one table."""
    input:
        verdicts=verdict_files(),
    output:
        summary="results/verdicts/summary.tsv",
    log:
        "results/logs/verdicts/summary.log",
    benchmark:
        "results/benchmarks/verdicts/summary.tsv"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("summarize_verdicts"),
    message:
        "Summary of all verdicts"
    script:
        "../scripts/summarize_verdicts.py"


rule require_verdicts:
    """Fail, naming the rows, if any output of any variant failed and no waiver covers it."""
    input:
        verdicts=rules.summarize_verdicts.input.verdicts,
        summary="results/verdicts/summary.tsv",
    output:
        passed="results/verdicts/passed.txt",
    log:
        "results/logs/verdicts/passed.log",
    benchmark:
        "results/benchmarks/verdicts/passed.tsv"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("require_verdicts"),
    message:
        "Check that all verdicts passed"
    script:
        "../scripts/require_verdicts.py"
