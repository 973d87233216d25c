include: "helpers/export.smk"


rule export_program:
    """Export the torch.export program, from which every AOT artifact of the model is built."""
    input:
        weights="results/weights/{model}.pt",
        origin="results/weights/{model}.pt.origin.json",
    output:
        program="results/programs/{model}.{dtype}.pt2",
        passport="results/programs/{model}.{dtype}.pt2.json",
    log:
        "results/logs/programs/{model}.{dtype}.log",
    benchmark:
        "results/benchmarks/programs/{model}.{dtype}.tsv"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        model=model_class,
        signature=model_signature,
        store_outputs=store_outputs,
        code=script_code("export_program"),
        model_code=model_code,
    message:
        "Program of {wildcards.model} in {wildcards.dtype}"
    script:
        "../scripts/export_program.py"


rule export_jit:
    """Trace or script the model, freeze it, and save the TorchScript artifact."""
    input:
        weights="results/weights/{model}.pt",
        origin="results/weights/{model}.pt.origin.json",
    output:
        artifact="results/artifacts/{model}.{dtype}.pt",
        passport="results/artifacts/{model}.{dtype}.pt.json",
    log:
        "results/logs/jit/{model}.{dtype}.log",
    benchmark:
        "results/benchmarks/jit/{model}.{dtype}.tsv"
    group:
        "artifacts"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        model=model_class,
        signature=model_signature,
        mode=jit_mode,
        code=script_code("export_jit"),
        model_code=model_code,
    message:
        "TorchScript artifact of {wildcards.model} in {wildcards.dtype}"
    script:
        "../scripts/export_jit.py"


rule export_onnx:
    """Export the model as ONNX, and check it in onnxruntime."""
    input:
        weights="results/weights/{model}.pt",
        origin="results/weights/{model}.pt.origin.json",
    output:
        artifact="results/artifacts/{model}.{dtype}.onnx",
        passport="results/artifacts/{model}.{dtype}.onnx.json",
    log:
        "results/logs/onnx/{model}.{dtype}.log",
    benchmark:
        "results/benchmarks/onnx/{model}.{dtype}.tsv"
    group:
        "artifacts"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        model=model_class,
        signature=model_signature,
        code=script_code("export_onnx"),
        model_code=model_code,
    message:
        "ONNX artifact of {wildcards.model} in {wildcards.dtype}"
    script:
        "../scripts/export_onnx.py"


rule export_aot:
    """Compile the program ahead of time for one target, in one profile."""
    input:
        program=buildable_program,
        passport="results/programs/{model}.{dtype}.pt2.json",
    output:
        artifact="results/artifacts/{model}.{dtype}.{target}.{profile}.pt2",
        passport="results/artifacts/{model}.{dtype}.{target}.{profile}.pt2.json",
    log:
        "results/logs/aot/{model}.{dtype}.{target}.{profile}.log",
    benchmark:
        "results/benchmarks/aot/{model}.{dtype}.{target}.{profile}.tsv"
    wildcard_constraints:
        target=one_of(CPU_TARGETS),
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="3GB",
        runtime="1h",
    params:
        code=script_code("export_aot"),
    message:
        "AOTInductor artifact of {wildcards.model} in {wildcards.dtype} for {wildcards.target}, {wildcards.profile}"
    script:
        "../scripts/export_aot.py"


use rule export_aot as export_aot_on_gpu with:
    wildcard_constraints:
        target=CUDA_PATTERN,
    resources:
        mem="8GB",
        runtime="1h",
        gpu=1,


rule pack_artifacts:
    """Pack a model's artifacts for all levels of x86-64 into one, from which a loader picks."""
    input:
        artifacts=level_artifacts,
        passports=level_passports,
    output:
        artifact="results/artifacts/{model}.{dtype}.fat.{profile}.pt2",
        passport="results/artifacts/{model}.{dtype}.fat.{profile}.pt2.json",
    log:
        "results/logs/aot/{model}.{dtype}.fat.{profile}.log",
    benchmark:
        "results/benchmarks/aot/{model}.{dtype}.fat.{profile}.tsv"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="10m",
    params:
        code=script_code("pack_artifacts"),
    message:
        "Fat artifact of {wildcards.model} in {wildcards.dtype}, {wildcards.profile}"
    script:
        "../scripts/pack_artifacts.py"
