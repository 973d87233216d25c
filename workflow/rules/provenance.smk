include: "helpers/provenance.smk"


rule write_provenance:
    """Tie every file of the run to the digests of its inputs, code, configuration and environment."""
    input:
        targets=recorded_targets,
    output:
        provenance="results/provenance.json",
    log:
        "results/logs/provenance.log",
    benchmark:
        "results/benchmarks/provenance.tsv"
    # Its params are the other jobs, and only the process that has planned them knows them.
    localrule: True
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="1h",
    params:
        jobs=entries_behind,
        code=script_code("write_provenance"),
    message:
        "What every file was made from"
    script:
        "../scripts/write_provenance.py"
