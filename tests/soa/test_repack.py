import h5py
import pytest

from soaflow.errors import OutputError
from soaflow.soa import repack as repack_module
from soaflow.soa.repack import repack
from soaflow.soa.storage import read_header


@pytest.fixture
def copied(tmp_path, every_kind, values_of, write_events):
    """A sound file and a copy of it that h5py has chunked and compressed throughout."""
    placements = {"particles": every_kind.place(333), "none": every_kind.place(0)}
    values = {name: values_of(every_kind, p.rows, 3) for name, p in placements.items()}
    sound = write_events(tmp_path / "sound.h5", placements, values)
    with h5py.File(sound) as source, h5py.File(tmp_path / "copied.h5", "w") as copy:
        copy.attrs.update(source.attrs)
        for name, group in source.items():
            made = copy.create_group(name)
            made.attrs.update(group.attrs)
            for item, dataset in group.items():
                chunked = {"chunks": True, "compression": "gzip"} if dataset.size and dataset.shape else {}
                made.create_dataset(item, data=dataset[...], **chunked).attrs.update(dataset.attrs)
    return sound, tmp_path / "copied.h5"


def test_a_repacked_file_equals_the_first_one_byte_for_byte(copied, monkeypatch):
    sound, copy = copied
    monkeypatch.setattr(repack_module, "_ROWS_PER_COPY", 100)
    repack(copy, copy.with_name("out.h5"))
    assert copy.with_name("out.h5").read_bytes() == sound.read_bytes()


def test_a_file_may_be_repacked_in_place_and_twice(copied):
    sound, copy = copied
    repack(copy, copy)
    repack(copy, copy)
    assert copy.read_bytes() == sound.read_bytes()


def test_padding_that_another_tool_left_dirty_is_zeroed(copied):
    sound, _ = copied
    before = sound.read_bytes()
    with h5py.File(sound, "r+") as file:
        file["particles/image"][:, :, 333:] = 7.0
    repack(sound, sound)
    assert sound.read_bytes() == before


def test_a_destination_that_cannot_be_written_is_a_sentence(copied):
    _, copy = copied
    with pytest.raises(OutputError, match=r"copied\.h5/out\.h5 cannot be written"):
        repack(copy, copy / "out.h5")
    assert read_header(copy.with_name("sound.h5")).collections
