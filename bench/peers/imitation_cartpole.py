"""Preference comparisons on CartPole with imitation + Stable-Baselines3, with the settings of imitation's tutorial.

    python bench/peers/imitation_cartpole.py --seed 0
    python bench/peers/imitation_cartpole.py --env seals/CartPole-v0 --seed 0

Prints one JSON line. Evaluation is not in `seconds`. `steps` are all steps taken in the environment, those for the clips
and those the agent learns from; the agent's own are `--agent-steps`, rounded up to whole rollouts.

Departs from the tutorial ("Learning a Reward Function using Preference Comparisons"):
1. The environment, and 500 labels.
2. The tutorial runs 5 rounds on 5,000 steps to be quick (60 "for better performance") and then trains a fresh agent on
   the learned reward. Here the agent that gave the clips learns through 20 rounds and 100,000 steps, and is the one
   evaluated: of the four schedules tried, on one or two seeds, the only one that learned seals/CartPole-v0 at all.
3. On CartPole-v1 clips have 8 steps, no longer than its shortest episode: the fragmenter drops shorter episodes and
   stops with an error where none is left.

CartPole-v1 pays 1 a step, so any two clips of equal length tie and the labels are coin tosses; imitation says of
environments that end early that it does not support them. seals/CartPole-v0 never does: 500 steps whatever happens.
"""

import argparse
import contextlib
import json
import os
import time

from common import greedy_returns, peer_imports

with peer_imports():
    import numpy
    import seals  # noqa: F401  (registers its environments)
    import torch
    from imitation.algorithms import preference_comparisons
    from imitation.policies.base import FeedForward32Policy, NormalizeFeaturesExtractor
    from imitation.rewards.reward_nets import BasicRewardNet
    from imitation.util.networks import RunningNorm
    from imitation.util.util import make_vec_env
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecEnvWrapper

EPISODES = 20
CLIP_STEPS = {"CartPole-v1": 8, "seals/CartPole-v0": 100}


class CountSteps(VecEnvWrapper):
    """Counts the steps of all environments together."""

    steps = 0

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        self.steps += self.num_envs
        return self.venv.step_wait()


def make_agent(vec_env, seed):
    return PPO(
        FeedForward32Policy,
        vec_env,
        policy_kwargs={
            "features_extractor_class": NormalizeFeaturesExtractor,
            "features_extractor_kwargs": {"normalize_class": RunningNorm},
        },
        n_steps=2048 // vec_env.num_envs,
        batch_size=64,
        n_epochs=10,
        learning_rate=2e-3,
        clip_range=0.1,
        ent_coef=0.01,
        gamma=0.97,
        gae_lambda=0.95,
        seed=seed,
        device="cpu",
    )


def train(vec_env, args, rng):
    """Learns the reward from labels and the agent from that reward, in turns; returns the agent."""
    reward_net = BasicRewardNet(vec_env.observation_space, vec_env.action_space, normalize_input_layer=RunningNorm)
    agent = make_agent(vec_env, args.seed)
    preference_comparisons.PreferenceComparisons(
        preference_comparisons.AgentTrainer(
            algorithm=agent, reward_fn=reward_net, venv=vec_env, exploration_frac=0.05, rng=rng
        ),
        reward_net,
        num_iterations=args.rounds,
        fragmenter=preference_comparisons.RandomFragmenter(warning_threshold=0, rng=rng),
        preference_gatherer=preference_comparisons.SyntheticGatherer(rng=rng),
        reward_trainer=preference_comparisons.BasicRewardTrainer(
            preference_model=preference_comparisons.PreferenceModel(reward_net),
            loss=preference_comparisons.CrossEntropyRewardLoss(),
            epochs=3,
            rng=rng,
        ),
        fragment_length=CLIP_STEPS[args.env],
        transition_oversampling=1,
        initial_comparison_frac=0.1,
        allow_variable_horizon=args.env == "CartPole-v1",
        initial_epoch_multiplier=4,
        query_schedule="hyperbolic",
    ).train(total_timesteps=args.agent_steps, total_comparisons=args.labels)
    return agent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=sorted(CLIP_STEPS), default="CartPole-v1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=20, help="rounds of labels, then training")
    parser.add_argument("--agent-steps", type=int, default=100_000, help="steps the agent learns from, over all rounds")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; see README.md for why 1")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = numpy.random.default_rng(args.seed)
    vec_env = CountSteps(make_vec_env(args.env, rng=rng))
    began = time.perf_counter()
    # imitation prints tables as it goes; stdout is kept for the one line of JSON.
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
        agent = train(vec_env, args, rng)
    seconds = time.perf_counter() - began

    returns = greedy_returns(agent.policy, make_vec_env(args.env, rng=rng, n_envs=EPISODES))
    print(
        json.dumps(
            {
                "env": args.env,
                "seed": args.seed,
                "threads": args.threads,
                "labels": args.labels,
                "steps": vec_env.steps,
                "seconds": round(seconds, 3),
                "return": {"mean": round(float(numpy.mean(returns)), 1), "std": round(float(numpy.std(returns)), 1)},
            }
        )
    )


main()
