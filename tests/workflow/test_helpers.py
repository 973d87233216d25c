"""All rule files share one namespace: of two helpers with one name, the first is lost without a word."""

import re
from collections import Counter
from pathlib import Path

import pytest

RULES = sorted((Path(__file__).parents[2] / "workflow/rules").rglob("*.smk"))

DEFINED = re.compile(r"^(?:def\s+)?(\w+)(?:\(| = )", re.MULTILINE)
IMPORTED = re.compile(r"^from \S+ import (\([^)]*\)|.*)$", re.MULTILINE)


def defined_names(texts):
    """Functions and values that the texts define at their top, each as often as it is defined."""
    return [name for text in texts for name in DEFINED.findall(text)]


def imported_names(texts):
    listed = [names for text in texts for names in IMPORTED.findall(text)]
    return {name for names in listed for name in re.findall(r"\w+", names)}


def names_lost(texts):
    """Names that a later definition or import takes from an earlier one."""
    counts = Counter(defined_names(texts))
    return sorted(name for name, count in counts.items() if count > 1 or name in imported_names(texts))


@pytest.fixture(scope="module")
def texts():
    found = [file.read_text() for file in RULES]
    assert len(found) > 20
    return found


def test_no_helper_takes_the_name_of_another(texts):
    assert names_lost(texts) == []


@pytest.mark.parametrize(
    "planted",
    ["def model_of(wildcards):\n    return 1\n", "settings = {}\n", "def asdict(record):\n    pass\n"],
)
def test_a_planted_second_definition_is_found(texts, planted):
    name = DEFINED.match(planted).group(1)
    assert names_lost([*texts, planted]) == [name]


def test_every_helper_is_used(texts):
    everything = "\n".join([*texts, (RULES[0].parents[2] / "Snakefile").read_text()])
    words = Counter(re.findall(r"\w+", everything))
    assert [name for name in defined_names(texts) if words[name] < 2] == []


RULE = re.compile(r"^rule (\w+):\n((?:    .*\n|\n)+)", re.MULTILINE)


def scripts_without_digest(texts):
    """Rules whose script is not the one that they have the digest of among their params."""
    found = []
    for name, body in (match for text in texts for match in RULE.findall(text)):
        script = re.search(r'scripts/(\w+)\.py"', body)
        if script and f'code=script_code("{script[1]}")' not in body:
            found.append(name)
    return found


def test_every_rule_has_the_digest_of_its_script(texts):
    assert sum(len(RULE.findall(text)) for text in texts) > 25
    assert scripts_without_digest(texts) == []


def test_a_planted_script_without_digest_is_found(texts):
    planted = [text.replace('script_code("train")', 'script_code("judge")') for text in texts]
    assert scripts_without_digest(planted) == ["train"]
