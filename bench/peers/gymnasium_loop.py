"""Copies of an environment stepped one after another by a plain loop in Python: what the bridge is compared with.

    python bench/peers/gymnasium_loop.py --env CartPole-v1 --copies 32 --actions FILE --seconds 3

FILE has float32 [steps, copies, size of an action], taken in turns. Episode e of copy c starts from seed 1000 c + e. Games
(ALE/...) are prepared by the class that heed itself uses (--prepared, its folder), so that the work is the same. Observations
are copied into one array, as any learner's are. Prints one JSON line: steps a second of wall and of processor time, and
the sum of the rewards of the first 50 steps, so that one can see that both sides lived the same.
"""

import argparse
import json
import os
import sys
import time

from common import peer_imports

# a second thread for products of 84 x 160 only waits
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

with peer_imports():
    import gymnasium
    import numpy

COMPARED = 50


class Bare:
    """As gymnasium.make makes it."""

    def __init__(self, id):
        self.env = gymnasium.make(id, disable_env_checker=True, render_mode="rgb_array")
        self.size, self.dtype = int(numpy.prod(self.env.observation_space.shape)), numpy.float32
        space = self.env.action_space
        self.whole = isinstance(space, gymnasium.spaces.Discrete)
        self.dimensions = 1 if self.whole else space.shape[0]

    def reset(self, seed, row):
        row[:] = self.env.reset(seed=seed)[0]

    def step(self, action, row):
        observation, reward, terminated, truncated, _ = self.env.step(action)
        row[:] = observation
        return reward, terminated, truncated


def worlds_of(args):
    if not args.env.startswith("ALE/"):
        return [Bare(args.env) for _ in range(args.copies)]
    sys.path.append(args.prepared)
    from heed_atari import Atari

    worlds = [Atari(args.env, {}, json.loads(args.options)) for _ in range(args.copies)]
    for world in worlds:
        world.size, world.whole, world.dimensions = world.stack.size, True, 1
    return worlds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", required=True)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--actions", required=True)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--prepared")
    parser.add_argument("--options", help="how games are prepared, as JSON")
    args = parser.parse_args()
    worlds = worlds_of(args)
    n, first = args.copies, worlds[0]
    rows = numpy.zeros((n, first.size), first.dtype)
    given = numpy.fromfile(args.actions, numpy.float32).reshape(-1, n, first.dimensions)
    batches = given[:, :, 0].astype(int).tolist() if first.whole else [list(batch) for batch in given]
    episodes = [0] * n
    rewards = [0.0] * n
    total = 0.0
    for c, world in enumerate(worlds):
        world.reset(1000 * c, rows[c])

    def batch(actions):
        for c, world in enumerate(worlds):
            rewards[c], terminated, truncated = world.step(actions[c], rows[c])
            if terminated or truncated:
                episodes[c] += 1
                world.reset(1000 * c + episodes[c], rows[c])

    taken = 0
    for _ in range(COMPARED):
        batch(batches[taken % len(batches)])
        total += sum(rewards)
        taken += 1
    begun, cpu, before = time.perf_counter(), time.process_time(), taken
    while time.perf_counter() - begun < args.seconds:
        batch(batches[taken % len(batches)])
        taken += 1
    steps = (taken - before) * n
    result = {
        "stepsPerSecond": steps / (time.perf_counter() - begun),
        "stepsPerCpuSecond": steps / (time.process_time() - cpu),
        "rewards": total,
    }
    print(json.dumps(result))


main()
