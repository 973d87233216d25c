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
