"""Options of the command line: how words are read, what help says, and what becomes of errors."""

import contextlib
import os
import subprocess
import sys

import pytest

import jaxrl
from jaxrl.cli import commands, main, values
from jaxrl.cli.declaration import TRACED, option_of, positional, repeated
from jaxrl.cli.leaves import leaf_options
from jaxrl.cli.parsing import first_word, parse
from jaxrl.cli.training import agent_options
from jaxrl.multitask import comparison
from jaxrl.ranges import COUNT, PROBABILITY
from jaxrl.runs import experiment, saved
from jaxrl.sweeps import tuning
from tests import environments as probes

OPTIONS = [
    positional("agent", str, "Who."),
    positional("environment", str, "Where."),
    repeated("set", "NAME=VALUE", "Any."),
    option_of("num_steps", int, "Steps.", 8, COUNT),
    option_of("discount", float, "Discount.", 0.9, PROBABILITY),
    option_of("sizes", tuple[int, ...], "Sizes.", (64, 64), COUNT),
    option_of("shared", bool, "Whether.", False),
    option_of("progress", bool, "Whether.", None),
    option_of("clip", float, "Of a loss.", 0.2, path="objective.clip"),
]


def read(line: str):
    return parse("train", "train", line.split(), OPTIONS)


def test_words_are_read_wherever_they_stand():
    for line in (
        "ppo task --num-steps 3 --sizes 1 2 --shared --progress False --set a=1 --set b=2",
        "--num-steps 3 --sizes 1 2 --shared --progress False --set a=1 ppo --set b=2 task",
        "--sizes 1 2 ppo --num_steps=3 task --shared --no-progress --set=a=1 --set=b=2",
    ):
        parsed = read(line)
        assert (parsed.agent, parsed.environment, parsed.num_steps, parsed.sizes) == ("ppo", "task", 3, (1, 2))
        assert (parsed.shared, parsed.progress, parsed.set) == (True, False, ("a=1", "b=2"))
    assert read("ppo task").written == {"agent", "environment"}
    assert read("ppo task --objective.clip -0.5").clip == -0.5
    assert read("--sizes 1 -- ppo task").agent == "ppo"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("ppo", "ENVIRONMENT is missing: jaxrl train AGENT ENVIRONMENT"),
        ("ppo task more", "no place for 'more'"),
        ("ppo task --num-step 3", "unknown option --num-step. Did you mean --num-steps?"),
        ("ppo task --num-steps", "--num-steps needs an integer, got nothing"),
        ("ppo task --num-steps=", "--num-steps needs an integer, got nothing"),
        ("ppo task --num-steps 2.5", "--num-steps takes an integer, got '2.5'"),
        ("ppo task --num-steps 0", "--num-steps must be at least 1, got 0"),
        ("ppo task --sizes 3 0", "--sizes must be at least 1, got 0"),
        ("ppo task --discount nan", "--discount takes a number, got nan"),
        ("ppo task --discount 1.5", "--discount must lie in [0, 1], got 1.5"),
        ("ppo task --no-shared=1", "--no-shared takes no value, got '1'"),
        ("ppo task --shared=maybe", "--shared takes True or False, got 'maybe'"),
    ],
)
def test_what_does_not_fit_is_one_sentence(line, sentence):
    with pytest.raises(ValueError) as error:
        read(line)
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_the_first_word_is_found_among_options_that_depend_on_it():
    own = {"ppo": OPTIONS, "dqn": [*OPTIONS, option_of("member", str, "Who else.", "ppo")]}
    assert first_word(["--num-steps", "3", "ppo", "task"], own, own.get) == "ppo"
    assert first_word(["--member", "ppo", "dqn", "task"], own, own.get) == "dqn"
    assert first_word(["--num-steps", "3", "pop", "task"], own, own.get) == "pop"
    assert first_word(["--num-steps", "3"], own, own.get) is None


