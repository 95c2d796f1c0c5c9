import os
import sys
import types

import pytest
import torch

from vssbench.latency import machine_state as module
from vssbench.latency.machine_state import MachineState, machine_state, summary_of


@pytest.fixture
def linux(tmp_path):
    """Two processors at 1 and 3 GHz, throttled 4 and 5 times; 100 ticks a second."""
    proc, cpus = tmp_path / "proc", tmp_path / "sys/devices/system/cpu"
    proc.mkdir()
    # user 800, nice 100, system 50, idle 9000, iowait 70, irq 20, softirq 10, steal 20, guest 400, guest_nice 0
    (proc / "stat").write_text("cpu  800 100 50 9000 70 20 10 20 400 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
    for number, (khz, throttled) in enumerate([(1_000_000, 4), (3_000_000, 5)]):
        for name, text in {
            "cpufreq/scaling_cur_freq": khz,
            "cpufreq/scaling_governor": "performance",
            "thermal_throttle/core_throttle_count": throttled,
        }.items():
            path = cpus / f"cpu{number}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
    (proc / "loadavg").write_text("1.25 0.60 0.30 2/345 6789\n")
    return {"proc": proc, "sys": tmp_path / "sys"}


def test_linux_tells_clocks_governor_throttling_and_busy_time(linux):
    state = machine_state("cpu", clock=lambda: 12.5, **linux)
    assert (state.time_s, state.mhz, state.governor, state.throttled) == (12.5, 2000.0, "performance", 9)
    # guest time is in user already; idle and waiting are not busy
    assert state.busy_s == pytest.approx((800 + 100 + 50 + 20 + 10 + 20) / os.sysconf("SC_CLK_TCK"))
    assert (state.gpu, state.load, state.device) == ({}, 1.25, "cpu")


def test_a_virtual_machine_tells_its_clock_in_cpuinfo(tmp_path):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\ncpu MHz\t\t: 2500.000\n\nprocessor\t: 1\ncpu MHz\t\t: 2600.000\n"
    )
    state = machine_state("cpu", proc=tmp_path, sys=tmp_path / "none")
    assert state.mhz == 2550.0
    assert state.governor is None


def test_a_machine_that_tells_nothing_is_not_made_up(tmp_path):
    state = machine_state("cpu", proc=tmp_path, sys=tmp_path)
    assert (state.busy_s, state.throttled, state.mhz, state.governor) == (None, None, None, None)
    facts = summary_of([state, state], num_processors=2)
    assert set(facts.values()) == {None}


def test_the_processor_time_of_this_process_grows_with_its_work():
    before, started = machine_state(), os.times().user
    while os.times().user - started < 0.02:
        sum(range(10_000))
    assert machine_state().own_s > before.own_s


def look(time_s, busy_s, own_s, **more):
    return MachineState(time_s=time_s, busy_s=busy_s, own_s=own_s, **more)


def test_what_others_use_is_what_all_use_without_this_process():
    # 10 s on two processors: 20 s to give; all used 15, we 9, so others 6
    facts = summary_of([look(0, 100, 50), look(10, 115, 59)], num_processors=2)
    assert facts["busy_by_others"] == pytest.approx(6 / 20)
    assert facts["throttled"] is None


def test_a_quiet_machine_is_not_less_than_quiet():
    assert summary_of([look(0, 0, 0), look(1, 0.99, 1.0)], num_processors=1)["busy_by_others"] == 0


def test_throttling_between_the_looks_is_told_and_before_them_is_not():
    hot = [look(0, 0, 0, throttled=7, mhz=3000.0), look(1, 0, 0, throttled=7, mhz=2000.0)]
    assert summary_of(hot, num_processors=1)["throttled"] is False
    assert summary_of([*hot, look(2, 0, 0, throttled=8)], num_processors=1)["throttled"] is True
    assert summary_of(hot, num_processors=1)["cpu_mhz"] == [2000, 3000]


def test_of_the_load_the_least_and_the_most_are_told():
    states = [look(0, 0, 0, load=1.5), look(1, 0, 0, load=0.25), look(2, 0, 0)]
    assert summary_of(states, num_processors=2)["load_average"] == [0.25, 1.5]


def test_a_gpu_that_does_not_tell_is_not_cleared_by_processors_that_do():
    states = [look(n, 0, 0, throttled=4, device="cuda") for n in range(2)]
    facts = summary_of(states, num_processors=1)
    assert (facts["cpu_throttled"], facts["gpu_throttled"], facts["throttled"]) == (False, None, None)
    slowed = summary_of([*states, look(2, 0, 0, throttled=5, device="cuda")], num_processors=1)
    assert (slowed["cpu_throttled"], slowed["throttled"]) == (True, True)


