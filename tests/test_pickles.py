"""Pickles that torch does not write are refused; those that it writes are in `test_archives.py`."""

import os
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soaflow.errors import ArtifactError
from soaflow.pickles import check_tensor_pickle, check_torchscript_pickle


class Planted:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("echo planted",)


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        (pickle.dumps(Planted(), protocol=4), "instruction (FRAME|SHORT_BINUNICODE|STACK_GLOBAL)"),
        (pickle.dumps(Planted(), protocol=0), "would load 'posix.system|instruction"),
        (b"\x80\x02ctorch.hub\nload\n.", r"would load 'torch\.hub\.load"),
        (b"\x80\x02cbuiltins\neval\n.", r"would load 'builtins\.eval"),
        (b"\x80\x02c__torch__\nos.system\n.", r"would load '__torch__\.os\.system"),
        (b"\x80\x02c__torch__.a;b\nC\n.", "would load"),
        (b"\x80\x02ccollections\\x20Ordered\nDict\n.", "would load"),
        (b"\x80\x02ctorch._utils\\x5f\n_rebuild_tensor_v2\n.", "would load"),
        (b"\x80\x02ccollections\n\\x4frderedDict\n.", r"would load"),
        (b"\x80\x02(ios\nsystem\n.", "instruction INST"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"\x80\x02N.\x80\x02N.", "bytes behind its pickle"),
        (b"\x80\x02N", "not a whole pickle"),
        (b"\x80\x02X\xff\xff\xff\xff.", "not a whole pickle"),
        (b"\x80\x02ctorch\nFloatStorage", "not a whole pickle"),
        (b"", "not a whole pickle"),
        (b"\xff", "instruction ff"),
    ],
)
def test_a_pickle_that_torch_does_not_write_is_refused(planted, words):
    for check in (check_tensor_pickle, check_torchscript_pickle):
        with pytest.raises(ArtifactError, match=words):
            check(planted, "x", "data.pkl")


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=6),
            st.sampled_from(
                [
                    bytes([code])
                    for code in b"c(.NKJMX}]tRbqhQVGIFLSTUBCEiou\x80\x85\x86\x88\x8a\x8b\x8c\x93\x95"
                ]
            ),
            st.sampled_from(
                [b"ctorch._utils\n_rebuild_tensor_v2\n", b"L" + b"9" * 6000 + b"\n", b"\x8b\xff\xff\xff\x7f"]
            ),
        ),
        max_size=12,
    ).map(b"".join)
)
def test_any_bytes_as_a_pickle_are_refused_with_a_sentence_or_accepted(data):
    for check in (check_tensor_pickle, check_torchscript_pickle):
        try:
            check(data, "x", "data.pkl")
        except ArtifactError as error:
            assert str(error).isprintable()  # noqa: PT017