def test_help_shows_groups_ranges_defaults_and_the_leaves_of_what_is_chosen(capsys):
    def shown(line: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            main(line.split())
        assert stopped.value.code == 0
        return " ".join(capsys.readouterr().out.split())

    text = shown("train --help")
    assert "usage: jaxrl train AGENT ENVIRONMENT [options]" in text
    groups = ("what is run:", "output and host:", "schedule:", "acting and network:", "learning:", "hyperparameters")
    assert sorted(groups, key=text.index) == list(groups)
    assert "--gae-lambda NUMBER" in text and "[in [0, 1]; default 0.95]" in text
    assert "--clip-epsilon NUMBER objective.clip_epsilon, of clip. [above 0; default 0.2]" in text
    assert "--seed INTEGER Seed of the run. [in [0, 4294967295]; default 0]" in text
    assert text.count("--import MODULE") == 1
    chosen = "--surrogate kl_penalty --aggregator chebyshev --optimiser natural"
    text = shown(f"train ppo gymnax/CartPole-v1 {chosen} --help")
    assert "--clip-epsilon" not in text and "--gravity NUMBER environment.gravity" in text
    assert all(leaf in text for leaf in ("objective.kl_coefficient", "aggregator.margin", "optimiser.trust_region"))
    assert "objective.clip_epsilon, of clip" in shown("pareto c_morl --help")
    # What the study sets itself, here that the network is conditioned, is so for its members' leaves.
    chosen = "--member-agent gpi_dqn --conditioning product"
    text = shown(f"pareto conditioned mo/deep-sea-treasure {chosen} --help")
    assert "--num-candidates" in text and "exploration.epsilon_end" in text and "--clip-epsilon" not in text


@pytest.mark.slow  # Every agent is built.
def test_no_agent_lists_a_number_that_it_refuses():
    for name in (*jaxrl.agents.AGENTS,):
        listed = {option.name: option.default for option in agent_options(name).values() if option.group == TRACED}
        listed.pop("weights")
        for spec in (probes.one_step(), probes.nearest(), probes.torn()):
            # What acts nowhere here is refused for its actions, not for its numbers.
            with contextlib.suppress(ValueError):
                jaxrl.trainer(name, spec)
                jaxrl.trainer(name, spec, **listed)
                break
        else:
            assert name == "envelope_dqn", name


def test_a_number_that_settings_bring_is_an_option_with_them():
    settings = {"target_network": True, "batch_norm": "none"}
    taken = set(agent_options("crossq"))
    assert "target_rate" not in taken
    found = {option.name: option for option in leaf_options("crossq", settings, None, {}, taken)}
    assert found["target_rate"].default == 0.005 and found["target_rate"].group == TRACED
    assert "target_rate" not in {option.name for option in leaf_options("crossq", {}, None, {}, taken)}


@pytest.fixture
def built(monkeypatch):
    """Configurations that would be run."""
    found = []

    def run(configuration, *_):
        experiment.build(configuration)
        found.append(configuration)
        raise SystemExit(0)

    monkeypatch.setattr(experiment, "run", run)
    return found


def test_leaves_of_what_is_chosen_are_options(built):
    words = "train --seed 3 --clip-epsilon 0.1 ppo gymnax/CartPole-v1 --environment.gravity 3 --num-envs 8"
    with pytest.raises(SystemExit):
        main(words.split())
    assert built[0].seeds == (3,) and built[0].agent == "ppo"
    # What was written is recorded, also where it is the default.
    assert built[0].settings == {"num_envs": 8, "objective.clip_epsilon": 0.1, "environment.gravity": 3.0}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("train ppo gymnax/CartPole-v1 --clip-epsilon -1", "--clip-epsilon must be above 0, got -1"),
        ("train ppo gymnax/CartPole-v1 --set gravity=1 --gravity 2", "gravity is given twice"),
        ("train ppo gymnax/CartPole-v1 --set gravity=1 --set gravity=2", "gravity is given twice"),
        ("train ppo gymnax/CartPole-v1 --set agent=1", "agent is no setting of what is run"),
        ("train ppo gymnax/CartPole-v1 --set seed=1", "seed is no setting of what is run"),
        ("train ppo gymnax/CartPole-v1 --out=", "--out needs a path, got nothing"),
        ("train ppo multitask/cart-pole --environment-option num_tasks=x", "num_tasks='x'"),
        ("sweep ppo gymnax/CartPole-v1 --sweep learning_rate=1e-3,1e-3", "equal values are equal runs"),
        ("sweep ppo gymnax/CartPole-v1 --sweep learning_rate=log:1:x --design random --samples 2", "got 'log:1:x'"),
        ("sweep ppo gymnax/CartPole-v1 --sweep discount=0.9 --sweep discount=0.8", "discount is given twice"),
        ("sweep ppo gymnax/CartPole-v1 --sweep discount=0.9,,0.8", "got an empty value in discount=0.9,,0.8"),
        ("sweep ppo gymnax/CartPole-v1 --sweep discount=0.9,0.8 --discount 0.7", "discount has one value by an option"),
        ("sweep ppo gymnax/CartPole-v1 --sweep clip_epsilon=1,2 --clip-epsilon 3", "clip_epsilon has one value"),
        ("pareto ppo mo/minecart --weights 1 0 0", "weights has one value by an option of its own and is swept, too"),
        ("sweep ppo gymnax/CartPole-v1 --num-weights 3", "3 preference weights of one objective are equal"),
        ("train ppo gymnax/CartPole-v1 --log csv,csv", "every logger is named once, got csv, csv"),
        ("train ppo gymnax/CartPole-v1 --import own.py", "such as 'own', got 'own.py'"),
        ("sweep ppo gymnax/CartPole-v1 --seeds 0", "--seeds must be at least 1, got 0"),
        ("sweep ppo gymnax/CartPole-v1 --num-weights 100001", "--num-weights must be at most 10000, got 100001"),
        ("pareto c_morl mo/minecart --reference-point nan nan", "--reference-point takes a number, got nan"),
        ("pareto ppo mo/deep-sea-treasure --front-episodes 0", "--front-episodes must be at least 1, got 0"),
        ("tune ppo gymnax/CartPole-v1 --sweep num_envs=int:1:4", "'num_envs' is static: sweep it instead"),
        ("tune ppo gymnax/CartPole-v1", "tune needs a range"),
        # They would be about one run.
        *(
            (f"{command} {option}", "unknown option")
            for command in ("tune ppo gymnax/CartPole-v1", "multitask study ppo multitask/cart-pole")
            for option in ("--log csv", "--keep best", "--checkpoint-seconds 1", "--progress True")
        ),
        ("compare ppo,ppo gymnax/CartPole-v1", "every algorithm once, got ppo, ppo"),
        ("meta-train lpo --horizon 0", "--horizon must be at least 1, got 0"),
        ("meta-train lpo --outer-momentum 1", "--outer-momentum must lie in [0, 1), got 1"),
        ("meta-train lpo --horizon 1 2 3", "--horizon takes one number or two bounds, got 1 2 3"),
        ("meta-test run", "ENVIRONMENTS is missing"),
        ("meta-test run grid/tiny --tasks 0", "--tasks must be at least 1, got 0"),
        ("meta-test run grid/tiny --learning-rates -1", "--learning-rates must be above 0, got -1"),
        ("meta-test run grid/tiny --horizon 0", "--horizon must be at least 1, got 0"),
        ("policy run --at-least treasure=nan", "the least return of treasure takes a number, got 'nan' of type str"),
        ("policy run --point -1", "--point must be at least 0, got -1"),
        ("evaluate run --episodes 99999999999999999999", "--episodes must be at most"),
        ("evaluate " + "x" * 300, "File name too long"),
    ],
)
def test_use_that_cannot_be_meant_is_one_sentence_before_any_work(line, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("jaxrl: ") and printed.count("\n") == 1 and sentence in printed
    assert not list(tmp_path.iterdir())


def test_what_was_meta_learned_is_asked_of_meta_training_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment.claim(tmp_path / "run", experiment.Configuration("train", "ppo", "gymnax/CartPole-v1"))
    for command in ("meta-test run gymnax/CartPole-v1", "examine run"):
        assert main(command.split()) == 2
        assert "holds a run of the kind 'train'" in capsys.readouterr().err


def test_what_cannot_be_run_is_said_before_what_a_folder_holds(tmp_path, capsys):
    experiment.claim(tmp_path / "run", experiment.Configuration("train", "ppo", "gymnax/CartPole-v1"))
    assert main(["train", "ppo", "CartPole-v1", "--out", str(tmp_path / "run")]) == 2
    assert "unknown environment 'CartPole-v1'. Did you mean 'gymnax/CartPole-v1'" in capsys.readouterr().err


def test_a_policy_is_not_saved_over_something_else_and_no_episode_is_wasted(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment.claim(tmp_path / "run", experiment.Configuration("pareto", "c_morl", "mo/deep-sea-treasure"))
    (tmp_path / "file").write_text("mine")
    assert main(["policy", "run", "--save", "file"]) == 2
    assert "file is a file, not a folder for a run" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("preference", "sentence"),
    [
        ("--at-least foo=1", "unknown objective 'foo'. Known: time, treasure."),
        ("--at-least 2=1", "objective 2 does not exist: mo/deep-sea-treasure has 0 to 1"),
        ("--weights 1", "weights need 2 entries"),
        ("--weights 0.5 0.2", "sum"),
    ],
)
def test_preferences_that_fit_no_objective_are_refused_before_a_front_is_evaluated(
    preference, sentence, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    # There is nothing to restore: what is refused later would say so.
    experiment.claim(tmp_path / "run", experiment.Configuration("pareto", "c_morl", "mo/deep-sea-treasure"))
    monkeypatch.setattr(saved, "load_sweep", lambda *_: pytest.fail("a policy was restored"))
    for command in ("policy", "watch"):
        assert main([command, "run", *preference.split()]) == 2
        assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "tune ppo gymnax/CartPole-v1 --sweep learning_rate=log:1e-4:1e-2 --out",
        "multitask study ppo multitask/cart-pole --out",
    ],
)
def test_tables_are_not_written_over_or_among_others(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment.claim(tmp_path / "run", experiment.Configuration("train", "ppo", "gymnax/CartPole-v1"))
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "trials.csv").write_text("mine")
    for module, name in ((tuning, "tune"), (comparison, "compare_groupings")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("work began"))
    for place, held in (("run", "configuration.json"), ("earlier", "trials.csv")):
        assert main([*words.split(), place]) == 2
        assert f"{place} holds {held}; choose another --out or delete it" in capsys.readouterr().err


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"jaxrl {jaxrl.__version__}\n"


