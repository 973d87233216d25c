# What a run is for, and which jobs it is made of.


def run_targets():
    """What a run is for; everything else is made on the way there."""
    return [
        "results/verdicts/passed.txt",
        "results/report/verdicts.html",
        "results/report/pipeline.svg",
        *learning_curves(),
        *physics_plots(),
        *difference_plots(),
        *invariance_plots(),
        *decision_plots(),
        *parity_plots(),
        *performance_plots(),
        *profile_plots(),
        *speed_plots(BRIEF),
        *start_plots(BRIEF),
    ]


def jobs_behind(files):
    """Every job that files were made by, directly or through others."""
    makers = {file: job for job in workflow.dag.jobs for file in job.output}
    waiting, seen = list(files), set()
    while waiting:
        job = makers.get(waiting.pop())
        if job is not None and job not in seen:
            seen.add(job)
            yield job
            waiting += job.input
