from reports.wall_time import wall_time


def test_the_note_compares_the_run_with_its_methods_own_time():
    stages = {
        "decoded frames": (2.0, 30),
        "model a": (6.0, 30),
        "model b": (2.0, 30),
        "stage accuracy": (12.0, 1),
        "whole job": (20.0, 1),
    }
    table = wall_time(stages)
    # 12 s for 6 + 2 s of steps; 30 frames serve 60 steps
    assert table.notes == [
        "accuracy: 12.0 s for 2 methods whose steps alone take 8.0 s, 1.50 times that; "
        "30 frames decoded in 2.0 s for 60 steps"
    ]
    assert ["model a", "6.0", "30"] in [list(row) for row in table.rows]


def test_a_run_without_methods_has_no_ratio():
    assert wall_time({"whole job": (1.0, 1)}).notes == []
