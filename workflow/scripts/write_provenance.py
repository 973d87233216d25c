"""Ties every file of the run to what it was made from."""

from typing import TYPE_CHECKING

from soaflow.logs import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake

    snakemake: Snakemake

with job_log(snakemake.log[0], snakemake.input):
    import importlib.metadata
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from snakemake.io import IOFile
    from snakemake.persistence.file import FilePersistence

    from soaflow.lineage.recording import JobEntry, record_provenance

    kept = FilePersistence()

    def at_hand(code: dict[str, str]) -> dict[str, str]:
        """Find the scripts beside this one; of a workflow imported from afar they lie nowhere here."""
        beside = {"code": str(Path(snakemake.scriptdir, Path(code["code"]).name))} if "code" in code else {}
        return {
            name: path for name, path in (code | beside).items() if name != "code" or Path(path).is_file()
        }

    def entries() -> Iterator[JobEntry]:
        """Join what Snakemake knows of each job and what it recorded when the job ended."""
        for job in snakemake.params.jobs:
            records: dict[str, Any] = {path: kept.metadata(IOFile(path)) for path in job["outputs"]}
            found = [record for record in records.values() if record is not None]
            yield JobEntry(
                **job | {"code": at_hand(job["code"])},
                read={
                    path: checksum.removeprefix("sha256:")
                    for record in found
                    for path, checksum in (record.input_checksums or {}).items()
                },
                ended={path: record.endtime for path, record in records.items() if record is not None},
                given=frozenset(found[0].params) if found else None,
            )

    record_provenance(
        entries(),
        configuration=snakemake.config,
        snakemake_version=importlib.metadata.version("snakemake"),
    ).write(snakemake.output.provenance)
