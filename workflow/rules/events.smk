include: "helpers/events.smk"


rule write_events:
    """Generate or read one shard of a dataset."""
    input:
        sources=source_files,
    output:
        events="results/events/{dataset}/{shard}.h5",
    log:
        "results/logs/events/{dataset}/{shard}.log",
    benchmark:
        "results/benchmarks/events/{dataset}/{shard}.tsv"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="1GB",
        runtime="1h",
    params:
        dataset=dataset_entry,
        seed=dataset_seed,
        alignment=settings.alignment,
        code=script_code("write_events"),
    message:
        "Events of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/write_events.py"
