def dataset_entry(wildcards):
    return config["datasets"][wildcards.dataset]


def source_files(wildcards):
    """Files that the dataset is read from; none for a generated one."""
    return dataset_entry(wildcards).get("files", [])


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
    threads: 1
    resources:
        mem="1GB",
        runtime="1h",
    params:
        dataset=dataset_entry,
        seed=settings.seed,
        alignment=settings.alignment,
        code=code_digest("soaflow.events.shards"),
    script:
        "../scripts/write_events.py"
