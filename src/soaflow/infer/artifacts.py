"""Whether an artifact is one that a job may load: verified, of the right kind, and for the job's signature.

The invariant: nothing of a file is loaded before `verified_passport` has returned for it.
"""

from collections.abc import Collection
from pathlib import Path

from soaflow.description import Description
from soaflow.errors import ArtifactError
from soaflow.passport import Passport
from soaflow.soa.signature import Signature
from soaflow.verification import verify_artifact


def verified_passport(
    path: Path | str, signature: Signature, kinds: tuple[str, ...], accept: Collection[str]
) -> Passport:
    """Return an artifact's passport after a check that file, kind and signature are those expected.

    Parameters
    ----------
    path
        Of the artifact; its passport lies beside it.
    signature
        Of the job; the artifact's must be the same.
    kinds
        That it may be of, as `soaflow.archives` names them; the first one is told in an error.
    accept
        What need not fit; see `soaflow.verification.verify_artifact`.

    Raises
    ------
    ArtifactError
        If the artifact is corrupt, is another than its passport's, does not fit this machine, or is of
        another kind or signature.
    """
    passport = verify_artifact(path, accept=accept)
    description = passport.description
    if description.kind not in kinds:
        raise ArtifactError(
            f"{path} is of kind '{description.kind}', not '{kinds[0]}': name a file of that kind"
        )
    if description.signature != signature.to_mapping():
        raise ArtifactError(
            f"{path} was exported for other inputs or outputs than the job's: see "
            f"{_differing(description, signature)}, and export the model again"
        )
    return passport


def _differing(description: Description, signature: Signature) -> str:
    mine = signature.to_mapping()
    for part in ("inputs", "outputs"):
        theirs = {spec["name"]: spec for spec in description.signature.get(part, [])}
        for spec in mine[part]:
            if theirs.pop(spec["name"], None) != spec:
                return f"{part} '{spec['name']}'"
        if theirs:
            return f"{part} '{next(iter(theirs))}'"
    return "the output layout and the order of the tensors"
