"""A run that is over in a moment, in Python and in the shell."""

SETTINGS = {
    "total_steps": 256,
    "num_envs": 4,
    "num_steps": 16,
    "num_evaluations": 2,
    "evaluation_episodes": 2,
    "hidden_sizes": (8,),
}
WORDS = ["train", "ppo", "gymnax/CartPole-v1", "--total-steps", "256", "--num-envs", "4", "--num-steps", "16"]
WORDS += ["--evaluation-episodes", "2"]
