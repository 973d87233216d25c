include: "helpers/infer.smk"


rule infer:
    """Run a model in one variant on one shard, single-threaded and without copying its input."""
    input:
        unpack(model_files),
        events="results/events/{dataset}/{shard}.h5",
    output:
        predictions="results/predictions/{dataset}/{shard}/{model}.{variant}.h5",
        proof="results/predictions/{dataset}/{shard}/{model}.{variant}.proof.json",
    log:
        "results/logs/infer/{dataset}/{shard}/{model}.{variant}.log",
    benchmark:
        "results/benchmarks/infer/{dataset}/{shard}/{model}.{variant}.tsv"
    wildcard_constraints:
        variant=one_of(CPU_VARIANTS),
    group:
        "inference"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="1h",
    params:
        model=model_class,
        signature=model_signature,
        variant=variant_entry,
        code=script_code("infer"),
        model_code=model_code,
    message:
        "Inference: {wildcards.model} as {wildcards.variant} on {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/infer.py"


use rule infer as infer_on_gpu with:
    wildcard_constraints:
        variant=one_of(GPU_VARIANTS),
    group:
        "inference_on_gpu"
    resources:
        mem="4GB",
        runtime="1h",
        gpu=1,


rule gather_predictions:
    """Show the predictions of all shards in one file, without a copy."""
    input:
        shards=dataset_predictions,
    output:
        gathered="results/predictions/{dataset}/{model}.{variant}.h5",
    log:
        "results/logs/gather/{dataset}/{model}.{variant}.log",
    benchmark:
        "results/benchmarks/gather/{dataset}/{model}.{variant}.tsv"
    wildcard_constraints:
        variant=one_of([*CPU_VARIANTS, *GPU_VARIANTS]),
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("gather_predictions"),
    message:
        "All shards of {wildcards.dataset} in one file: {wildcards.model} as {wildcards.variant}"
    script:
        "../scripts/gather_predictions.py"


rule gather:
    """Show the predictions of every model and variant, the reference too, in one file a dataset."""
    input:
        gathered_files(),
    message:
        "Predictions of all shards are gathered"
