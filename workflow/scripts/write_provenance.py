"""Ties every file of the run to what it was made from."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    import importlib.metadata

    from snakemake.io import IOFile
    from snakemake.persistence.file import FilePersistence

    from soaflow.lineage.recording import JobEntry, OutputRecord, record_provenance

    kept = FilePersistence()

    def recorded(job: JobEntry) -> JobEntry:
        """Add what Snakemake recorded of a job's outputs when it ended."""
        found = {path: kept.metadata(IOFile(path)) for path in job.outputs}
        return job.with_records(
            {
                path: OutputRecord(
                    ended=record.endtime,
                    read={
                        source: checksum.removeprefix("sha256:")
                        for source, checksum in (record.input_checksums or {}).items()
                    },
                    given=frozenset(record.params),
                )
                for path, record in found.items()
                if record is not None
            }
        )

    record_provenance(
        (recorded(JobEntry(**job).with_scripts_in(snakemake.scriptdir)) for job in snakemake.params.jobs),
        configuration=snakemake.config,
        snakemake_version=importlib.metadata.version("snakemake"),
    ).write(snakemake.output.provenance)
