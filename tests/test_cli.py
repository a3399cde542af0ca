"""The command line as a person or a script meets it: exit codes, streams, start-up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from posedive.cli import main

ROOT = Path(__file__).parents[1]
DEMO = str(ROOT / "jobs/demo.yaml")
HEAVY = ("torch", "ray", "numpy", "boto3", "transformers", "diffusers", "smplx")


def posedive(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "posedive", *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)


def test_validate_prints_one_json_object_on_stdout():
    done = posedive("validate", DEMO, "--json", "--set", "generator.steps=4")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["kind"] == "generate"
    assert result["spec"]["generator"]["steps"] == 4


def test_validate_imports_nothing_heavy():
    code = (
        "import sys; from posedive.cli import main; code = main(['validate', sys.argv[1]]);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, DEMO]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == "[] 0\n"


def test_validate_takes_less_than_a_second_and_a_half_of_cpu():
    before = os.times()
    posedive("validate", DEMO)
    after = os.times()
    busy = after.children_user + after.children_system
    assert busy - before.children_user - before.children_system <= 1.5


def test_a_typo_exits_2_and_names_the_nearest_key():
    done = posedive("validate", DEMO, "--set", "generator.stepz=4")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --set generator.stepz=4: generator.stepz: unknown key; did you mean steps?\n"
    )


def test_an_error_with_json_is_one_json_object_too():
    done = posedive("validate", "none.yaml", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)
    assert error["exit_code"] == 2
    assert error["error"].startswith("none.yaml: no such job file")


@pytest.mark.parametrize("args", [[], ["validate"], ["generat", DEMO], ["validate", DEMO, "--st"]])
def test_a_wrong_command_line_exits_2(args, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(args)
    assert stopped.value.code == 2
    assert "usage: posedive" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "render", "train", "generate", "evaluate"])
def test_a_job_of_another_kind_is_refused_before_any_import_of_its_command(command, capsys):
    other = DEMO if command in ("render", "train", "evaluate") else str(ROOT / "jobs/render.yaml")
    assert main([command, other]) == 2
    assert "expected kind: " in capsys.readouterr().err


def test_help_shows_an_example_of_each_command(capsys):
    jobs = ("validate", "plan", "render", "train", "generate", "evaluate")
    given = ("submit", "status", "logs", "stop", "verify", "report")
    kept = ("finalize", "takedown", "export", "lint", "bench")
    for command in (*jobs, *given, *kept):
        with pytest.raises(SystemExit) as stopped:
            main([command, "--help"])
        assert stopped.value.code == 0
        assert f"example:\n  posedive {command} " in capsys.readouterr().out


def test_what_libraries_print_does_not_reach_stdout():
    code = """if True:
        import os
        from posedive.cli import _stdout_kept_clean
        with _stdout_kept_clean():
            print("from python")
            os.write(1, b"from c\\n")
        print("{}")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "{}\n"
    assert sorted(done.stderr.splitlines()) == ["from c", "from python"]


def test_a_reader_that_stops_early_brings_no_traceback():
    command = f"{sys.executable} -m posedive validate {DEMO} | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stderr == ""
