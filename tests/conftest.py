"""Eight CPU devices for every test, and shapes checked at run time."""

import gc
import os
from importlib import metadata
from pathlib import Path

# Must precede JAX's start: one pool of threads serves all devices (see jaxrl.sweeps.devices).
os.environ.setdefault("NPROC", "16")
# Nearly all time goes into compiling what then runs for milliseconds: fewer optimisations halve it.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_backend_optimization_level=1 --xla_force_host_platform_device_count=8"
    # Later versions have one way of fusing alone, and end the process at a flag that they do not know.
    + " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    * metadata.version("jaxlib").startswith("0.10.")
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# What one process has compiled, the other workers, subprocesses and later runs load.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import inspect

import jaxtyping
import pytest

_jaxtyped = jaxtyping.jaxtyped


def _checks_itself(cls):
    """Whether a class is a config, whose own check says what is wrong in a sentence."""
    own = (inspect.unwrap(base.__post_init__) for base in cls.__mro__ if hasattr(base, "__post_init__"))
    return any(check.__name__ == "check_config" or "check_config" in check.__code__.co_names for check in own)


def _is_layer(cls):
    """Whether a class is a layer of Flax's with more to it: its fields are annotated as cannot be checked."""
    return cls.__mro__[1].__module__ == "flax.linen.linear"


def _jaxtyped_but_configs(fn=None, *, typechecker):
    if fn is None:
        return lambda fn: _jaxtyped_but_configs(fn, typechecker=typechecker)
    checked = not inspect.isclass(fn) or not (_checks_itself(fn) or _is_layer(fn))
    return _jaxtyped(fn, typechecker=typechecker) if checked else fn


jaxtyping.jaxtyped = _jaxtyped_but_configs
jaxtyping.install_import_hook("jaxrl", "beartype.beartype")
# Traces are many small objects that live long.
gc.set_threshold(50_000, 20, 20)


# What the others show is called by tests as well; `make notebooks` and `make test-slow` run all of them.
QUICK_NOTEBOOKS = ("01_first_steps.ipynb",)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks the longer notebooks slow."""
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.name not in QUICK_NOTEBOOKS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="module")
def compilation(request):
    """Modules marked `quick_compilation` have programs that run for milliseconds and compile for seconds."""
    import jax

    jax.config.update(
        "jax_disable_most_optimizations", request.node.get_closest_marker("quick_compilation") is not None
    )
    yield
    _forget()


def _forget():
    """Drops what a module has imported by name, and its programs, whose mapped memory has 65,530 pieces at most."""
    import jax

    from jaxrl import plugins
    from jaxrl.sweeps import program

    plugins._IMPORTED.clear()
    program._shared.cache_clear()
    jax.clear_caches()
    gc.collect()


@pytest.fixture(scope="module")
def built_once():
    """Agents and sweeps of the same settings are the same program in a module, so that none is compiled twice.

    For modules that run one configuration again and again, and whose subject is what the host makes of it.
    """
    from jaxrl.runs.kinds import KINDS

    built = {}

    def once(build):
        def memorised(configuration):
            parts = ("agent", "environment", "environment_options", "settings")
            key = tuple(repr(getattr(configuration, part)) for part in parts)
            if key not in built:
                built[key] = build(configuration)
            return built[key]

        return memorised

    with pytest.MonkeyPatch.context() as patch:
        for name in ("train", "sweep"):
            patch.setitem(KINDS._entries, name, KINDS[name]._replace(build=once(KINDS[name].build)))
        yield


@pytest.fixture
def own_devices():
    """The environment of a subprocess that has its own devices, and compiles as this process does."""
    flags = os.environ["XLA_FLAGS"].replace("--xla_force_host_platform_device_count=8", "")
    return {**os.environ, "XLA_FLAGS": flags}
