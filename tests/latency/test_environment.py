import getpass
import json
import os
import platform
from pathlib import Path

import numpy as np
import pytest
import torch

import vssbench
from vssbench.latency import environment as module
from vssbench.latency.environment import environment

KEYS = {
    "vssbench", "python", "torch", "numpy", "av", "ffmpeg", "os", "machine", "cpu", "cpu_cores",
    "cpu_cores_usable", "torch_threads", "device",
}  # fmt: skip


def test_the_facts_are_complete_and_true():
    facts = environment("cpu")
    assert set(facts) == KEYS
    assert facts["python"] == platform.python_version()
    assert facts["torch"] == torch.__version__
    assert facts["numpy"] == np.__version__
    assert facts["device"] == "cpu"
    assert 1 <= facts["cpu_cores_usable"] <= facts["cpu_cores"]
    assert facts["ffmpeg"].startswith("libavcodec ")


def test_the_number_of_threads_is_that_of_now():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert environment()["torch_threads"] == 1
    finally:
        torch.set_num_threads(before)


def test_the_version_is_that_of_the_checkout():
    project = Path(vssbench.__file__).parents[1] / "pyproject.toml"
    assert f'version = "{environment()["vssbench"]}"' in project.read_text()


def test_an_installed_package_tells_its_version_without_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "site-packages/vssbench/latency/environment.py"))
    monkeypatch.setattr(module.metadata, "version", lambda name: {"vssbench": "7.8.9"}[name])
    assert environment()["vssbench"] == "7.8.9"


def test_a_foreign_pyproject_beside_the_package_is_not_taken_for_ours(monkeypatch, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\nversion = "99"\n')
    monkeypatch.setattr(module, "__file__", str(tmp_path / "vssbench/latency/environment.py"))
    monkeypatch.setattr(module.metadata, "version", lambda name: "7.8.9")
    assert environment()["vssbench"] == "7.8.9"


def test_every_fact_can_be_written_as_json():
    facts = environment()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_nothing_names_a_person_a_machine_or_a_path(monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "secret-host")
    text = json.dumps(environment())
    forbidden = ["secret-host", str(Path.home()), str(Path.cwd()), os.sep + "home", os.sep + "usr"]
    if len(getpass.getuser()) > 4:  # a shorter one may be part of a word
        forbidden.append(getpass.getuser())
    assert [word for word in forbidden if word in text] == []


def test_the_cpu_model_is_read_where_linux_tells_it(monkeypatch, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Example 9000: Fast\nmodel name\t: second\n")
    monkeypatch.setattr(module, "Path", lambda path: cpuinfo if path == "/proc/cpuinfo" else Path(path))
    assert module._cpu_model() == "Example 9000: Fast"


def test_a_missing_program_gives_none():
    assert module._output_of("vssbench-no-such-program") is None


@pytest.mark.gpu
def test_a_gpu_adds_its_name_driver_and_libraries(cuda):
    facts = environment(cuda)
    assert set(facts) > KEYS
    assert facts["gpu"] == torch.cuda.get_device_name()
    assert facts["cuda"] == torch.version.cuda
    assert facts["gpu_driver"]
    json.dumps(facts)
