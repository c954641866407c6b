"""PyTorch's time for one forward pass of a small policy: [16, 4] -> 64 tanh -> 64 tanh -> 2, no gradient.

    python bench/peers/torch_policy_forward.py

Prints one JSON line: microseconds of one pass, the better of 1 and 2 threads.
"""

import argparse
import json
import statistics
import time

from common import peer_imports

with peer_imports():
    import torch
    from torch import nn


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20, help="the median of this many is taken")
    parser.add_argument("--passes", type=int, default=2000, help="passes in one repeat")
    args = parser.parse_args()

    torch.manual_seed(0)
    policy = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    observations = torch.randn(16, 4)
    samples = {1: [], 2: []}
    with torch.no_grad():
        for _ in range(args.repeats):
            for threads, times in samples.items():
                torch.set_num_threads(threads)
                policy(observations)
                began = time.perf_counter()
                for _ in range(args.passes):
                    policy(observations)
                times.append((time.perf_counter() - began) / args.passes * 1e6)
    by_threads = {threads: statistics.median(times) for threads, times in samples.items()}
    threads = min(by_threads, key=by_threads.get)
    print(
        json.dumps(
            {
                "microseconds": round(by_threads[threads], 2),
                "threads": threads,
                "microsecondsByThreads": {key: round(value, 2) for key, value in by_threads.items()},
            }
        )
    )


main()
