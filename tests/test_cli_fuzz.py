"""Every option of every command, as the commands declare them, with values that it should not have.

A command line ends well, or in one sentence and exit status 2. Programs are built and checked as ever; what would
compile and run them is cut off, so that a valid command line ends where the work would begin.
"""

import random
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, get_args, get_origin

import jaxtyping
import pytest

from jaxrl.cli import main, parsing
from jaxrl.cli.declaration import Option, flag
from jaxrl.cli.main import COMMANDS
from jaxrl.cli.multitask import STAGES
from jaxrl.environments.registry import make
from jaxrl.meta.study import MetaStudy
from jaxrl.runs.configuration import Configuration, claim

pytestmark = pytest.mark.quick_compilation

# What each command is given; which options it has by that, it says itself.
POSITIONALS = {
    "train": ["ppo", "gymnax/CartPole-v1"],
    "sweep": ["ppo", "gymnax/CartPole-v1"],
    "pareto": ["c_morl", "mo/deep-sea-treasure"],
    "compare": ["ppo,a2c", "gymnax/CartPole-v1"],
    "tune": ["ppo", "gymnax/CartPole-v1", "--sweep", "learning_rate=log:1e-4:1e-2"],
    "meta-train": ["lpo", "--tasks", "gymnax/CartPole-v1"],
    "meta-test": ["meta", "gymnax/CartPole-v1"],
    "examine": ["meta"],
    "align": ["barfi", "alignment/goal-grid"],
    "policy": ["pareto"],
    "evaluate": ["train"],
    "resume": ["train"],
    "plot": ["train"],
    "runs": ["."],
    "report": ["train"],
    "watch": ["train"],
    "export": ["train"],
    "list": [],
    "multitask train": ["ppo", "multitask/point-mass"],
    "multitask maml": ["multitask/point-mass"],
    "multitask affinity": ["train"],
    "multitask group": ["train"],
    "multitask finetune": ["train"],
    "multitask study": ["ppo", "multitask/point-mass"],
}
NUMBERS = ["0", "-1", "1", "3", "2.5", "1e3", "1e39", "-1e400", "nan", "inf", "-inf", "9" * 20, "9" * 5000, "0x10"]
WORDS = ["", " ", "x", "None", "True", "1", "[1]", "(1,)", "{}", "a,b", "a:b", "x" * 300, "--", "-", "ünï\0", "../.."]
LITERALS = ["'x'", "2.5", "[1]", "None", "3", "(1,)", "True", "nan", "inf", "1e39", "9" * 20, "{}", "[[1],[1,2]]", "[]"]
LISTS = ["a,b", "1,1", "1,", ",", "1,2,x", "int:1:4", "int:4:1", "log:0:1", "uniform:nan:1", "uniform:0", "gauss:0:1"]


class ReachedError(BaseException):
    """A command line whose program is built and whose work would begin."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Run directories of which nothing but the configuration is written, and things that are none."""
    root = tmp_path_factory.mktemp("fuzz")
    for kind, agent, environment in (
        ("train", "ppo", "gymnax/CartPole-v1"),
        ("pareto", "c_morl", "mo/deep-sea-treasure"),
        ("meta", "lpo", "gymnax/CartPole-v1"),
    ):
        claim(root / kind, Configuration(kind, agent, environment))
    (root / "file").write_text("nothing")
    (root / "folder").mkdir()
    (root / "folder" / "file").write_text("nothing")
    return root


@pytest.fixture(autouse=True)
def cut_off(monkeypatch, root):
    """Stops a command where its work would begin; types are not checked, as they are not for a user."""
    monkeypatch.chdir(root)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)

    def reached(*_, **__):
        raise ReachedError

    def trained(planned, **_):
        program = planned.groups[0][0]
        if not isinstance(program, MetaStudy):
            raise ReachedError
        return SimpleNamespace(trainer=program, num_members=1, learned=reached)

    for place in (
        "jaxrl.runs.experiment.claim",
        "jaxrl.runs.trained.claim",
        "jaxrl.runs.page.write_atomically",
        "jaxrl.sweeps.tuning._run_rung",
        "jaxrl.meta.transfer._scores",
        "jaxrl.multitask.comparison._train",
    ):
        monkeypatch.setattr(place, reached)
    monkeypatch.setattr("jaxrl.runs.saved.run_plan", trained)


