include: "helpers/portability.smk"


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


use rule measure_differences as measure_emulated with:
    input:
        predictions="results/portability/{model}.{dtype}.{target}.{profile}.emulated.h5",
        reference=first_reference,
    output:
        measurement="results/portability/{model}.{dtype}.{target}.{profile}.reference.differences.json",
    log:
        "results/logs/portability/{model}.{dtype}.{target}.{profile}.reference.differences.log",
    benchmark:
        "results/benchmarks/portability/{model}.{dtype}.{target}.{profile}.reference.differences.tsv"
    wildcard_constraints:
        target=one_of(EMULATED_CPUS),
    params:
        first_rows=True,
        inputs=None,
        code=script_code("measure_differences"),
    message:
        "{wildcards.model} for {wildcards.target}, {wildcards.profile}: differences between the emulated CPU and the reference"


use rule judge as judge_emulated with:
    input:
        measurements=[
            "results/portability/{model}.{dtype}.{target}.{profile}.reference.differences.json"
        ],
    output:
        verdict="results/portability/{model}.{dtype}.{target}.{profile}.reference.json",
    log:
        "results/logs/portability/{model}.{dtype}.{target}.{profile}.reference.log",
    benchmark:
        "results/benchmarks/portability/{model}.{dtype}.{target}.{profile}.reference.tsv"
    wildcard_constraints:
        target=one_of(EMULATED_CPUS),
    params:
        shards=["0"],
        tolerances=dtype_tolerances,
        yardstick=None,
        batch_limits={},
        pair_limits={},
        waivers=[],
        code=script_code("judge"),
    message:
        "{wildcards.model} for {wildcards.target}, {wildcards.profile}: verdict on the emulated CPU"


use rule measure_differences as measure_bits with:
    input:
        predictions="results/portability/{model}.{dtype}.{target}.{profile}.emulated.h5",
        reference="results/portability/{model}.{dtype}.{target}.{profile}.here.h5",
    output:
        measurement="results/portability/{model}.{dtype}.{target}.{profile}.bits.differences.json",
    log:
        "results/logs/portability/{model}.{dtype}.{target}.{profile}.bits.differences.log",
    benchmark:
        "results/benchmarks/portability/{model}.{dtype}.{target}.{profile}.bits.differences.tsv"
    wildcard_constraints:
        target=one_of(EMULATED_CPUS),
    params:
        first_rows=False,
        inputs=None,
        code=script_code("measure_differences"),
    message:
        "{wildcards.model} for {wildcards.target}, {wildcards.profile}: differences between the emulated CPU and this one"


use rule judge as judge_bits with:
    input:
        measurements=[
            "results/portability/{model}.{dtype}.{target}.{profile}.bits.differences.json"
        ],
    output:
        verdict="results/portability/{model}.{dtype}.{target}.{profile}.bits.json",
    log:
        "results/logs/portability/{model}.{dtype}.{target}.{profile}.bits.log",
    benchmark:
        "results/benchmarks/portability/{model}.{dtype}.{target}.{profile}.bits.tsv"
    wildcard_constraints:
        target=one_of(EMULATED_CPUS),
    params:
        shards=["0"],
        tolerances=no_tolerances,
        yardstick=None,
        batch_limits={},
        pair_limits={},
        waivers=[],
        code=script_code("judge"),
    message:
        "{wildcards.model} for {wildcards.target}, {wildcards.profile}: whether the emulated CPU gives this one's bits"


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
