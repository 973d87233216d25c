"""JSON-schema checks whose error is one sentence that names the key.

>>> schema = {"properties": {"seed": {"type": "integer"}}, "additionalProperties": False}
>>> schema_error({"seed": "one"}, schema)
"key 'seed' is 'one': give an integer"
>>> schema_error({"sead": 1}, schema)
"the top level has unknown key 'sead': use seed"
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend


def _is_integer(_checker: object, value: object) -> bool:
    # JSON Schema counts 2000.0 as an integer; range and reshape do not.
    return type(value) is int


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def schema_error(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return the most telling violation of a schema as one sentence, or None.

    Parameters
    ----------
    value
        JSON-like values.
    schema
        A JSON schema, draft 2020-12.
    """
    error = best_match(_Validator(schema).iter_errors(value))
    if error is None:
        return None
    key = ".".join(str(part) for part in error.absolute_path)
    where = f"key '{key}'" if key else "the top level"
    describe = _DESCRIPTIONS.get(str(error.validator), _other)
    return f"{where} {describe(error.instance, error.validator_value, error)}"


def dates_as_texts(value: Any) -> Any:
    """Return values in which days are texts, as JSON has them: YAML reads 2027-01-31 as a date.

    >>> dates_as_texts({"expires": date(2027, 1, 31)})
    {'expires': '2027-01-31'}
    """
    if isinstance(value, Mapping):
        return {key: dates_as_texts(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [dates_as_texts(entry) for entry in value]
    return value.isoformat() if isinstance(value, date) else value


def _unknown_key(instance: Any, _limit: Any, error: ValidationError) -> str:
    schema: Any = error.schema
    known = sorted(schema.get("properties", {}))
    unknown = sorted(set(map(str, instance)) - set(known))
    return f"has unknown key '{unknown[0]}': use {', '.join(known)}"


def _missing_key(instance: Any, limit: Any, _error: ValidationError) -> str:
    missing = [name for name in limit if name not in instance]
    return f"lacks key '{missing[0]}': add it"


def _wrong_type(instance: Any, limit: Any, _error: ValidationError) -> str:
    kinds = limit if isinstance(limit, str) else " or ".join(limit)
    return f"is {instance!r}: give {'an' if kinds[0] in 'aeiou' else 'a'} {kinds}"


def _no_choice(instance: Any, limit: Any, _error: ValidationError) -> str:
    return f"is {instance!r}: choose one of {', '.join(map(str, limit))}"


def _forbidden_together(instance: Any, limit: Any, _error: ValidationError) -> str:
    keys = limit.get("required", []) if isinstance(limit, Mapping) else []
    if len(keys) == 1:
        return f"has key '{keys[0]}', which does not go with its other values: remove it"
    if keys:
        return f"has the keys {' and '.join(keys)}, which exclude each other: remove one"
    return f"is {instance!r}, which is kept for something else: choose another"


def _other(_instance: Any, _limit: Any, error: ValidationError) -> str:
    return f"does not fit: {error.message}"


_DESCRIPTIONS: Mapping[str, Callable[[Any, Any, ValidationError], str]] = {
    "additionalProperties": _unknown_key,
    "required": _missing_key,
    "type": _wrong_type,
    "enum": _no_choice,
    "not": _forbidden_together,
}
