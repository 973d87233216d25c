rule compare:
    """Compare a variant's outputs with the reference's and judge the differences."""
    input:
        predictions="results/predictions/{dataset}/{shard}/{model}.{variant}.h5",
        reference="results/predictions/{dataset}/{shard}/{model}.reference.h5",
        events="results/events/{dataset}/{shard}.h5",
        yard=yard_verdict,
    output:
        verdict="results/verdicts/{dataset}/{shard}/{model}.{variant}.json",
    log:
        "results/logs/compare/{dataset}/{shard}/{model}.{variant}.log",
    benchmark:
        "results/benchmarks/compare/{dataset}/{shard}/{model}.{variant}.tsv"
    wildcard_constraints:
        variant=one_of(settings.variants),
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="30m",
    params:
        tolerances=output_tolerances,
        first_rows=False,
        yardstick=variant_yardstick,
        inputs=sliced_items,
        code=script_code("compare"),
    message:
        "Comparison: {wildcards.model} as {wildcards.variant} on {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/compare.py"


rule summarize_verdicts:
    """Put all verdicts into one table."""
    input:
        verdicts=run_files("results/verdicts/{dataset}/{shard}/{model}.{variant}.json"),
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
    """Fail, naming the rows, if any output of any variant is out of tolerance."""
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
