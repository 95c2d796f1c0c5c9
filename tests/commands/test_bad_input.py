from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import run_bench
from vssbench.codec.encode import EncodeSettings, encode


def camvid_folder(folder: Path, *, size: tuple[int, int] = (64, 96), frames: int = 6) -> Path:
    """A labelled run in CamVid's layout, with something to see."""
    random = np.random.default_rng(0)
    (folder / "frames").mkdir(parents=True)
    (folder / "labels").mkdir()
    for i in range(frames):
        name = f"0016E5_{7959 + 2 * i:05d}.png"
        Image.fromarray(random.integers(0, 255, (*size, 3), np.uint8)).save(folder / "frames" / name)
        Image.fromarray(random.integers(0, 11, size, np.uint8)).save(folder / "labels" / name)
    return folder


def run_on(folder: Path, out: Path, weights: Path, *more: str) -> int:
    words = ["run", "--dataset", "camvid-sequence", "--data", str(folder), "--weights", str(weights)]
    return run_bench.main([*words, "--methods", "constant", "--gop", "3", "-o", str(out), "-q", "--no-latency", *more])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--methods", "arsge"], "did you mean arseg"),
        (["--methods", "taplab:ffw+rcg"], "taplab:ffw+rgc"),
        (["--methods", "arseg@half"], "after @ comes a number"),
        (["--methods", "arseg@1.5"], "a scale above 0 and up to 1"),
        (["--methods", "taplab:ffw@0.1"], "goes with rgfs only"),
        (["--methods", ","], "names nothing"),
        (["--dataset", "steet"], "did you mean street"),
        (["--dataset", "camvid-stills"], "--data FOLDER"),
        (["--codec", "vp9"], "vp9"),
        (["--preset", "fastt"], "fastt"),
        (["--device", "cuda:99"], "cuda"),
        (["--plugin", "nowhere.py"], "no plugin file"),
        (["-C", "nowhere.toml"], "cannot read the configuration"),
    ],
)
def test_wrong_usage_says_what_to_do_and_exits_2(bench, tmp_path, capsys, arguments, said):
    assert bench(tmp_path / "run", *arguments) == 2
    assert said in capsys.readouterr().err


def test_an_unknown_flag_exits_2(bench, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        bench(tmp_path / "run", "--mehtods", "arseg")


def test_a_folder_that_cannot_be_written_exits_2(bench, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    assert bench(tmp_path / "file" / "run", "--methods", "guess") == 2
    assert "choose another with -o" in capsys.readouterr().err


def test_weights_that_are_missing_exit_3(bench, tmp_path, capsys):
    assert bench(tmp_path / "run", "--methods", "arseg@0.3") == 3
    assert "vssbench train arseg@0.3" in capsys.readouterr().err


def test_weights_of_other_classes_exit_3(bench, tmp_path, capsys):
    from tiny_weights import write_tiny_weights

    other = write_tiny_weights(tmp_path / "nineteen", num_classes=19)
    assert bench(tmp_path / "run", "--methods", "constant", "--weights", str(other)) == 3
    assert "tells 19 classes apart, the data set has 11" in capsys.readouterr().err


def test_damaged_weights_exit_3(bench, tmp_path, weights, capsys):
    damaged = tmp_path / "damaged"
    shutil.copytree(weights, damaged)
    path = damaged / "constant@0.5.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    assert bench(tmp_path / "run", "--methods", "constant", "--weights", str(damaged)) == 3
    assert "constant@0.5.safetensors" in capsys.readouterr().err


def test_a_clean_camvid_folder_runs(tmp_path, weights):
    assert run_on(camvid_folder(tmp_path / "data"), tmp_path / "run", weights) == 0


def test_a_missing_label_exits_3_and_names_it(tmp_path, weights, capsys):
    data = camvid_folder(tmp_path / "data")
    (data / "labels/0016E5_07963.png").unlink()
    assert run_on(data, tmp_path / "run", weights) == 3
    assert "0016E5_07963" in capsys.readouterr().err


def test_a_label_of_another_size_exits_3_and_names_it(tmp_path, weights, capsys):
    data = camvid_folder(tmp_path / "data")
    Image.fromarray(np.zeros((32, 48), np.uint8)).save(data / "labels/0016E5_07963.png")
    assert run_on(data, tmp_path / "run", weights) == 3
    assert "0016E5_07963" in capsys.readouterr().err


def test_odd_sized_frames_exit_3_and_say_what_to_do(tmp_path, weights, capsys):
    assert run_on(camvid_folder(tmp_path / "data", size=(63, 96)), tmp_path / "run", weights) == 3
    said = capsys.readouterr().err
    assert "63" in said
    assert "even" in said


def test_a_truncated_video_exits_3_and_names_it(tmp_path, weights, capsys):
    data = tmp_path / "data"
    (data / "labels").mkdir(parents=True)
    random = np.random.default_rng(0)
    frames = [random.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(12)]
    encode(frames, tmp_path / "whole.mp4", settings=EncodeSettings(codec="h264", gop_length=4))
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(data / "labels/000007.png")
    whole = (tmp_path / "whole.mp4").read_bytes()
    (data / "video.mp4").write_bytes(whole[: len(whole) // 2])
    words = ["run", "--dataset", "sparse-video", "--data", str(data), "--weights", str(weights), "--gop", "3"]
    assert run_bench.main([*words, "--methods", "constant", "-o", str(tmp_path / "run"), "-q"]) == 3
    assert "video.mp4" in capsys.readouterr().err


def test_what_was_measured_before_an_error_is_kept(tmp_path, weights):
    """A label turns out damaged half-way: the frames before it stay, and the mended run goes on from them."""
    from vssbench.store import Store

    data = camvid_folder(tmp_path / "data")
    good = (data / "labels/0016E5_07969.png").read_bytes()
    (data / "labels/0016E5_07969.png").write_bytes(good[:-40])
    assert run_on(data, tmp_path / "run", weights) == 3
    with Store.open(tmp_path / "run", read_only=True) as store:
        kept = sum(len(store.done_frames(cell.key)) for cell in store.cells())
    assert kept > 0
    (data / "labels/0016E5_07969.png").write_bytes(good)
    assert run_on(data, tmp_path / "run", weights) == 0


def test_data_verify_lists_every_fault_and_exits_1(tmp_path, capsys):
    data = camvid_folder(tmp_path / "data")
    (data / "labels/0016E5_07963.png").unlink()
    Image.fromarray(np.full((64, 96), 33, np.uint8)).save(data / "labels/0016E5_07965.png")
    assert run_bench.main(["data", "verify", "--dataset", "camvid-sequence", "--data", str(data)]) == 1
    said = capsys.readouterr().out
    assert "0016E5_07963" in said
    assert "0016E5_07965" in said


def test_data_verify_of_good_data_exits_0(tmp_path, capsys):
    data = camvid_folder(tmp_path / "data")
    assert run_bench.main(["data", "verify", "--dataset", "camvid-sequence", "--data", str(data)]) == 0
    assert "0 errors" in capsys.readouterr().out


def test_the_encoders_are_there():
    """What the README's commands rely on in PyAV's wheel."""
    for name in ("libx264", "libx265", "mpeg4"):
        assert name in av.codecs_available
