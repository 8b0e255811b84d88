"""Commands and what each does; reading them imports nothing."""

__all__ = ["COMMANDS"]

COMMANDS = {
    "train": "train one agent",
    "sweep": "train seeds x settings x weights as one program",
    "pareto": "find a Pareto front: one agent under many preference weights, or an algorithm of its own",
    "compare": "algorithms on environments under one protocol, or runs that have been: table and figures",
    "tune": "search hyperparameters by successive halving; held-out seeds tell what was gained",
    "meta-train": "meta-learn what an agent learns by, over whole lives",
    "examine": "draw and tabulate what was meta-learned: gradients, responses to delayed rewards",
    "meta-test": "try what was meta-learned on other environments, beside hand-written agents",
    "align": "learn a reward for what is wanted: from auxiliary rewards (barfi) or from preferences (parl)",
    "multitask": "train on many tasks, find which belong together, train the groups",
    "policy": "choose one policy of a front, roll it out, and save it alone",
    "evaluate": "evaluate a trained run on fresh episodes",
    "export": "write a policy as a file that runs without jaxrl: for JAX alone, or ONNX",
    "watch": "one episode of a policy as a GIF or a video",
    "resume": "finish a run that was interrupted",
    "runs": "list the runs in a folder: settings that differ, state, last returns",
    "report": "one page for a run: settings, curves, members, and the front to explore, as an HTML file",
    "plot": "draw a run's figures again",
    "list": "list environments, agents, objectives, aggregators, algorithms, methods and the rest",
}
