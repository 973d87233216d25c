import csv
import xml.etree.ElementTree as ET

import pytest

from soaflow.errors import StorageError
from soaflow.report.benchmarks import costs_of, read_cost, summarize_benchmarks

HEADING = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture
def measured(tmp_path):
    """A file as Snakemake writes it for one job."""
    numbers = iter(range(1000))

    def measured(seconds, rss="100.00", cpu="1.50", io_in="0.25", io_out="2.00"):
        path = tmp_path / f"{next(numbers)}.tsv"
        row = f"{seconds}\t0:00:01\t{rss}\t9\t9\t9\t{io_in}\t{io_out}\t90\t{cpu}\n"
        path.write_text(HEADING + row)
        return path

    return measured


def table(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_a_line_for_each_rule_the_dearest_first(measured, tmp_path):
    infer = [measured(4.0, rss="300.00", cpu="3.00"), measured(2.0), measured(3.0)]
    summarize_benchmarks({"judge": [measured(1.0)], "infer": infer}, tmp_path / "t.tsv", tmp_path / "p.svg")
    first, second = table(tmp_path / "t.tsv")
    assert (first["rule"], second["rule"]) == ("infer", "judge")
    expected = {"jobs": "3", "measured": "3", "seen": "3", "share": "0.9000"}
    expected |= {"s_sum": "9.00", "s_median": "3.00", "s_max": "4.00"}
    expected |= {"cpu_time_sum": "6.00", "cpu_time_median": "1.50", "cpu_time_max": "3.00"}
    expected |= {"max_rss_median": "100.00", "max_rss_max": "300.00"}
    expected |= {"io_in_sum": "0.75", "io_out_sum": "6.00", "io_out_max": "2.00"}
    assert expected.items() <= first.items()
    assert float(first["share"]) + float(second["share"]) == pytest.approx(1.0)
    assert ET.parse(tmp_path / "p.svg").getroot().tag.endswith("svg")


def test_what_nobody_saw_is_not_zero(measured, tmp_path):
    """The planted faults: a job too short to be seen, one that Snakemake did not see, and no file."""
    short, unseen = measured(0.4, rss="1.50", cpu="0.00"), measured(2.0, *["NA"] * 4)
    files = {"judge": [short, unseen, tmp_path / "no.tsv"]}
    summarize_benchmarks(files, tmp_path / "t.tsv", tmp_path / "p.svg")
    (line,) = table(tmp_path / "t.tsv")
    assert (line["jobs"], line["measured"], line["seen"], line["s_sum"]) == ("3", "2", "0", "2.40")
    for name in ("cpu_time_sum", "max_rss_max", "io_in_sum", "io_out_median"):
        assert line[name] == "NA"


def test_jobs_that_were_seen_are_not_diluted_by_those_that_were_not(measured):
    (rule,) = costs_of({"judge": [measured(0.2, rss="1.00"), measured(2.0, rss="50.00")]})
    assert rule.median("max_rss") == 50.0
    assert rule.total("s") == pytest.approx(2.2)


def test_dashes_are_not_numbers(measured):
    assert read_cost(measured(2.0, io_in="-", io_out="-")).io_in is None


def test_a_run_of_which_nothing_was_measured(tmp_path):
    summarize_benchmarks({"judge": [tmp_path / "no.tsv"]}, tmp_path / "t.tsv", tmp_path / "p.svg")
    (line,) = table(tmp_path / "t.tsv")
    assert (line["jobs"], line["measured"], line["s_sum"], line["share"]) == ("1", "0", "NA", "NA")


@pytest.mark.parametrize("damage", ["columns", "value", "rows", "cells"])
def test_a_file_of_another_kind_is_named(measured, damage):
    path = measured(2.0)
    text = path.read_text()
    damaged = {
        "columns": text.replace("max_rss", "rss"),
        "value": text.replace("100.00", "much"),
        "rows": text + text.splitlines()[1] + "\n",
        "cells": text.rstrip().rpartition("\t")[0] + "\n",
    }
    path.write_text(damaged[damage])
    with pytest.raises(StorageError, match=path.name):
        read_cost(path)


def test_the_order_of_the_files_does_not_matter(measured, tmp_path):
    files = [measured(seconds) for seconds in (2.0, 0.1, 0.3, 7.7)]
    for name, ordered in (("one", files), ("two", files[::-1])):
        summarize_benchmarks({"judge": ordered}, tmp_path / f"{name}.tsv", tmp_path / f"{name}.svg")
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "two.tsv").read_bytes()
