"""The command line: argument parsing and nothing else."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shlex
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from vssbench.errors import UsageError
from vssbench.records import Backend

COMMANDS = ("run", "train", "data", "report", "check", "published", "motion", "ls")

EXAMPLES = """examples:
  python run_bench.py --methods arseg,taplab
  vssbench run --methods constant,arseg@0.5,taplab:ffw+rgc --codec hevc,mpeg4
  vssbench run --dataset camvid-sequence --data ~/camvid15 --weights weights/camvid -o runs/camvid
  vssbench train --recipe recipes/street.toml --weights weights/street
  vssbench data verify --dataset camvid-stills --data ~/camvid_stills
  vssbench check runs/street
  vssbench motion video.mp4 -o vectors.npz --overlay vectors.mp4

exit codes: 0 all is well; 1 a method failed, or a check found something; 2 wrong usage;
3 data or weights missing or damaged; 4 nothing was measured; 130 interrupted (the same command goes on)"""


MOTION_EPILOG = """examples:
  vssbench motion video.mp4
  vssbench motion video.mp4 -o vectors.npz --overlay vectors.mp4
  vssbench motion video.mp4 --png frame.png --frame 40 --zoom 2

the .npz, T frames in display order on a grid of 4x4 pixels:
  mv            (T, h4, w4, 2, 2) int16  list 0 or 1, then (x, y), quarter pixels; p comes from p + mv / 4
  frames_back   (T, h4, w4, 2) int16     how many frames earlier the source is shown; 0 where the list is unused
  pred_mode     (T, h4, w4) uint8        0 intra, 1 inter, 2 skipped (HEVC alone)
  index, frame_type, size_bytes          (T,) place in display order, I P or B, bytes of the coded picture
  coded_size, display_size, display_origin, codec, video, fps, errors, format_version
  HEVC also: ref_poc_delta, cu_log2, part_mode, poc, slice_type

the drawing: a dot in the middle of the block, a line to its source
  past: yellow 1 frame back, orange 2, vermilion 3 or more; future: light blue 1 frame later, green 2 or more
  white dot with two lines: mean of two sources; grey: a source never shown; purple tint: intra

exit codes: 0 all is well; 1 damage, and --keep-going read past it; 2 wrong usage, or an output that is there already;
3 a video missing, damaged, or without vectors that can be read; 130 interrupted"""

PUBLISHED_EPILOG = """examples:
  vssbench published
  vssbench published -o published

a verdict for every printed number that a count can speak to:
  agrees         ours by the paper's own way of counting is within the last printed digit or 0.05 %
  misprint       it is another number that was counted (the note says which), or one digit is wrong
  not derivable  the note has the arithmetic

exit codes: 0 all is well; 2 wrong usage, or a folder that cannot be written"""


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Words of the command line -> options; a configuration file (-C) lies beneath the flags.

    Raises: SystemExit as argparse does (2 for wrong usage), UsageError for a wrong configuration file.
    """
    words = list(words)
    if not words or words[0] not in (*COMMANDS, "-h", "--help", "--version"):
        words.insert(0, "run")
    parser = _parser()
    options = parser.parse_args(words)
    if getattr(options, "config", None):
        known = {action.dest for action in parser.command_parsers[words[0]]._actions}  # type: ignore[attr-defined]
        options = parser.parse_args([words[0], *_config_words(Path(options.config), known), *words[1:]])
    return options


