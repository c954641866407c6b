"""Stable-Baselines3 PPO on CartPole-v1 with the true reward: speed, and when it is solved.

    python bench/peers/sb3_ppo_cartpole.py --default --seed 0 --steps 50000
    python bench/peers/sb3_ppo_cartpole.py --zoo --seed 0 --steps 100000

Prints one JSON line. Evaluation is not in `seconds`.
"""

import argparse
import json
import time

from common import greedy_returns, peer_imports

with peer_imports():
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

ENV = "CartPole-v1"
SOLVED = 475  # the environment's own reward threshold
EPISODES = 20
EVALUATE_EVERY = 4096  # steps; two rollouts of the defaults, sixteen of the tuned settings


def make_agent(mode, seed):
    if mode == "default":
        return PPO("MlpPolicy", make_vec_env(ENV, n_envs=1, seed=seed), seed=seed, device="cpu")
    # RL Baselines3 Zoo, hyperparams/ppo.yml, CartPole-v1. Its lin_x schedules fall from x to 0 over the run.
    return PPO(
        "MlpPolicy",
        make_vec_env(ENV, n_envs=8, seed=seed),
        n_steps=32,
        batch_size=256,
        n_epochs=20,
        gamma=0.98,
        gae_lambda=0.8,
        ent_coef=0.0,
        learning_rate=lambda left: left * 1e-3,
        clip_range=lambda left: left * 0.2,
        seed=seed,
        device="cpu",
    )


class Evaluate(BaseCallback):
    """Greedy evaluation after the update, before the next rollout; keeps the time it took apart."""

    def __init__(self, vec_env):
        super().__init__()
        self.vec_env = vec_env
        self.seconds = 0.0  # spent evaluating
        self.first = None  # (steps, training seconds) of the first evaluation >= SOLVED
        self.next_at = EVALUATE_EVERY

    def _on_training_start(self):
        self.started = time.perf_counter()

    def _on_step(self):
        return True

    def _on_rollout_start(self):
        if self.num_timesteps >= self.next_at:
            self.evaluate()

    def evaluate(self):
        self.next_at = self.num_timesteps + EVALUATE_EVERY
        if self.first is not None:
            return
        began = time.perf_counter()
        returns = greedy_returns(self.model, self.vec_env)
        if sum(returns) / len(returns) >= SOLVED:
            self.first = (self.num_timesteps, began - self.started - self.seconds)
        self.seconds += time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--default", dest="mode", action="store_const", const="default", help="SB3's defaults, 1 env")
    mode.add_argument("--zoo", dest="mode", action="store_const", const="zoo", help="RL Zoo's settings, 8 envs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100_000, help="env steps; the zoo's budget is 100000")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; see README.md for why 1")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    agent = make_agent(args.mode, args.seed)
    evaluate = Evaluate(make_vec_env(ENV, n_envs=EPISODES, seed=args.seed + 10_000))
    began = time.perf_counter()
    agent.learn(args.steps, callback=evaluate)
    seconds = time.perf_counter() - began - evaluate.seconds
    evaluate.evaluate()

    first_steps, first_seconds = evaluate.first or (None, None)
    print(
        json.dumps(
            {
                "mode": args.mode,
                "seed": args.seed,
                "threads": args.threads,
                "steps": agent.num_timesteps,
                "seconds": round(seconds, 3),
                "stepsPerSecond": round(agent.num_timesteps / seconds),
                "firstAtLeast475": first_steps,
                "secondsToFirstAtLeast475": None if first_seconds is None else round(first_seconds, 3),
            }
        )
    )


main()