def failing(monkeypatch, error: BaseException) -> int:
    def fail(*_):
        raise error

    monkeypatch.setattr(commands, "run", fail)
    return main(["plot", "run"])


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (ValueError("two\n  lines"), 2, "jaxrl: two lines\n"),
        (NotADirectoryError(20, "Not a directory", "a/b"), 2, "jaxrl: a/b: Not a directory\n"),
        (KeyError("x"), 1, "jaxrl: this should not happen: KeyError: 'x'; with JAXRL_TRACEBACK=1 Python shows where"),
        (KeyboardInterrupt(), 130, "jaxrl: interrupted\n"),
    ],
)
def test_errors_become_exit_statuses(error, status, sentence, monkeypatch, capsys):
    monkeypatch.delenv("JAXRL_TRACEBACK", raising=False)
    assert failing(monkeypatch, error) == status
    assert capsys.readouterr().err.startswith(sentence)


def test_a_fault_is_shown_to_who_asks_where_it_comes_from(monkeypatch):
    monkeypatch.setenv("JAXRL_TRACEBACK", "1")
    with pytest.raises(KeyError):
        failing(monkeypatch, KeyError("x"))


def test_who_interrupts_a_run_is_told_how_it_goes_on(monkeypatch, capsys, tmp_path):
    def stop(configuration, directory, *_):
        experiment.claim(directory, configuration)
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run", stop)
    out = tmp_path / "run"
    assert main(["train", "ppo", "gymnax/CartPole-v1", "--out", str(out)]) == 130
    assert f"interrupted; jaxrl resume {out} goes on from the last checkpoint" in capsys.readouterr().err
    assert main(["resume", str(out)]) == 130
    assert f"jaxrl resume {out} goes on" in capsys.readouterr().err


