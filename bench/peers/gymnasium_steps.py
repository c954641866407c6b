"""Gymnasium's environment steps per second, one environment, one process, random actions.

    python bench/peers/gymnasium_steps.py

Prints one JSON line. The actions are drawn beforehand and the passive checker is off: only step and reset are timed.
"""

import argparse
import json
import statistics
import time

from common import peer_imports

with peer_imports():
    import Box2D  # noqa: F401  (LunarLander needs it; gymnasium would say so only later)
    import gymnasium
    import numpy

STEPS = {"CartPole-v1": 200_000, "LunarLander-v3": 50_000}


def steps_per_second(name, steps, seed):
    env = gymnasium.make(name, disable_env_checker=True)
    actions = numpy.random.default_rng(seed).integers(env.action_space.n, size=steps).tolist()
    env.reset(seed=seed)
    began = time.perf_counter()
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    seconds = time.perf_counter() - began
    env.close()
    return steps / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="the median of this many is printed")
    args = parser.parse_args()
    result = {
        name: round(statistics.median(steps_per_second(name, steps, seed) for seed in range(args.repeats)))
        for name, steps in STEPS.items()
    }
    print(json.dumps({"stepsPerSecond": result, "steps": STEPS, "repeats": args.repeats}))


main()
