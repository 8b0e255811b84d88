"""Rewards and success tests of the tasks, as Meta-World version 3 has them (its `reward_function_version` v2).

Each is `(scene, action, params) -> Evaluation`: `loose` where something is carried or pushed, or nothing but the hand
counts; `mechanisms` where a joint is moved; `tools` where something held does the work.
"""
