import av
import numpy as np
import pytest
from PIL import Image

from vssbench.datasets.camera_motion import CameraMotion, camera_views, flow_between, view
from vssbench.errors import UsageError

SIZE = (96, 128)


def texture(size=SIZE, seed=0):
    """Smooth noise: every block has structure to match, and bicubic sampling keeps it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size[0] // 6, size[1] // 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def test_the_last_view_is_the_identity_exactly():
    views = camera_views(CameraMotion(), SIZE, seed=3)
    assert views.shape == (12, 3, 3)
    np.testing.assert_array_equal(views[-1], np.eye(3))


def test_the_identity_view_is_the_still_pixel_by_pixel():
    still = texture()
    np.testing.assert_array_equal(view(still, np.eye(3)), still)


def test_a_whole_pixel_shift_shows_the_pixels_shifted():
    still = texture()
    shift = np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1]], float)  # the view at (x, y) shows the still at (x+3, y-2)
    np.testing.assert_array_equal(view(still, shift)[2:, :-3], still[:-2, 3:])


def test_beyond_the_border_the_still_goes_on_as_in_a_mirror():
    still = texture()
    shift = np.array([[1, 0, 4], [0, 1, 0], [0, 0, 1]], float)
    # The right-most 4 columns lie beyond the border: mirrored, they are the last 4 of the still, reversed.
    np.testing.assert_array_equal(view(still, shift)[:, -4:], still[:, :-5:-1])


def test_a_shift_far_beyond_the_border_still_shows_pixels_of_the_still():
    shift = np.array([[1, 0, 300], [0, 1, 0], [0, 0, 1]], float)
    still = np.maximum(texture(), 1)
    assert view(still, shift).min() >= 1  # no black from outside


def test_the_same_seed_and_name_give_the_same_path_and_others_another():
    motion = CameraMotion()
    views = camera_views(motion, SIZE, seed=1, name="a")
    np.testing.assert_array_equal(views, camera_views(motion, SIZE, seed=1, name="a"))
    assert not np.array_equal(views, camera_views(motion, SIZE, seed=2, name="a"))
    assert not np.array_equal(views, camera_views(motion, SIZE, seed=1, name="b"))


@pytest.mark.parametrize("seed", range(8))
def test_the_mean_flow_is_the_speed_asked_for_in_proportion_to_the_width(seed):
    views = camera_views(CameraMotion(speed_px=(4.0, 4.0)), (180, 240), seed=seed)
    lengths = [np.linalg.norm(flow_between(views, frame, (180, 240)), axis=2).mean() for frame in range(1, 12)]
    # 4 px at 480 columns are 2 px at 240; the speed is set on a grid of points, hence 1 %.
    assert np.mean(lengths) == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_the_path_is_smooth(seed):
    views = camera_views(CameraMotion(speed_px=(4.0, 4.0)), (90, 120), seed=seed)  # 1 px a frame at this width
    flows = np.stack([flow_between(views, frame, (90, 120)) for frame in range(1, 12)])
    changes = np.linalg.norm(np.diff(flows, axis=0), axis=-1).mean(axis=(1, 2))
    assert changes.max() < 0.5  # a camera that shook would turn its motion over, 2 px


def test_most_drives_go_forward():
    # Forward: the scene grows, so what is now at the right edge was nearer the centre: dx < 0 there, > 0 at the left.
    growing = 0
    for seed in range(60):
        flow = flow_between(camera_views(CameraMotion(), SIZE, seed=seed), 6, SIZE)
        growing += flow[:, 0, 0].mean() - flow[:, -1, 0].mean() > 0
    assert 36 <= growing < 60  # 4 of 5, give or take three standard deviations; and not all


def test_the_flow_takes_each_frame_from_the_one_before():
    still = texture()
    views = camera_views(CameraMotion(speed_px=(8.0, 8.0)), SIZE, seed=5)
    before, now = view(still, views[4]).astype(float), view(still, views[5]).astype(float)
    flow_px = flow_between(views, 5, SIZE)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    at_x, at_y = np.rint(x + flow_px[..., 0]).astype(int), np.rint(y + flow_px[..., 1]).astype(int)
    inner = np.s_[16:-16, 16:-16]
    warped_error = np.abs(now - before[at_y.clip(0, SIZE[0] - 1), at_x.clip(0, SIZE[1] - 1)])[inner].mean()
    wrong_sign = np.abs(now - before[(2 * y - at_y).clip(0, 95), (2 * x - at_x).clip(0, 127)])[inner].mean()
    assert warped_error < 0.4 * np.abs(now - before)[inner].mean()
    assert wrong_sign > np.abs(now - before)[inner].mean()


def test_a_codec_finds_the_simulated_motion(tmp_path):
    size = (192, 256)
    still = texture(size)
    views = camera_views(CameraMotion(num_frames=4, speed_px=(6.0, 6.0)), size, seed=2)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 256, 192, "yuv420p", 3_000_000
        for homography in views:
            frame = av.VideoFrame.from_ndarray(view(still, homography), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    errors = []
    with av.open(str(tmp_path / "a.mp4")) as container:
        container.streams.video[0].codec_context.options = {"flags2": "+export_mvs"}
        for index, frame in enumerate(container.decode(video=0)):
            if index == 0:
                continue
            vectors = frame.side_data.get("MOTION_VECTORS").to_ndarray()
            true = flow_between(views, index, size)
            x, y = vectors["dst_x"], vectors["dst_y"]
            inner = (x > 32) & (x < 224) & (y > 32) & (y < 160)
            for vector in vectors[inner]:
                dx, dy = (
                    vector["motion_x"] / vector["motion_scale"],
                    vector["motion_y"] / vector["motion_scale"],
                )
                errors.append(np.hypot(*(true[vector["dst_y"], vector["dst_x"]] - (dx, dy))))
    # 3.2 px of motion a frame; the codec searches in half pixels over 16x16 blocks
    assert len(errors) > 200
    assert np.median(errors) < 0.5


def test_a_camera_at_rest_shows_the_still_in_every_frame():
    views = camera_views(CameraMotion(speed_px=(0.0, 0.0)), SIZE, seed=0)
    np.testing.assert_array_equal(views, np.broadcast_to(np.eye(3), (12, 3, 3)))


def test_one_frame_is_the_still():
    np.testing.assert_array_equal(camera_views(CameraMotion(num_frames=1), SIZE, seed=0), np.eye(3)[None])


def test_odd_sizes_keep_their_size():
    still = texture((97, 131))[:97, :131]
    views = camera_views(CameraMotion(), still.shape[:2], seed=0)
    assert view(still, views[0]).shape == still.shape


@pytest.mark.parametrize("options", [{"num_frames": 0}, {"speed_px": (3.0, 1.0)}, {"speed_px": (-1.0, 1.0)}])
def test_an_impossible_motion_is_refused(options):
    with pytest.raises(UsageError, match="camera motion needs"):
        CameraMotion(**options)


def test_a_motion_that_would_leave_the_still_is_refused():
    with pytest.raises(UsageError, match=r"60\.0 px pass half the width"):
        CameraMotion(num_frames=12, speed_px=(1.0, 60.0))
