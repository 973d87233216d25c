include: "helpers/train.smk"


rule train:
    """Train a model on one thread, bit for bit reproducibly."""
    input:
        events=training_events,
    output:
        weights="results/weights/{model}.pt",
        origin="results/weights/{model}.pt.origin.json",
        curve="results/training/{model}.tsv",
    log:
        "results/logs/train/{model}.log",
    benchmark:
        "results/benchmarks/train/{model}.tsv"
    wildcard_constraints:
        model=one_of(TRAINED),
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="4h",
    params:
        model=model_class,
        signature=model_signature,
        training=training_entry,
        code=script_code("train"),
        model_code=model_code,
    message:
        "Train {wildcards.model}"
    script:
        "../scripts/train.py"


rule take_weights:
    """Take a model's given weights, or its initial ones where it is neither trained nor given any."""
    input:
        weights=given_weights,
        origin=given_origin,
    output:
        weights="results/weights/{model}.pt",
        origin="results/weights/{model}.pt.origin.json",
    log:
        "results/logs/weights/{model}.log",
    benchmark:
        "results/benchmarks/weights/{model}.tsv"
    wildcard_constraints:
        model=one_of(NOT_TRAINED),
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="1GB",
        runtime="10m",
    params:
        model=model_class,
        code=script_code("take_weights"),
        model_code=model_code,
    message:
        "Weights of {wildcards.model}"
    script:
        "../scripts/take_weights.py"
