"""`soaflow verify`: whether a program or artifact may be loaded here."""

import argparse
from dataclasses import asdict

from soaflow.cli.text import print_json
from soaflow.verification import examine


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each check; no code of the file is loaded."""
    findings = list(examine(arguments.artifact))
    if arguments.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{'fits' if finding.fits else 'DOES NOT FIT':<12}  {finding.name:<9}  {finding.sentence}")
    return 0 if all(finding.fits for finding in findings) else 1
