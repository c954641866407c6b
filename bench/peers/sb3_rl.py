"""Stable-Baselines3 PPO, A2C or SAC on the true reward, with RL Zoo's settings: speed, and the return of 100 greedy episodes.

    python bench/peers/sb3_rl.py --algorithm sac --env Pendulum-v1 --seed 0 --steps 2000
    python bench/peers/sb3_rl.py --algorithm a2c --env CartPole-v1 --seed 0

Prints one JSON line. Evaluation is not in `seconds`.
"""

import argparse
import json
import statistics
import time

from common import greedy_returns, peer_imports

with peer_imports():
    import torch
    from stable_baselines3 import A2C, PPO, SAC
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

NORMALISED = {("a2c", "Pendulum-v1")}  # observations and rewards, by their running deviation

# RL Baselines3 Zoo: steps, environments, settings
ZOO = {
    ("a2c", "CartPole-v1"): (500_000, 8, {}),
    # without state-dependent exploration, as heed
    ("a2c", "Pendulum-v1"): (
        1_000_000,
        8,
        {"n_steps": 8, "gamma": 0.9, "gae_lambda": 0.9, "vf_coef": 0.4, "learning_rate": lambda left: 7e-4 * left},
    ),
    # as heed's preset has it, not the zoo
    ("ppo", "HalfCheetah-v5"): (1_000_000, 8, {"n_steps": 256, "batch_size": 64, "n_epochs": 10}),
    ("sac", "Pendulum-v1"): (20_000, 1, {"learning_rate": 1e-3}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", choices=["a2c", "ppo", "sac"], required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="env steps; the zoo's where not given")
    parser.add_argument("--episodes", type=int, default=100, help="greedy ones at the end")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; see README.md for why 1")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    steps, environments, settings = ZOO.get((args.algorithm, args.env), (1_000_000, 1, {}))
    algorithm = {"a2c": A2C, "ppo": PPO, "sac": SAC}[args.algorithm]
    vec_env = make_vec_env(args.env, n_envs=environments, seed=args.seed)
    normalized = (args.algorithm, args.env) in NORMALISED
    if normalized:
        vec_env = VecNormalize(vec_env, gamma=settings["gamma"])
    agent = algorithm("MlpPolicy", vec_env, seed=args.seed, device="cpu", **settings)
    began = time.perf_counter()
    agent.learn(args.steps or steps, log_interval=None)
    seconds = time.perf_counter() - began
    returns = []
    if args.episodes > 0:
        judged = make_vec_env(args.env, n_envs=args.episodes, seed=args.seed + 10_000)
        if normalized:
            judged = VecNormalize(judged, training=False, norm_reward=False)
            judged.obs_rms = vec_env.obs_rms
        returns = greedy_returns(agent, judged)
    print(
        json.dumps(
            {
                "algorithm": args.algorithm,
                "env": args.env,
                "seed": args.seed,
                "steps": agent.num_timesteps,
                "seconds": round(seconds, 3),
                "stepsPerSecond": agent.num_timesteps / seconds,
                **({"return": {"mean": statistics.fmean(returns), "std": statistics.pstdev(returns)}} if returns else {}),
            }
        )
    )


main()
