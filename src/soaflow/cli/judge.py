"""`soaflow judge`: judge again, at other limits or by a configuration, from the figures alone."""

import argparse
import dataclasses
from datetime import date
from pathlib import Path

import yaml

from soaflow.cli.verdicts import told
from soaflow.compare.judging import with_tolerances, with_yardstick
from soaflow.compare.summary import require_outputs
from soaflow.compare.tolerances import Tolerance
from soaflow.compare.verdict import Verdict, read_verdict, write_verdict
from soaflow.compare.yardstick import DEFAULT_FACTOR, Yardstick
from soaflow.config import Config
from soaflow.errors import ConfigError
from soaflow.files import check_not_inputs


def run(arguments: argparse.Namespace) -> int:
    """Print the table and the failures at the limits given; where none is given, at the verdict's own."""
    if arguments.json:
        check_not_inputs((arguments.json,), (arguments.verdict,))
    verdict = read_verdict(arguments.verdict)
    require_outputs([verdict])
    if arguments.config:
        verdict = _as_configured(verdict, arguments.config)
    if arguments.absolute is not None or arguments.relative is not None:
        verdict = with_tolerances(verdict, Tolerance(arguments.absolute or 0.0, arguments.relative or 0.0))
    if arguments.factor is not None or arguments.floor is not None:
        factor = DEFAULT_FACTOR if arguments.factor is None else arguments.factor
        verdict = with_yardstick(verdict, Yardstick(factor, arguments.floor or 0.0))
    if arguments.json:
        write_verdict(arguments.json, verdict)
    return told(verdict)


def _as_configured(verdict: Verdict, path: Path) -> Verdict:
    """Judge by the tolerances, yardstick and waivers that a configuration has for the variant."""
    settings = _read_config(path)
    if verdict.model not in settings.models or verdict.variant not in settings.variants:
        raise ConfigError(
            f"{path} has no model '{verdict.model}' in variant '{verdict.variant}', which the verdict is of: "
            "name the configuration of that run"
        )
    dtype = settings.variant(verdict.variant).dtype
    verdict = with_tolerances(verdict, settings.item_tolerances(verdict.model, dtype))
    verdict = with_yardstick(verdict, settings.yardsticks.get(dtype))
    waivers = (waiver.on(date.today()) for waiver in settings.waivers)
    of_this = (w for w in waivers if w.concerns(verdict.dataset, verdict.model, verdict.variant))
    return dataclasses.replace(verdict, waivers=tuple(of_this))


def _read_config(path: Path) -> Config:
    """Read a configuration that a run has used; its schema is the workflow's, and is not asked again."""
    try:
        return Config.from_mapping(yaml.safe_load(path.read_text(encoding="utf-8")), {})
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path} cannot be read as a configuration: {' '.join(str(error).split())}"
        ) from error
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is no complete configuration ({error!r}): check it with snakemake -n"
        ) from error
