import ctypes
import mmap
import threading
import time

import numpy as np
import pytest

from soaflow.infer import process


@pytest.fixture
def mapped(tmp_path):
    """A private map of a file of 32 MiB, with its address."""
    path = tmp_path / "pages"
    path.write_bytes(bytes(32 << 20))
    with path.open("rb") as stream:
        pages = mmap.mmap(stream.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return pages, ctypes.addressof(ctypes.c_char.from_buffer(pages))


def test_a_thread_is_counted_while_it_lives():
    before, end = process.thread_count(), threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    during = process.thread_count()
    end.set()
    thread.join()
    assert during == before + 1


def test_age_of_the_process_grows_with_the_clock():
    first = process.seconds_since_process_start()
    time.sleep(0.05)
    assert 0.03 < process.seconds_since_process_start() - first < 5.0


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_cpu_time_of_another_thread_is_told_from_the_callers():
    start = process.ProcessTimes.now()
    burn(0.05)
    alone = process.ProcessTimes.now().since(start)
    assert alone.cpu >= 0.05
    assert alone.other_threads_cpu < 0.02
    start = process.ProcessTimes.now()
    thread = threading.Thread(target=burn, args=(0.1,))
    thread.start()
    thread.join()
    assert process.ProcessTimes.now().since(start).other_threads_cpu >= 0.08


def test_peak_memory_rises_with_what_was_touched():
    before = process.peak_resident_bytes()
    size = before + (64 << 20)
    block = np.ones(size, np.uint8)
    assert process.peak_resident_bytes() >= size
    assert block[-1] == 1
    assert 0 < process.resident_file_bytes() < process.peak_resident_bytes()


def test_touched_bytes_are_those_of_the_pages_read(mapped):
    pages, address = mapped
    assert process.touched_bytes(address, len(pages)) == 0
    assert pages[0] == 0
    after_one = process.touched_bytes(address, len(pages))
    assert mmap.PAGESIZE <= after_one < len(pages) // 2  # a fault may bring in a folio of 2 MiB
    assert not any(pages[:: mmap.PAGESIZE])
    assert process.touched_bytes(address, len(pages)) == len(pages)


def test_page_cache_holds_a_file_just_written_though_this_process_did_not_touch_it(mapped):
    pages, address = mapped
    assert process.page_cache_bytes(address, len(pages)) == len(pages)
    assert process.touched_bytes(address, len(pages)) == 0


def test_ranges_count_by_whole_pages(mapped):
    _, address = mapped
    assert process.page_cache_bytes(address + 10, 1) == mmap.PAGESIZE
    assert process.page_cache_bytes(address + mmap.PAGESIZE - 1, 2) == 2 * mmap.PAGESIZE
    assert process.page_cache_bytes(address, 0) == process.touched_bytes(address, 0) == 0


def test_page_cache_of_an_unmapped_range_is_an_error():
    with pytest.raises(OSError, match="memory"):
        process.page_cache_bytes(mmap.PAGESIZE, mmap.PAGESIZE)
