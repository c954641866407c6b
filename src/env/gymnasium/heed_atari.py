"""Games of the Arcade Learning Environment, prepared as Mnih et al. 2015 prepare them (Nature 518, Methods)."""

import random

import numpy as np
from heed_world import make


class Atari:
    """A game as Mnih et al. 2015 prepare it: every fourth frame, the maximum of two, gray, 84 x 84, the last four of them."""

    SIDE = 84
    notices = ()

    def __init__(self, id, arguments, options):
        self.options = options
        self.skip, self.hidden = options["frame_skip"], options["hidden"]
        self.sticky = options["sticky"]
        # what sticks is drawn here: ALE takes a seed only as it loads the game, a hundred times as long as a reset
        fixed = {"frameskip": 1, "obs_type": "grayscale", "repeat_action_probability": 0.0}
        self.env = make(id, {**arguments, **fixed})
        game = self.env.unwrapped
        self.ale = game.ale
        self.start = self.ale.cloneState()
        self.codes = list(game._action_set)
        self.actions = {"n": len(self.codes)}
        self.max_steps = options["max_episode_steps"]
        self.threshold, self.fps, self.dtype = None, 60 / self.skip, np.uint8
        height, width = self.ale.getScreenDims()
        self.screens = np.zeros((2, height, width), np.uint8)
        self.shape = [options["stack"], self.SIDE, self.SIDE]
        self.stack = np.zeros(self.shape, np.uint8)
        self.low, self.high = np.zeros(self.stack.size), np.full(self.stack.size, 255)
        self.news = self.stack[0].size
        # an average of pixels takes three or so rows: cheaper to pick than to multiply all of them
        by_row = averaging(height, self.SIDE)
        picked = np.argsort(by_row == 0, axis=1, kind="stable")[:, : (by_row != 0).sum(axis=1).max()]
        self.rows = [(rows, by_row[np.arange(self.SIDE), rows][:, None]) for rows in picked.T.copy()]
        self.columns = averaging(width, self.SIDE).T.copy()

    def actions_of(self, rows):
        return rows.ravel().astype(np.int64).tolist()

    def look(self, screen):
        self.ale.getScreenGrayscale(screen)
        for left, top, right, bottom in self.hidden:
            screen[top:bottom, left:right] = 0

    def see(self):
        """Puts what the last two frames show at the end of the stack."""
        brightest = np.maximum(*self.screens)
        narrow = sum(brightest.take(rows, axis=0) * weights for rows, weights in self.rows) @ self.columns
        self.stack[:-1] = self.stack[1:]
        np.add(narrow, 0.5, out=self.stack[-1], casting="unsafe")

    def begin(self):
        """So many frames of nothing, so that games differ (Mnih et al. 2015); one at least, which draws the screen."""
        for _ in range(self.random.randint(1, max(1, self.options["noops"]))):
            self.ale.act(0)
            if self.ale.game_over():
                self.ale.reset_game()

    def write(self, row):
        """All pictures, or as many of the last as there is room for."""
        row[:] = self.stack.ravel()[-row.size :]

    def reset(self, seed, row):
        self.ale.restoreState(self.start)
        self.random = random.Random(seed)
        self.taken, self.last = 0, self.codes[0]
        self.begin()
        self.look(self.screens[0])
        self.screens[1] = self.screens[0]
        self.see()
        self.stack[:] = self.stack[-1]
        self.write(row)

    def step(self, action, row):
        code, ale, reward = self.codes[action], self.ale, 0.0
        for left in range(self.skip - 1, -1, -1):
            if self.sticky == 0 or self.random.random() >= self.sticky:
                self.last = code
            reward += ale.act(self.last)
            over = ale.game_over(with_truncation=False)
            if left < 2 or over:
                self.look(self.screens[0 if over else left])
            if over:
                break
        if over and self.options["ends"] == "hidden":
            ale.reset_game()
            self.begin()
            self.look(self.screens[0])
            over = False
        self.see()
        self.write(row)
        self.taken += 1
        return reward, over, self.taken >= self.max_steps and not over

    def picture(self):
        return self.ale.getScreenRGB()

    def close(self):
        self.env.close()


def averaging(size, to):
    """The matrix that makes `to` averages of equal shares of `size` pixels, as resizing by area does."""
    edges = np.arange(to + 1) * size / to
    pixels = np.arange(size)
    share = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.clip(share, 0, None) * to / size).astype(np.float32)