def comma_list(text: str) -> list[str]:
    """Split names at commas and blanks: "a,b c" -> ["a", "b", "c"]."""
    return [name for name in text.replace(",", " ").split() if name]


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _config_words(path: Path, known: set[str]) -> list[str]:
    """A TOML file of options as the words of a command line, so that both are checked alike."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the configuration {path}: {error}") from error
    wrong = sorted(key for key in table if key.replace("-", "_") not in known - {"config", "help"})
    if wrong:
        raise UsageError(f"{path}: no option is called {', '.join(wrong)}; see --help")
    words: list[str] = []
    for key, value in table.items():
        flag = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            words += [flag] if value else []
        elif isinstance(value, list):
            each = [str(item) for item in value]
            words += [word for item in each for word in (flag, item)] if key == "plugin" else [flag, ",".join(each)]
        else:
            words += [f"{flag}={value}"]
    return words


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vssbench",
        description="Measure efficient video semantic segmentation: accuracy, work and time on real codecs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"vssbench {importlib.metadata.version('vssbench')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parser.command_parsers = {  # type: ignore[attr-defined]
        "run": _run_parser(commands),
        "train": _train_parser(commands),
        "data": _data_parser(commands),
        "report": _report_parser(commands),
        "check": _check_parser(commands),
        "motion": _motion_parser(commands),
        "published": _published_parser(commands),
        "ls": _ls_parser(commands),
    }
    return parser


def _add(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr, warnings only")
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="FILE", help="a Python file with METHODS or DATASETS"
    )
    return parser


def _data_flags(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--dataset", default=default, help="name, see vssbench ls datasets (default: %(default)s)")
    group.add_argument(
        "--data",
        default=os.environ.get("VSSBENCH_DATA"),
        metavar="FOLDER",
        help="where the data set lies (default: $VSSBENCH_DATA; street needs none)",
    )
    group.add_argument(
        "--cache",
        default=os.environ.get("VSSBENCH_CACHE"),
        metavar="FOLDER",
        help="encoded streams (default: $VSSBENCH_CACHE, else streams in the run folder, or runs/streams)",
    )


def _run_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser = _add(commands, "run", "run methods over a data set: the main job")
    parser.add_argument("-C", "--config", metavar="FILE", help="TOML file of options; flags win over it")
    methods = parser.add_argument_group("methods")
    methods.add_argument(
        "--methods",
        default="arseg,taplab",
        help="families or members, e.g. arseg,taplab:ffw+rgc,constant@0.5 (default: %(default)s); constant "
        "resolution is always run, as the anchor of the curves",
    )
    methods.add_argument(
        "--weights",
        metavar="FOLDER",
        help="folder of MEMBER.safetensors (default: the shipped ones for street)",
    )
    methods.add_argument(
        "--network",
        metavar="NAME",
        help="the image network of all methods, see vssbench ls networks; its weights lie in the weights folder, or in "
        "a folder of its name there (default: each method's own)",
    )
    _data_flags(parser, default="street")
    parser.add_argument("--split", help="of the data set (default: test, else val, else its last)")
    codec = parser.add_argument_group("codec")
    codec.add_argument("--codec", default="hevc", help="one or several of hevc, h264, mpeg4 (default: %(default)s)")
    codec.add_argument(
        "--gop",
        type=_positive,
        default=12,
        metavar="L",
        help="frames from one key frame to the next (default: 12)",
    )
    codec.add_argument(
        "--bitrate", type=float, metavar="KBPS", help="1 kbps = 1000 bit/s (default: by size and frame rate)"
    )
    codec.add_argument("--preset", help="of x264 and x265 (default: medium)")
    protocol = parser.add_argument_group("protocol")
    protocol.add_argument(
        "--protocol",
        default="per-distance",
        choices=("per-distance", "single-stream"),
        help="(default: %(default)s)",
    )
    protocol.add_argument(
        "-L",
        "--limit",
        type=_positive,
        metavar="N",
        help="test N annotated frames only; marks the run partial",
    )
    protocol.add_argument("--seed", type=int, default=0)
    protocol.add_argument(
        "--trace",
        default="integer",
        choices=("integer", "subpel"),
        help="how vectors are followed to the key frame (default: %(default)s)",
    )
    protocol.add_argument(
        "--compensation",
        default="integer",
        choices=("integer", "bilinear"),
        help="of the residual (default: %(default)s)",
    )
    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (default: %(default)s)")
    machine.add_argument(
        "--backend",
        default="eager",
        choices=get_args(Backend),
        help="the form in which networks run; bf16: float32 weights under bfloat16 autocast; compiled: torch.compile, "
        "minutes before the first frame (default: %(default)s)",
    )
    machine.add_argument(
        "--repeats",
        type=_positive,
        default=4,
        help="timed passes a method over two GOPs; 64 frames settle p90, 662 p99 (default: %(default)s)",
    )
    machine.add_argument("--no-latency", action="store_true", help="leave the timing out")
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o",
        "--out",
        metavar="FOLDER",
        help="run folder; an unfinished run there goes on (default: runs/DATASET)",
    )
    output.add_argument("--force", action="store_true", help="start afresh where the run folder holds another run")
    output.add_argument("--fail-fast", action="store_true", help="stop at the first method that fails")
    output.add_argument("--dry-run", action="store_true", help="print what would be done and stop")
    return parser


def _train_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser = _add(commands, "train", "train the networks that the methods run")
    parser.add_argument(
        "members",
        nargs="*",
        metavar="MEMBER",
        help="constant@0.5, arseg@0.5, ... (default: those of the recipe)",
    )
    parser.add_argument("--recipe", required=True, metavar="FILE", help="TOML file; recipes/street.toml is one")
    parser.add_argument(
        "--weights", required=True, metavar="FOLDER", help="where the weights go; finished ones are kept"
    )
    _data_flags(parser, default=None)
    parser.add_argument("--device", default="cpu")
    return parser


def _data_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser = _add(commands, "data", "look at a data set")
    parser.add_argument("action", choices=("verify",), help="verify: say what is missing or wrong")
    parser.add_argument("--split", help="one split only (default: all)")
    _data_flags(parser, default="street")
    return parser


def _report_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser = _add(commands, "report", "write the tables and figures of a run folder again")
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument(
        "--bd-fit",
        action="store_true",
        help="also draw the fits behind the Bjontegaard differences: figures/bd_fit-CURVE.*",
    )
    return parser


def _check_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser = _add(commands, "check", "hold a run folder against the rules that its numbers need to be believed")
    parser.add_argument("run", metavar="RUN", help="run folder; exit code 1 where a rule is broken")
    parser.add_argument(
        "--weights", metavar="FOLDER", help="that the run had (default: where it says; the shipped ones for street)"
    )
    parser.add_argument("--json", action="store_true", help="every rule and everything that breaks it, for a program")
    return parser


def _published_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser = _add(
        commands,
        "published",
        "count the operations of the AR-Seg, TapLab and TFC papers again and judge what they print",
    )
    parser.epilog = PUBLISHED_EPILOG
    parser.add_argument("-o", "--out", metavar="FOLDER", help="write published.md, published.tex and published.csv")
    return parser


def _motion_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser = _add(commands, "motion", "read the motion vectors of an HEVC, H.264 or MPEG-4 video")
    parser.epilog = MOTION_EPILOG
    parser.add_argument("video", metavar="VIDEO", help="a video file, e.g. .mp4, .mkv, .hevc; nothing else is needed")
    output = parser.add_argument_group("output", "a summary is printed in any case")
    output.add_argument("-o", "--out", metavar="FILE.npz", help="write all vectors")
    output.add_argument("--overlay", metavar="FILE.mp4", help="write the video with its vectors drawn")
    output.add_argument("--png", metavar="FILE.png", help="write one frame with its vectors drawn, see --frame")
    output.add_argument("--frame", type=int, metavar="N", help="which frame --png draws, in display order from 0")
    output.add_argument("--json", action="store_true", help="print the summary as JSON")
    output.add_argument("--force", action="store_true", help="write over files that are there")
    drawing = parser.add_argument_group("drawing")
    drawing.add_argument(
        "--grid", type=_positive, default=16, metavar="PX", help="pixels from one vector to the next (default: 16)"
    )
    drawing.add_argument(
        "--zoom", type=_positive, default=1, metavar="N", help="draw so many times larger (default: 1)"
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="read past damage where the codec allows (HEVC; others up to it): what it cost is left out and printed, "
        "and the exit code is 1",
    )
    return parser


def _ls_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser = _add(commands, "ls", "list names")
    parser.add_argument("what", choices=("methods", "datasets", "networks"))
    return parser


def command_line(words: Sequence[str]) -> str:
    """The words as a person would type them again."""
    return shlex.join([Path(sys.argv[0]).name or "run_bench.py", *words])
