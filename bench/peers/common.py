"""What the peer scripts share: the exit for a missing package, and the greedy evaluation."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

# Progress bars would mix with the one JSON line when both streams go to one place.
os.environ.setdefault("TQDM_DISABLE", "1")

HERE = Path(os.path.relpath(Path(__file__).parent))


@contextmanager
def peer_imports():
    """Import peer packages inside this; a missing one ends the script with exit code 3."""
    try:
        yield
    except ModuleNotFoundError as error:
        print(
            f"missing Python package '{error.name}'; install the peers: "
            f"{sys.executable} -m pip install -r {HERE / 'requirements.txt'} && "
            f"{sys.executable} -m pip install --no-deps -r {HERE / 'requirements-imitation.txt'}",
            file=sys.stderr,
        )
        sys.exit(3)


def greedy_returns(policy, vec_env):
    """True returns of one greedy episode in each environment of an SB3 vec env (wrapped in Monitor)."""
    from stable_baselines3.common.evaluation import evaluate_policy

    returns, _ = evaluate_policy(
        policy, vec_env, n_eval_episodes=vec_env.num_envs, deterministic=True, return_episode_rewards=True
    )
    return returns
