rule infer_emulated:
    """Run an artifact on the first rows of a shard, on an emulated CPU of its target's level."""
    input:
        artifact="results/artifacts/{model}.{dtype}.{target}.{profile}.pt2",
        passport="results/artifacts/{model}.{dtype}.{target}.{profile}.pt2.json",
        events=first_events,
    output:
        predictions="results/portability/{model}.{dtype}.{target}.{profile}.emulated.h5",
    log:
        "results/logs/portability/{model}.{dtype}.{target}.{profile}.emulated.log",
    benchmark:
        "results/benchmarks/portability/{model}.{dtype}.{target}.{profile}.emulated.tsv"
    wildcard_constraints:
        target=one_of(EMULATED_CPUS),
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        cpu=emulated_cpu,
        code=script_code("infer_emulated"),
    message:
        "{wildcards.model} in {wildcards.dtype} for {wildcards.target}, {wildcards.profile}, on an emulated {params.cpu}"
    script:
        "../scripts/infer_emulated.py"


rule infer_unproven:
    """Run the artifact on the same rows on this machine's own CPU."""
    input:
        artifact="results/artifacts/{model}.{dtype}.{target}.{profile}.pt2",
        passport="results/artifacts/{model}.{dtype}.{target}.{profile}.pt2.json",
        events=first_events,
    output:
        predictions="results/portability/{model}.{dtype}.{target}.{profile}.here.h5",
    log:
        "results/logs/portability/{model}.{dtype}.{target}.{profile}.here.log",
    benchmark:
        "results/benchmarks/portability/{model}.{dtype}.{target}.{profile}.here.tsv"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="2GB",
        runtime="30m",
    params:
        code=script_code("infer_unproven"),
    message:
        "{wildcards.model} in {wildcards.dtype} for {wildcards.target}, {wildcards.profile}, on this CPU"
    script:
        "../scripts/infer_unproven.py"


use rule compare as compare_emulated with:
    input:
        predictions="results/portability/{model}.{dtype}.{target}.{profile}.emulated.h5",
        reference=first_reference,
    output:
        verdict="results/portability/{model}.{dtype}.{target}.{profile}.reference.json",
    log:
        "results/logs/portability/{model}.{dtype}.{target}.{profile}.reference.log",
    benchmark:
        "results/benchmarks/portability/{model}.{dtype}.{target}.{profile}.reference.tsv"
    wildcard_constraints:
        target=one_of(EMULATED_CPUS),
    params:
        tolerances=dtype_tolerances,
        first_rows=True,
        yardstick=None,
        inputs=None,
        code=script_code("compare"),
    message:
        "{wildcards.model} for {wildcards.target}, {wildcards.profile}: the emulated CPU against the reference"


use rule compare as compare_bits with:
    input:
        predictions="results/portability/{model}.{dtype}.{target}.{profile}.emulated.h5",
        reference="results/portability/{model}.{dtype}.{target}.{profile}.here.h5",
    output:
        verdict="results/portability/{model}.{dtype}.{target}.{profile}.bits.json",
    log:
        "results/logs/portability/{model}.{dtype}.{target}.{profile}.bits.log",
    benchmark:
        "results/benchmarks/portability/{model}.{dtype}.{target}.{profile}.bits.tsv"
    wildcard_constraints:
        target=one_of(EMULATED_CPUS),
    params:
        tolerances=no_tolerances,
        first_rows=False,
        yardstick=None,
        inputs=None,
        code=script_code("compare"),
    message:
        "{wildcards.model} for {wildcards.target}, {wildcards.profile}: the bits of the emulated CPU against this one's"


use rule summarize_verdicts as summarize_portability with:
    input:
        verdicts=portability_verdicts,
    output:
        summary="results/portability/{model}.tsv",
    log:
        "results/logs/portability/{model}.summary.log",
    benchmark:
        "results/benchmarks/portability/{model}.summary.tsv"
    message:
        "Summary of {wildcards.model} on emulated CPUs"


use rule require_verdicts as require_portability with:
    input:
        verdicts=portability_verdicts,
        summary="results/portability/{model}.tsv",
    output:
        passed="results/portability/{model}.passed.txt",
    log:
        "results/logs/portability/{model}.passed.log",
    benchmark:
        "results/benchmarks/portability/{model}.passed.tsv"
    message:
        "Check that {wildcards.model} is right on every emulated CPU"


rule portability:
    """Every model on an emulated CPU of each level among the targets."""
    input:
        expand("results/portability/{model}.passed.txt", model=settings.models),
    message:
        "All models are right on every emulated CPU"
