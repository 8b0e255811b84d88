"""The script that says where the time of one seed goes: its reading of compiled programs, and all of it at toy size."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

FOLDER = Path(__file__).parents[1] / "experiments" / "benchmarks"

# Three iterations; in each four steps that multiply, four that only add, a call, a branch and a call of a library.
TEXT = """
HloModule jit_run, is_scheduled=true, entry_computation_layout={(f32[2]{0})->f32[2]{0}}

%fused_product (param_0: f32[2,2], param_1: f32[2,2]) -> f32[2,2] {
  %param_0 = f32[2,2]{1,0} parameter(0)
  %param_1 = f32[2,2]{1,0} parameter(1)
  ROOT %dot.1 = f32[2,2]{1,0} dot(%param_0, %param_1), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%fused_sum (param_2: f32[2]) -> f32[] {
  %param_2 = f32[2]{0} parameter(0)
  %zero = f32[] constant(0)
  ROOT %reduce.1 = f32[] reduce(%param_2, %zero), dimensions={0}, to_apply=%adder
}

%fused_add (param_3: s32[]) -> s32[] {
  %param_3 = s32[] parameter(0)
  ROOT %add.1 = s32[] add(%param_3, %param_3)
}

%step (carry: (s32[], f32[2,2])) -> (s32[], f32[2,2]) {
  %carry = (s32[], /*index=1*/f32[2,2]{1,0}) parameter(0)
  %index = s32[] get-tuple-element(%carry), index=0
  %copied = s32[] copy(%index)
  %seen = f32[2,2]{1,0} get-tuple-element(%carry), index=1
  %ynn_fusion = f32[2,2]{1,0} fusion(%seen, %seen), kind=kCustom, calls=%fused_product, backend_config={"fusion_config":{"kind":"__ynn_fusion"}}
  %next = s32[] fusion(%copied), kind=kLoop, calls=%fused_add, metadata={op_name="a while( body=%step calls=%fused_product {"}
  ROOT %pair = (s32[], f32[2,2]{1,0}) tuple(%next, %ynn_fusion)
}

%adding (carry.1: (s32[], f32[2])) -> (s32[], f32[2]) {
  %carry.1 = (s32[], f32[2]{0}) parameter(0)
  %index.1 = s32[] get-tuple-element(%carry.1), index=0
  %next.1 = s32[] fusion(%index.1), kind=kLoop, calls=%fused_add
  %kept = f32[2]{0} get-tuple-element(%carry.1), index=1
  ROOT %pair.1 = (s32[], f32[2]{0}) tuple(%next.1, %kept)
}

%parallel (param_4: f32[2,2]) -> f32[2,2] {
  %param_4 = f32[2,2]{1,0} parameter(0)
  ROOT %dot.2 = f32[2,2]{1,0} dot(%param_4, %param_4), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%iteration (carry.2: (s32[], f32[2,2])) -> (s32[], f32[2,2]) {
  %carry.2 = (s32[], f32[2,2]{1,0}) parameter(0)
  %while.1 = (s32[], /*index=1*/f32[2,2]{1,0}) while(%carry.2), condition=%below, body=%step, backend_config={"known_trip_count":{"n":"4"}}
  %while.2 = (s32[], f32[2]{0}) while(%carry.2), condition=%below, body=%adding, backend_config={"known_trip_count":{"n":"4"}}
  %sum = f32[] fusion(%carry.2), kind=kCustom, calls=%fused_sum, backend_config={"fusion_config":{"kind":"__ynn_fusion"}}
  %called = f32[2,2]{1,0} call(%carry.2), to_apply=%parallel
  %branch = f32[2]{0} conditional(%sum, %carry.2, %carry.2), branch_computations={%parallel, %parallel}
  ROOT %same = (s32[], f32[2,2]{1,0}) bitcast(%while.1)
}

ENTRY %main (key: f32[2]) -> f32[2] {
  %key = f32[2]{0} parameter(0)
  %drawn = (s32[], f32[2]{0}) while(%key), condition=%below, body=%adding, backend_config={"known_trip_count":{"n":"5"}}
  ROOT %while.3 = (s32[], f32[2,2]{1,0}) while(%drawn), condition=%below, body=%iteration, backend_config={"known_trip_count":{"n":"3"}}
}
"""  # noqa: E501


@pytest.fixture(scope="module")
def read():
    spec = importlib.util.spec_from_file_location("_bound_counts", FOLDER / "_bound_counts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_operations_of_a_program_written_by_hand(read):
    found = read.counts(TEXT, {"acting": 4, "minibatch": 7})
    assert found == {
        "iteration": {"products": 5, "library": 1, "fusions": 8, "copies": 4, "others": 1},
        "acting": {"products": 1, "library": 0, "fusions": 1, "copies": 1, "others": 0},
    }
    assert read.products(TEXT, {"acting": 4}) == {"iteration": {"f32[2,2]{1,0}": 1}, "acting": {"f32[2,2]{1,0}": 1}}


def test_a_program_that_is_not_understood_is_refused(read):
    with pytest.raises(ValueError, match="no ENTRY"):
        read.parse("HloModule jit_run")
    with pytest.raises(ValueError, match="2 loops of 4 turns multiply"):
        read.counts(TEXT.replace("body=%adding", "body=%step"), {"acting": 4})


def test_operations_of_what_jax_compiles(read):
    def run(x):
        inner = lambda _, x: jnp.tanh(x @ x)  # noqa: E731
        return jax.lax.fori_loop(0, 9, lambda _, x: jax.lax.fori_loop(0, 6, inner, x), x)

    text = jax.jit(run).lower(jnp.ones((32, 32))).compile().as_text()
    found = read.counts(text, {"inner": 6})
    assert found["inner"]["products"] == 1 and found["iteration"]["products"] == 6


@pytest.mark.slow  # A minute: twelve programs, each in a process of its own.
def test_everything_is_measured(tmp_path):
    out = tmp_path / "bound.json"
    words = [sys.executable, str(FOLDER / "bound.py"), "--quick", "--output", str(out)]
    subprocess.run(words, check=True, env={**os.environ, "XLA_FLAGS": ""})
    report = json.loads(out.read_text())
    assert report["same_products"]
    assert set(report["counts"]["program"]) == {"iteration", "acting", "minibatch"}
    assert all(row["steps_per_second"] > 0 for row in [*report["levers"].values(), *report["bound"].values()])
