from snakemake.utils import min_version

min_version("9.27")


# A configuration named with --configfile stands alone; single keys of --config lie over it.
if not workflow.config_settings.configfiles:

    configfile: "config/config.yaml"


# Snakemake's limiter of submissions wakes the scheduler once more after each job, again and again while jobs
# wait: the more jobs are done the busier it is. Jobs on this machine are limited by its cores.
onstart:
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


onerror:
    if workflow.scheduler.failed:
        logger.error(describe_failures())


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/helpers/failures.smk"
include: "workflow/rules/helpers/run.smk"
include: "workflow/rules/events.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/infer.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/invariance.smk"
include: "workflow/rules/decisions.smk"
include: "workflow/rules/portability.smk"
include: "workflow/rules/profiles.smk"
include: "workflow/rules/speed.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/provenance.smk"


rule all:
    default_target: True
    input:
        run_targets(),
        "results/report/benchmarks.svg",
        "results/provenance.json",
    message:
        "All verdicts passed, all figures are drawn, and every file is tied to what it was made from"
