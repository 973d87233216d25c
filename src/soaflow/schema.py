"""JSON-schema checks whose error is one sentence that names the key."""

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match


def schema_error(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return the most telling violation of a schema as one sentence, or None.

    Parameters
    ----------
    value
        JSON-like values.
    schema
        A JSON schema, draft 2020-12.
    """
    error = best_match(Draft202012Validator(schema).iter_errors(value))
    return None if error is None else _sentence(error)


def _sentence(error: ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path)
    where = f"key '{key}'" if key else "the top level"
    rule, limit = error.validator, error.validator_value
    if rule == "additionalProperties" and isinstance(error.instance, dict):
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(map(str, error.instance)) - set(known))
        return f"{where} has unknown key '{unknown[0]}': use {', '.join(known)}"
    if rule == "required":
        missing = [name for name in limit if name not in error.instance]
        return f"{where} lacks key '{missing[0]}': add it"
    if rule == "type":
        kinds = limit if isinstance(limit, str) else " or ".join(limit)
        return f"{where} is {error.instance!r}: give {_article(kinds)} {kinds}"
    if rule == "enum":
        return f"{where} is {error.instance!r}: choose one of {', '.join(map(str, limit))}"
    if rule == "const":
        return f"{where} is {error.instance!r}: give {limit!r}"
    if error.schema is False or rule is None:
        return f"{where} does not go with the other keys beside it: remove it"
    if rule == "not":
        return f"{where} has {error.instance!r}, which does not go together: see config/README.md"
    return f"{where}: {error.message}"


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
