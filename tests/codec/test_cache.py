from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace

import pytest
from moving_pattern import moving_pattern

from vssbench.codec import cache as cache_module
from vssbench.codec.cache import EncodeCache
from vssbench.codec.decode import decode
from vssbench.codec.encode import EncodeSettings
from vssbench.errors import BitstreamError, StoreError

SETTINGS = EncodeSettings(codec="mpeg4")


def read_frames(start, stop):
    return iter(list(moving_pattern(12, size=(48, 64)))[start:stop])


def broken_source(start, stop):
    raise RuntimeError("the source was read")


def get(cache, **changes):
    request = {
        "content_key": "clip-1",
        "start": 2,
        "stop": 8,
        "settings": SETTINGS,
        "read_frames": read_frames,
    } | changes
    return cache.get(**request)


def test_a_cut_is_encoded_once_and_found_again(tmp_path):
    cache = EncodeCache(tmp_path)
    path = get(cache)
    assert sum(1 for _ in decode(path)) == 6
    assert get(cache, read_frames=broken_source) == path
    assert (cache.num_encoded, cache.num_found) == (1, 1)
    later = EncodeCache(tmp_path)  # another run
    assert get(later, read_frames=broken_source) == path
    assert (later.num_encoded, later.num_found) == (0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"content_key": "clip-2"},
        {"start": 3},
        {"stop": 7},
        {"settings": replace(SETTINGS, gop_length=3)},
        {"settings": replace(SETTINGS, bitrate_kbps=100)},
        {"settings": replace(SETTINGS, fps=15.0)},
        {"settings": replace(SETTINGS, b_frames=1)},
        {"settings": EncodeSettings(codec="h264")},
    ],
    ids=lambda change: "-".join(change),
)
def test_whatever_changes_the_video_changes_its_place(tmp_path, change):
    cache = EncodeCache(tmp_path)
    assert get(cache) != get(cache, **change)
    assert cache.num_encoded == 2


def test_another_encoder_version_encodes_again(tmp_path, monkeypatch):
    get(EncodeCache(tmp_path))
    monkeypatch.setattr(cache_module, "CACHE_VERSION", cache_module.CACHE_VERSION + 1)
    cache = EncodeCache(tmp_path)
    get(cache)
    assert cache.num_encoded == 1
    monkeypatch.setattr(cache_module.av, "library_versions", {"libavcodec": (1, 2, 3)})
    get(cache)
    assert cache.num_encoded == 2


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def altered(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def removed(path):
    path.unlink()


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        *((".mp4", damage) for damage in (cut_short, empty, altered, removed)),
        *((".json", damage) for damage in (cut_short, empty, removed)),
    ],
)
def test_an_entry_that_a_crash_left_incomplete_is_made_again(tmp_path, damage, suffix):
    path = get(EncodeCache(tmp_path))
    whole = path.read_bytes()
    damage(next(tmp_path.glob(f"*{suffix}")))
    cache = EncodeCache(tmp_path)
    again = get(cache)
    assert cache.num_encoded == 1
    assert again.read_bytes() == whole
    assert get(cache, read_frames=broken_source) == again


@pytest.mark.parametrize("text", ["[]", "{}", '{"video": 3}', "null", '{"video": "no.mp4", "size_bytes": 1}'])
def test_a_record_of_another_form_is_made_again(tmp_path, text):
    get(EncodeCache(tmp_path))
    next(tmp_path.glob("*.json")).write_text(text)
    cache = EncodeCache(tmp_path)
    get(cache)
    assert cache.num_encoded == 1


def test_a_record_without_its_hash_is_made_again(tmp_path):
    path = get(EncodeCache(tmp_path))
    record_path = next(tmp_path.glob("*.json"))
    record = json.loads(record_path.read_text())
    assert record["size_bytes"] == path.stat().st_size
    del record["sha256"]
    record_path.write_text(json.dumps(record))
    cache = EncodeCache(tmp_path)
    assert get(cache) == path
    assert cache.num_encoded == 1


def test_a_crash_while_encoding_leaves_no_entry(tmp_path):
    def crashing(start, stop):
        yield from read_frames(start, start + 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(EncodeCache(tmp_path), read_frames=crashing)
    assert list(tmp_path.iterdir()) == []
    cache = EncodeCache(tmp_path)
    assert sum(1 for _ in decode(get(cache))) == 6
    assert cache.num_encoded == 1


def test_a_crash_before_the_record_is_in_place_leaves_no_entry(tmp_path, monkeypatch):
    honest = cache_module.Path.write_text

    def crash(self, *args, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_module.Path, "write_text", crash)
    with pytest.raises(KeyboardInterrupt):
        get(EncodeCache(tmp_path))
    monkeypatch.setattr(cache_module.Path, "write_text", honest)
    cache = EncodeCache(tmp_path)
    get(cache)
    assert cache.num_encoded == 1


def test_a_source_with_too_few_frames_is_refused(tmp_path):
    with pytest.raises(BitstreamError, match="gave 4 frames where the cut holds 6"):
        get(EncodeCache(tmp_path), read_frames=lambda start, stop: read_frames(start, stop - 2))
    assert list(tmp_path.iterdir()) == []


def _get_in_process(folder, barrier, results):
    barrier.wait()
    path = get(EncodeCache(folder))
    results.put((str(path), sum(1 for _ in decode(path))))


def test_two_processes_at_once_both_get_a_whole_video(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_get_in_process, args=(tmp_path, barrier, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert [frames for _, frames in found] == [6, 6]
    assert get(EncodeCache(tmp_path), read_frames=broken_source).is_file()
    assert not list(tmp_path.glob(".partial*"))


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot write the cache of encoded videos in .*file"):
        EncodeCache(tmp_path / "file" / "cache")


def test_a_folder_that_vanished_is_refused(tmp_path):
    cache = EncodeCache(tmp_path / "cache")
    (tmp_path / "cache").rmdir()
    with pytest.raises(StoreError, match="choose another folder"):
        get(cache)


def test_what_the_source_raises_stays_what_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="the source was read"):
        get(EncodeCache(tmp_path), read_frames=broken_source)

    def missing(start, stop):
        raise FileNotFoundError("frame 2 is missing")

    with pytest.raises(FileNotFoundError, match="frame 2 is missing"):
        get(EncodeCache(tmp_path), read_frames=missing)
