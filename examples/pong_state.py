"""Pong by where things are, read from the game's memory, in place of pictures: small enough to learn in minutes on one core.

    PYTHONPATH=examples heed train --env gym:pong_state:PongState-v0 ...

An observation is the ball's x and y, our paddle's y and the opponent's, of this step and of the one before, and how far the
ball is above our paddle. The score is not in it. Actions: stay, up, down. An episode is a game to 21, of 4 frames a step.
"""

import ale_py
import gymnasium as gym
import numpy as np

gym.register_envs(ale_py)

# bytes of the console's memory (Anand et al. 2019, "Unsupervised State Representation Learning in Atari")
BALL_X, BALL_Y, OURS_Y, THEIRS_Y = 49, 54, 51, 50
PLACES = [BALL_X, BALL_Y, OURS_Y, THEIRS_Y]
STAY, UP, DOWN = 0, 2, 3


class PongState(gym.Wrapper):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(self, **arguments):
        super().__init__(gym.make("ALE/Pong-v5", obs_type="ram", disable_env_checker=True, **arguments))
        self.observation_space = gym.spaces.Box(-2, 2, (9,), np.float32)
        self.action_space = gym.spaces.Discrete(3)

    def reset(self, **arguments):
        ram, info = self.env.reset(**arguments)
        self.before = places(ram)
        return self.see(self.before), info

    def step(self, action):
        ram, *rest = self.env.step((STAY, UP, DOWN)[action])
        return self.see(places(ram)), *rest

    def see(self, now):
        seen = np.concatenate([now, self.before, [now[1] - now[2]]], dtype=np.float32)
        self.before = now
        return seen


def places(ram):
    return ram[PLACES].astype(np.float32) / 128 - 1


gym.register("PongState-v0", PongState, max_episode_steps=5000)
