"""What is told of an error that a model, or what runs it, has raised."""

from collections.abc import Iterator


def with_causes(error: BaseException | None) -> Iterator[Exception]:
    """Yield an error, and then one by one those that it came from.

    >>> try:
    ...     try:
    ...         [][0]
    ...     finally:
    ...         {}["key"]
    ... except KeyError as error:
    ...     print([type(one).__name__ for one in with_causes(error)])
    ['KeyError', 'IndexError']
    """
    while isinstance(error, Exception):
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def any_says(error: Exception, texts: tuple[str, ...]) -> bool:
    """Tell whether an error, or one that it came from, has one of some texts in its message."""
    return any(text in str(one) for one in with_causes(error) for text in texts)


def reason_of(error: Exception) -> str:
    """Return the one line that tells: TorchScript puts it last, under its own traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if lines[0].startswith("The following operation failed") else lines[0]
