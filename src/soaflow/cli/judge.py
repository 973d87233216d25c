"""`soaflow judge`: judge again, at other limits or by a configuration, from the figures alone."""

import argparse
import dataclasses
from datetime import date
from pathlib import Path

from soaflow.cli.verdicts import given_yardstick, told
from soaflow.compare.judging import with_tolerances, with_yardstick
from soaflow.compare.summary import require_outputs
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import Verdict, read_verdict, write_verdict
from soaflow.config import Config
from soaflow.errors import ConfigError
from soaflow.files import check_not_inputs, read_yaml


def run(arguments: argparse.Namespace) -> int:
    """Print the table and the failures at the limits given; where none is given, at the verdict's own."""
    if arguments.json:
        check_not_inputs((arguments.json,), (arguments.verdict,))
    verdict = read_verdict(arguments.verdict)
    require_outputs([verdict])
    if arguments.variant and not arguments.config:
        raise ConfigError("--variant names one of a configuration's variants: give it with --config")
    if arguments.config:
        verdict = _as_configured(verdict, arguments.config, arguments.variant or verdict.variant)
    if arguments.absolute is not None or arguments.relative is not None:
        verdict = with_tolerances(verdict, Tolerance(arguments.absolute or 0.0, arguments.relative or 0.0))
    if (yardstick := given_yardstick(arguments)) is not None:
        if not any(output.yard for output in verdict.outputs):
            raise ConfigError(
                f"{arguments.verdict} does not hold the error of eager float32, which --factor and --floor "
                "judge by: compare with --eager, or name another variant's verdict of the workflow"
            )
        verdict = with_yardstick(verdict, yardstick)
    if arguments.json:
        write_verdict(arguments.json, verdict)
    code = told(verdict)
    if arguments.config and any(output.further for output in verdict.outputs):
        print(
            "note: limits of physics, batches and pairs are those that the verdict was made with: "
            "run Snakemake to judge by others"
        )
    return code


def _as_configured(verdict: Verdict, path: Path, variant: str) -> Verdict:
    """Judge by a configuration: tolerances and yardstick of a variant, waivers of the verdict's own."""
    settings = _read_config(path)
    if verdict.model not in settings.models or variant not in settings.variants:
        raise ConfigError(
            f"{path} has no model '{verdict.model}' in variant '{variant}': name the configuration of that "
            "run, and for predictions from elsewhere, with --variant, the variant to judge them as"
        )
    precision = settings.variants[variant].precision
    verdict = with_tolerances(verdict, settings.item_tolerances(verdict.model, precision))
    verdict = with_yardstick(verdict, settings.yardsticks.get(precision))
    waivers = (waiver.on(date.today()) for waiver in settings.waivers)
    of_this = (w for w in waivers if w.concerns(verdict.dataset, verdict.model, verdict.variant))
    return dataclasses.replace(verdict, waivers=tuple(of_this))


def _read_config(path: Path) -> Config:
    """Read a configuration that a run has used; its schema is the workflow's, and is not asked again."""
    entry = read_yaml(path)
    try:
        return Config.from_mapping(entry, {})
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is no complete configuration ({error!r}): check it with snakemake -n"
        ) from error
