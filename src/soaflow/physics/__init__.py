"""Formulas of physics results, each defined once for the stages that measure by it and those that draw it."""
