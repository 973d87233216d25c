include: "helpers/report.smk"


rule plot_learning_curve:
    """Training and validation loss over the epochs."""
    input:
        curve="results/training/{model}.tsv",
    output:
        plot=report(
            "results/report/learning_curves/{model}.svg",
            caption="../report/learning_curve.rst",
            category="Training",
            labels={"model": "{model}", "figure": "learning curve"},
        ),
    log:
        "results/logs/report/learning_curves/{model}.log",
    benchmark:
        "results/benchmarks/report/learning_curves/{model}.tsv"
    group:
        "figures"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("plot_learning_curve"),
    message:
        "Learning curve of {wildcards.model}"
    script:
        "../scripts/plot_learning_curve.py"


rule plot_physics:
    """What the trained model is worth: resolution, ROC or confusion matrix on the validation rows."""
    input:
        events=training_events,
        predictions=reference_predictions,
    output:
        plot=report(
            "results/report/physics/{model}.{tensor}.svg",
            caption="../report/physics.rst",
            category="Physics",
            labels={"model": "{model}", "figure": "{tensor}"},
        ),
        figures="results/report/physics/{model}.{tensor}.json",
    log:
        "results/logs/report/physics/{model}.{tensor}.log",
    benchmark:
        "results/benchmarks/report/physics/{model}.{tensor}.tsv"
    group:
        if_few_shards("figures")
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="1GB",
        runtime="30m",
    params:
        target=target_entry,
        item=target_prediction_item,
        validation_fraction=validation_fraction,
        code=script_code("plot_physics"),
    message:
        "Physics of {wildcards.model}, output {wildcards.tensor}"
    script:
        "../scripts/plot_physics.py"


rule plot_differences:
    """Differences of every variant from the reference: how many of which size, and at which magnitude."""
    input:
        verdicts=model_verdicts,
    output:
        histograms=report(
            "results/report/differences/{model}.svg",
            caption="../report/differences.rst",
            category="Comparison",
            labels={"model": "{model}", "figure": "differences"},
        ),
        magnitudes=report(
            "results/report/magnitudes/{model}.svg",
            caption="../report/magnitudes.rst",
            category="Comparison",
            labels={"model": "{model}", "figure": "differences by magnitude"},
        ),
    log:
        "results/logs/report/differences/{model}.log",
    benchmark:
        "results/benchmarks/report/differences/{model}.tsv"
    group:
        if_few_shards("judgement")
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("plot_differences"),
    message:
        "Differences of {wildcards.model}"
    script:
        "../scripts/plot_differences.py"


rule plot_parity:
    """Values of every variant against the reference's, and the residuals."""
    input:
        references=model_references,
        predictions=model_predictions,
        measurements=model_measurements,
    output:
        plot=report(
            "results/report/parity/{model}.svg",
            caption="../report/parity.rst",
            category="Comparison",
            labels={"model": "{model}", "figure": "parity and residuals"},
        ),
    log:
        "results/logs/report/parity/{model}.log",
    benchmark:
        "results/benchmarks/report/parity/{model}.tsv"
    group:
        if_few_shards("figures")
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="1GB",
        runtime="30m",
    params:
        code=script_code("plot_parity"),
    message:
        "Parity and residuals of {wildcards.model}"
    script:
        "../scripts/plot_parity.py"


rule plot_performance:
    """Throughput, memory and start-up of every variant of a model."""
    input:
        proofs=model_proofs,
    output:
        plot=report(
            "results/report/performance/{model}.svg",
            caption="../report/performance.rst",
            category="Performance",
            labels={"model": "{model}", "figure": "throughput and memory"},
        ),
        figures="results/report/performance/{model}.json",
    log:
        "results/logs/report/performance/{model}.log",
    benchmark:
        "results/benchmarks/report/performance/{model}.tsv"
    group:
        if_few_shards("figures")
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("plot_performance"),
    message:
        "Performance of {wildcards.model}"
    script:
        "../scripts/plot_performance.py"


rule write_verdict_table:
    """All verdicts with their figures, as a page."""
    input:
        verdicts=verdict_files(),
    output:
        table=report(
            "results/report/verdicts.html",
            caption="../report/verdicts.rst",
            category="Comparison",
            labels={"model": "all", "figure": "verdict table"},
        ),
        heat_map=report(
            "results/report/verdicts.svg",
            caption="../report/heat_map.rst",
            category="Comparison",
            labels={"model": "all", "figure": "verdict overview"},
        ),
    log:
        "results/logs/report/verdicts.log",
    benchmark:
        "results/benchmarks/report/verdicts.tsv"
    group:
        "figures"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("write_verdict_table"),
    message:
        "Verdict table"
    script:
        "../scripts/write_verdict_table.py"


rule plot_pipeline:
    """The stages and what goes from one to the next."""
    output:
        plot=report(
            "results/report/pipeline.svg",
            caption="../report/pipeline.rst",
            category="Pipeline",
            labels={"model": "all", "figure": "stages"},
        ),
    log:
        "results/logs/report/pipeline.log",
    benchmark:
        "results/benchmarks/report/pipeline.tsv"
    group:
        "figures"
    conda:
        "../envs/soaflow.yaml"
    threads: 1
    resources:
        mem="500MB",
        runtime="10m",
    params:
        code=script_code("plot_pipeline"),
    message:
        "Picture of the pipeline"
    script:
        "../scripts/plot_pipeline.py"