def declared(command: str, monkeypatch, words: list[str] | None = None) -> list[Option]:
    """The options that a command has, as its help is given them."""
    found = []
    with monkeypatch.context() as patch:
        patch.setattr(parsing, "help_text", lambda *arguments: found.extend(arguments[2]) or "")
        with pytest.raises(SystemExit):
            main([*command.split(), *(POSITIONALS[command] if words is None else words), "--help"])
    return found


def values_of(option: Option, settings: list[str], root: Path) -> list[list[str]]:
    """Words after an option: out of range, no number, infinite, empty, repeated, of another type."""
    if option.repeated:
        literals = LISTS if "VALUES" in option.metavar or "RANGE" in option.metavar else LITERALS
        named = [f"{name}={text}" for name in settings for text in literals]
        return [[word] for word in ["", "x", "=", "x=", "=1", "x=1", *named]]
    if option.element is Path:
        places = ["", "file", "folder", "file/x", "/dev/null", "/proc/x", "x" * 300, "\0", str(root / "fresh")]
        return [[place] for place in places]
    found = NUMBERS + WORDS
    if option.range is not None:
        found = [*found, *(str(edge + step) for edge in (option.range.low, option.range.high) for step in (-1, 0, 1))]
    if get_origin(option.element) is Literal:
        found = [*get_args(option.element), *WORDS]
    single = [[text] for text in found]
    return [*single, [], *([text, text] for text in found)] if option.many else [*single, []]


def options_of_environment(name: str) -> list[str]:
    """Static options of an environment's builder."""
    try:
        make(name, **{"no_such_option": 1})
    except ValueError as error:
        known = re.search(r"Known: (.*)\.", str(error))
        return known[1].split(", ") if known else []


def command_lines(command: str, monkeypatch, root: Path) -> list[list[str]]:
    """Every option of a command with every value, once, and twice."""
    options, words = declared(command, monkeypatch), POSITIONALS[command]
    # These two set what agents have, of which their own help says nothing.
    others = declared("train", monkeypatch) if command in ("compare", "meta-test") else []
    own = [option.path or option.name for option in (*options, *others) if not (option.positional or option.repeated)]
    of_environment = [name for word in words if "/" in word for name in options_of_environment(word)]
    lines = []
    for option in options:
        if option.positional:
            continue
        settings = of_environment if option.name == "environment_option" else own
        for index, value in enumerate(values_of(option, settings, root)):
            lines.append([*words, flag(option.name), *value])
            if (not option.many or option.repeated) and index % 5 == 0:
                lines.append([flag(option.name), *value, *words, flag(option.name), *value])
    for place in range(len(words)):
        lines += [[*words[:place], text, *words[place + 1 :]] for text in WORDS + NUMBERS]
    lines += [words[:count] for count in range(len(words))] + [[*words, "x"], [*words, "--no-such-option", "1"]]
    return [[*command.split(), *line] for line in lines]


def outcome(arguments: list[str], capsys) -> str:
    """Empty where a command line ends as it should, else what is wrong."""
    capsys.readouterr()
    try:
        status = main(arguments)
    except ReachedError:
        return ""
    except SystemExit as stopped:
        status = stopped.code
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    printed = capsys.readouterr().err.strip()
    if status == 0:
        return ""
    sentence = printed.startswith("jaxrl: ") and "\n" not in printed and len(printed) > 12
    return "" if status == 2 and sentence else f"exit status {status}: {printed[:500]}"


def test_every_command_is_fuzzed():
    assert set(POSITIONALS) == {*COMMANDS, *(f"multitask {stage}" for stage in STAGES)} - {"multitask"}


def test_a_sample_of_all_command_lines_ends_well_or_in_one_sentence(monkeypatch, capsys, root):
    lines = [line for command in POSITIONALS for line in command_lines(command, monkeypatch, root)]
    chosen = random.Random(21).sample(lines, 80)
    faults = {" ".join(map(repr, line))[:300]: fault for line in chosen if (fault := outcome(line, capsys))}
    assert not faults


@pytest.mark.slow
@pytest.mark.parametrize("command", POSITIONALS)
def test_all_command_lines_end_well_or_in_one_sentence(command, monkeypatch, capsys, root):
    lines = command_lines(command, monkeypatch, root)
    faults = {" ".join(map(repr, line))[:300]: fault for line in lines if (fault := outcome(line, capsys))}
    assert not faults
