include: "helpers/benchmarks.smk"


rule summarize_benchmarks:
    """Time, memory, reading and writing of the jobs of the run, by rule."""
    input:
        targets=run_targets(),
    output:
        table="results/report/benchmarks.tsv",
        plot=report(
            "results/report/benchmarks.svg",
            caption="../report/benchmarks.rst",
            category="Run",
            labels={"model": "all", "figure": "cost of the jobs"},
        ),
    log:
        "results/logs/report/benchmarks.log",
    benchmark:
        "results/benchmarks/report/benchmarks.tsv"
    # Its params are the other jobs, and only the process that has planned them knows them.
    localrule: True
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        benchmarks=benchmarks_behind,
        code=script_code("summarize_benchmarks"),
    message:
        "What the jobs of the run cost"
    script:
        "../scripts/summarize_benchmarks.py"
