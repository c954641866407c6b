"""Pong by where things are, read from the game's memory, in place of pictures: small enough to learn in minutes on one core.

    PYTHONPATH=examples heed rl --config examples/pong-score.json
    PYTHONPATH=examples heed train --config examples/pong-preferences.json

An observation has nine numbers of about -1 ... 1: whether the ball is in play, its x and y and how far it moved in the last
step, our paddle's y and how far it moved, the opponent's y, and how far the ball is from our paddle. Between two points there
is no ball, and all that is said of it is 0, but for one x: in the first step without it, where it was lost. The score is not
seen. Actions: stay, up, down, of 4 frames, each of which repeats the last action with probability 1/4, as in ALE/Pong-v5:
without that (`PongState-v0?sticky=0`) a greedy agent plays the same few points again and again, all won or all lost.
An episode is a game to 21, which begins after up to 30 frames of nothing.
"""

import random

import ale_py
import gymnasium as gym
import numpy as np

gym.register_envs(ale_py)

# bytes of the console's memory (Anand et al. 2019, "Unsupervised State Representation Learning in Atari")
BALL_X, BALL_Y, OURS_Y, THEIRS_Y = 49, 54, 51, 50
ACTIONS = ale_py.Action.NOOP, ale_py.Action.RIGHT, ale_py.Action.LEFT
FRAMES, NOOPS = 4, 30
MIDDLE_X, MIDDLE_Y, HALF = 128, 120, 80


class PongState(gym.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 60 / FRAMES}
    observation_space = gym.spaces.Box(-4, 4, (9,), np.float32)
    action_space = gym.spaces.Discrete(len(ACTIONS))

    def __init__(self, sticky=0.25, render_mode=None):
        self.sticky, self.render_mode = sticky, render_mode
        # what sticks is drawn here: ALE takes a seed only as it loads the game, as slow as hundreds of steps
        game = gym.make("ALE/Pong-v5", obs_type="ram", frameskip=1, repeat_action_probability=0.0)
        self.ale = game.unwrapped.ale
        self.start = self.ale.cloneState()

    def reset(self, *, seed=None, options=None):
        self.random = random.Random(seed)
        self.ale.restoreState(self.start)
        self.last = ACTIONS[0]
        for _ in range(self.random.randint(1, NOOPS)):
            self.ale.act(self.last)
        self.before = self.places()
        return self.see(self.before), {}

    def step(self, action):
        reward = 0
        for _ in range(FRAMES):
            if self.random.random() >= self.sticky:
                self.last = ACTIONS[action]
            reward += self.ale.act(self.last)
        return self.see(self.places()), reward, self.ale.game_over(), False, {}

    def places(self):
        ram = self.ale.getRAM()
        return int(ram[BALL_X]), int(ram[BALL_Y]), int(ram[OURS_Y]), int(ram[THEIRS_Y])

    def see(self, now):
        (x, y, ours, theirs), (x_before, y_before, ours_before, _) = now, self.before
        self.before = now
        paddles = (ours - MIDDLE_Y) / HALF, (ours - ours_before) / 20, (theirs - MIDDLE_Y) / HALF
        ball_x = (x - MIDDLE_X) / HALF
        if y:
            moved = ((x - x_before) / 8, (y - y_before) / 16) if y_before else (0, 0)
            seen = 1, ball_x, (y - MIDDLE_Y) / HALF, *moved, *paddles, (y - ours) / 32
        else:
            seen = 0, ball_x if y_before else 0, 0, 0, 0, *paddles, 0
        return np.clip(np.array(seen, np.float32), -4, 4)

    def render(self):
        return self.ale.getScreenRGB()


gym.register("PongState-v0", PongState, max_episode_steps=5000)