@pytest.mark.parametrize(
    ("bits", "throttled"),
    [(0x1, False), (0x2 | 0x10 | 0x100, False), (0x4, True), (0x8, True), (0x20, True), (0x40, True), (0x80, True)],
)
def test_nvmls_reasons_are_told_apart_into_choice_and_distress(bits, throttled):
    gpu = {"sm_mhz": 1980.0, "max_sm_mhz": 1980.0, "temperature_c": 50.0}
    reasons = ({"reasons": 0.0, "sm_mhz": 1200.0}, {"reasons": bits})
    states = [look(n, 0, 0, gpu=gpu, gpu_at_work=[gpu | seen], device="cuda") for n, seen in enumerate(reasons)]
    facts = summary_of(states, num_processors=1)
    assert facts["throttled"] is facts["gpu_throttled"] is throttled
    assert facts["cpu_throttled"] is None
    assert (facts["gpu_sm_mhz"], facts["gpu_max_sm_mhz"], facts["gpu_temperature_c"]) == ([1200, 1980], 1980.0, 50.0)
    assert (facts["gpu_reasons"], facts["gpu_looks"]) == (bits, 2)


IDLE = {"sm_mhz": 345.0, "max_sm_mhz": 1980.0, "temperature_c": 40.0, "reasons": 1.0}


def test_an_idle_gpu_tells_neither_its_clock_at_work_nor_that_nothing_slowed_it_down():
    facts = summary_of([look(n, 0, 0, gpu=IDLE, device="cuda") for n in range(2)], num_processors=1)
    assert (facts["gpu_sm_mhz"], facts["gpu_throttled"], facts["throttled"]) == (None, None, None)
    assert (facts["gpu_max_sm_mhz"], facts["gpu_temperature_c"], facts["gpu_looks"]) == (1980.0, 40.0, 0)
    at_work = look(2, 0, 0, gpu=IDLE, gpu_at_work=[IDLE | {"sm_mhz": 1755.0, "reasons": 0.0}], device="cuda")
    facts = summary_of([look(0, 0, 0, gpu=IDLE, device="cuda"), at_work], num_processors=1)
    assert (facts["gpu_sm_mhz"], facts["gpu_throttled"]) == ([1755, 1755], False)


@pytest.mark.parametrize(("grown", "throttled"), [(0.0, False), (0.25, True)])
def test_counters_tell_what_happened_between_two_looks(grown, throttled):
    counted = {"slowed_s_by_power": 3.0, "slowed_s_by_heat": 1.0}
    later = counted | {"slowed_s_by_power": 3.0 + grown}
    states = [look(n, 0, 0, gpu=IDLE | seen, device="cuda") for n, seen in enumerate([counted, later])]
    facts = summary_of(states, num_processors=1)
    assert facts["gpu_throttled"] is facts["throttled"] is throttled
    assert facts["gpu_slowed_s"] == {"power": grown, "heat": 0.0}


def test_nvidia_smis_line_is_read_and_what_it_does_not_tell_left_out():
    line = "1980, 1980, 41, [N/A], 0x0000000000000004\n"
    assert module._parse_nvidia_smi(line) == {
        "sm_mhz": 1980.0,
        "max_sm_mhz": 1980.0,
        "temperature_c": 41.0,
        "reasons": 4.0,
    }
    assert module._parse_nvidia_smi("") == {}


def violations(handle, policy):
    """The power cap (0) for 2.5 s, heat (1) and the board's limit (3) for none; no other policy."""
    return types.SimpleNamespace(referenceTime=9, violationTime={0: 2_500_000_000, 1: 0, 3: 0}[policy])


def test_pynvml_is_asked_where_it_is_installed(monkeypatch):
    nvml = types.SimpleNamespace(
        NVML_CLOCK_SM=1,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: {"GPU-1": "handle"}[uuid],
        nvmlDeviceGetClockInfo=lambda handle, kind: 1500,
        nvmlDeviceGetMaxClockInfo=lambda handle, kind: 1980,
        nvmlDeviceGetTemperature=lambda handle, kind: 44,
        nvmlDeviceGetPowerUsage=lambda handle: 250_500,
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 0x20,
        nvmlDeviceGetViolationStatus=violations,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    seen = {"sm_mhz": 1500.0, "max_sm_mhz": 1980.0, "temperature_c": 44.0, "power_w": 250.5, "reasons": 32.0}
    assert module.gpu_look("GPU-1")() == seen
    counted = {"slowed_s_by_power": 2.5, "slowed_s_by_heat": 0.0, "slowed_s_by_board_limit": 0.0}
    assert module.gpu_look("GPU-1")(counters=True) == seen | counted, "reliability is not counted"
    assert module.gpu_look("GPU-2") is None, "NVML does not know it"
    nvml.nvmlDeviceGetPowerUsage = None
    assert module.gpu_look("GPU-1")() is None, "NVML does not answer"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert module.gpu_look("GPU-1") is None, "not installed"
    assert module.gpu_look_of("cpu") is None


@pytest.mark.gpu
def test_a_gpu_tells_its_clocks(cuda):
    gpu = machine_state(cuda).gpu
    assert 0 < gpu["sm_mhz"] <= gpu["max_sm_mhz"] * 1.05
    assert 0 < gpu["temperature_c"] < 120
    torch.cuda.synchronize(cuda)