def test_a_reader_that_has_enough_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxrl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}
    )
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() in (0, 141)


def test_words_that_are_no_pairs_are_refused():
    for word in ("a", "=1", "a=", "="):
        with pytest.raises(ValueError, match="expected NAME=VALUE"):
            values.pairs([word])
    assert values.pairs(["a=1", "b=x=y", "c=(" + "(" * 500]) == {"a": 1, "b": "x=y", "c": "(" + "(" * 500}


def test_a_module_of_ones_own_registers_what_the_other_words_name(tmp_path, monkeypatch, built, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_tasks.py").write_text(
        "import jaxrl\njaxrl.register('mine/cart-pole', lambda: jaxrl.make('gymnax/CartPole-v1'))\n"
    )
    words = "train ppo mine/cart-pole --gravity 3"
    assert main(words.split()) == 2
    assert "unknown environment 'mine/cart-pole'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--import", "my_tasks", *words.split()])
    with pytest.raises(SystemExit):
        main([*words.split(), "--import=my_tasks"])
    assert [configuration.environment for configuration in built] == ["mine/cart-pole"] * 2
    for word, sentence in (("no_such_module", "'no_such_module' cannot be imported"), ("", "name of a module")):
        assert main(["train", "--import", word]) == 2
        assert sentence in capsys.readouterr().err
