"""An environment of Gymnasium as heed sees one: flat observations, and one number or a row of them for an action."""

import importlib
import importlib.util
import sys

import gymnasium as gym
import numpy as np

MOST_JOINT_ACTIONS = 4096
WRAP = "wrap it in Python, register the wrapped environment and name that"


class Refused(Exception):
    """What the user can do something about: a message, and what to do."""

    def __init__(self, message, hint=None):
        super().__init__(message)
        self.hint = hint


class Fault(Exception):
    """What an environment returned that nobody can learn from: `did` goes on after its name."""

    def __init__(self, did, hint):
        super().__init__(did)
        self.did, self.hint = did, hint


RESET_RETURNS = "reset returns two things since Gymnasium 0.26: return observation, {}"
STEP_RETURNS = "step returns five things since Gymnasium 0.26: return observation, reward, terminated, truncated, {}"


class World:
    """An environment of Gymnasium with flat observations."""

    def __init__(self, id, arguments, limit, masks=None):
        env = make(id, arguments)
        self.env = env
        self.max_steps = env.spec.max_episode_steps or limit
        self.unlimited = not env.spec.max_episode_steps
        self.act, self.taken = bare(env).step, 0
        self.threshold = env.spec.reward_threshold
        self.fps = env.metadata.get("render_fps", 30)
        seen = env.observation_space
        self.flatten, self.dropped = None, []
        if not isinstance(seen, gym.spaces.Box):
            seen = numbers_of(seen, "observation", self.dropped)
            if seen is None or not seen.is_np_flattenable:
                raise Refused(f"observations of {env.observation_space} have no fixed size", f"{WRAP}, with observations in a Box")
            self.flatten, seen = seen, gym.spaces.flatten_space(seen)
        self.given = seen.shape
        self.notices, self.watch = [], Watch()
        self.image = image_of(seen) if self.flatten is None else None
        if self.image:
            self.shape = self.image.shape
            self.dtype = np.uint8
            self.low, self.high = np.zeros(self.image.size), np.full(self.image.size, 255)
            if self.image.note:
                self.notices.append(f"observations in {seen} are read as pictures {self.image.note}")
        else:
            self.shape = None
            self.dtype = np.uint8 if seen.dtype == np.uint8 else np.float32
            self.low, self.high = seen.low.ravel(), seen.high.ravel()
        self.size = self.low.size
        self.plain = self.flatten is None and not self.image
        self.describe_actions(env.action_space)
        self.masks = masks_of(env) if masks is None else masks
        self.mask = self.actions.get("n", 0) if self.masks else 0
        if self.mask:  # the mask is the end of an observation
            self.low = np.append(self.low, np.zeros(self.mask, self.low.dtype))
            self.high = np.append(self.high, np.ones(self.mask, self.high.dtype))
        elif self.masks:
            self.notices.append("its action mask is not used: it has no discrete actions")
        self.news = self.low.size

    def describe_actions(self, space):
        spaces = gym.spaces
        if isinstance(space, spaces.Discrete):
            start = int(space.start)
            self.actions = {"n": int(space.n)}
            if start != 0:
                self.actions["coding"] = {"sizes": [int(space.n)], "starts": [start]}
            self.actions_of = lambda rows: (rows.ravel().astype(np.int64) + start).tolist()
        elif isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary)):
            sizes = space.nvec.ravel() if isinstance(space, spaces.MultiDiscrete) else np.full(np.prod(space.shape), 2)
            n = int(np.prod(sizes, dtype=np.float64))
            if n > MOST_JOINT_ACTIONS:
                raise Refused(f"{space} has {n} joint actions, more than {MOST_JOINT_ACTIONS}", WRAP)
            starts = getattr(space, "start", 0)
            many = [int(x) for x in np.ravel(np.broadcast_to(starts, space.shape))]
            self.actions = {"n": n, "coding": {"sizes": [int(x) for x in sizes], "starts": many}}
            each = lambda action: np.reshape(np.unravel_index(action, sizes), space.shape) + starts
            self.actions_of = lambda rows: [each(int(action)).astype(space.dtype) for action in rows.ravel()]
        elif isinstance(space, spaces.Box):
            low, high = space.low, space.high
            self.actions = {"low": low.ravel(), "high": high.ravel()}
            self.actions_of = lambda rows: list(
                np.minimum(np.maximum(rows.reshape(-1, *space.shape), low), high).astype(space.dtype, copy=False)
            )
        else:
            raise Refused(f"actions of {space} are not supported", WRAP)

    def write(self, observation, row):
        if self.flatten is not None:
            try:
                observation = gym.spaces.flatten(self.flatten, observation)  # leaves out what the space has not
            except Exception as error:
                did = f"returned an observation that is not in its space: {type(error).__name__}: {error}"
                raise Fault(did, f"its observation_space is {self.env.observation_space}") from error
        seen = self.numbers(observation)
        if self.image:
            seen = self.image.read(seen)
        elif self.watch and seen.dtype.itemsize == 8:
            self.look_closer(seen)
        row[: self.size] = seen if seen.ndim == 1 else seen.ravel()

    def write_mask(self, info, row, over):
        """Which actions are allowed. Where the episode is over, none need be."""
        given = info.get("action_mask") if self.masks == INFO else self.env.get_wrapper_attr("action_masks")()
        if given is None:
            did = "gave no action_mask in its info, after it gave one"
            raise Fault(did, "give one at reset and at each step, or never")
        allowed = joint_mask(given, self.actions)
        if allowed.any():
            row[self.size :] = allowed
        elif over:
            row[self.size :] = 1
        else:
            did = f"allowed none of its {self.mask} actions"
            raise Fault(did, "end the episode where nothing can be done, or allow an action that does nothing")

    def numbers(self, observation):
        """An observation as an array of the size that its space has."""
        seen = observation if type(observation) is np.ndarray else np.asarray(observation)
        if seen.dtype.kind not in "fiub":
            hint = f"return an array as observation_space has it: {self.env.observation_space}"
            raise Fault(f"returned {shown(observation)} as its observation", hint)
        # one row of a batch, or a column, has the same numbers in the same order; a picture in another shape has not
        same = seen.shape == self.given or (self.plain and seen.size == self.size and len(self.given) == 1)
        if same:
            return seen
        hint = f"its observation_space is {self.env.observation_space}"
        raise Fault(f"returned an observation of shape {seen.shape}, expected {self.given}", hint)

    def look_closer(self, seen):
        """Whether numbers of 64 bits differ that are one and the same in 32: heed learns from 32."""
        seen = seen.ravel()
        beyond = np.isfinite(seen) & (np.abs(seen) > np.finfo(np.float32).max)
        if beyond.any():
            at = int(beyond.argmax())
            hint = "scale it: no number of 32 bits is greater than 3.4e38"
            raise Fault(f"returned {seen[at]} as number {at} of its observation", hint)
        lost = self.watch.add(seen)
        if lost is None:
            return
        self.watch = None
        if lost.size > 0:
            which = ", ".join(str(i) for i in lost[:5]) + (", …" if lost.size > 5 else "")
            self.notices.append(
                f"{'number' if lost.size == 1 else 'numbers'} {which} of its observations change by less than 32 bits can hold, "
                "so the agent sees no change there: subtract a constant, or scale them, in a wrapper"
            )

    def reset(self, seed, row):
        self.taken = 0
        result = self.env.reset(seed=seed)
        if not (type(result) is tuple and len(result) == 2 and isinstance(result[1], dict)):
            raise Fault(f"returned {shown(result)} from reset, expected (observation, info)", RESET_RETURNS)
        self.write(result[0], row)
        if self.mask:
            self.write_mask(result[1], row, False)

    def step(self, action, row):
        result = self.act(action)
        if not (type(result) is tuple and len(result) == 5):
            raise Fault(f"returned {shown(result)} from step, expected five things", STEP_RETURNS)
        observation, reward, terminated, truncated, info = result
        self.write(observation, row)
        if type(reward) is not float:
            reward = number(reward)
        if type(terminated) is not bool or type(truncated) is not bool:
            terminated, truncated = flag("terminated", terminated), flag("truncated", truncated)
        self.taken += 1
        truncated = truncated or self.taken >= self.max_steps
        if self.mask:
            self.write_mask(info, row, terminated or truncated)
        return reward, terminated, truncated

    def picture(self):
        try:
            picture = self.env.render()
        except NotImplementedError:  # Gymnasium's own, where an environment has no render at all
            return None
        return picture if isinstance(picture, np.ndarray) and picture.ndim == 3 else None

    def close(self):
        self.env.close()


INFO, METHOD = "info", "method"


def masks_of(env):
    """Where an environment says which actions are allowed: in the info of each step, or by a method, as for sb3-contrib; "" for nowhere."""
    try:
        env.get_wrapper_attr("action_masks")
        return METHOD
    except AttributeError:
        pass
    try:
        _, info = env.reset(seed=0)
        return INFO if "action_mask" in info else ""
    except Exception:  # the first episode says what is wrong with it
        return ""


def joint_mask(given, actions):
    """A mask of all actions: as it is, or of each number by itself, one after another or in a tuple of their own masks."""
    n, sizes = actions["n"], actions.get("coding", {}).get("sizes", [])
    parts = [np.asarray(part) for part in given] if isinstance(given, (tuple, list)) and np.ndim(given[0]) == 1 else []
    flat = np.concatenate(parts) if parts else np.asarray(given).ravel()
    single = len(sizes) > 1 and flat.size == sum(sizes)
    if not single and flat.size != n:
        expected = f"{n} or {sum(sizes)}" if len(sizes) > 1 else n
        raise Fault(f"gave an action mask of {flat.size} values, expected {expected}", "give one value for each action")
    if flat.dtype.kind not in "biuf" or not np.isin(flat, (0, 1)).all():
        raise Fault(f"gave {shown(given)} as its action mask", "give 1 or True for each action that is allowed, and 0 or False for the others")
    allowed = flat.astype(bool)
    if not single:
        return allowed
    joint = np.ones(1, bool)
    for part in np.split(allowed, np.cumsum(sizes)[:-1]):
        joint = np.logical_and.outer(joint, part).ravel()
    return joint


class Watch:
    """Compares successive observations of 64 bits with what is left of their differences in 32."""

    ENOUGH = 200  # observations
    OFTEN = 20  # changes, so that a share of them says anything

    def __init__(self):
        self.before, self.seen = None, 0

    def add(self, seen):
        """The numbers whose changes mostly vanish, after enough observations; None before."""
        if self.before is None:
            self.changes, self.left = np.zeros(seen.size), np.zeros(seen.size)
        else:
            self.changes += seen != self.before
            self.left += seen.astype(np.float32) != self.before.astype(np.float32)
        self.before, self.seen = seen.copy(), self.seen + 1
        if self.seen < self.ENOUGH:
            return None
        return np.flatnonzero((self.changes >= self.OFTEN) & (self.left < self.changes / 2))


class Image:
    """Pictures as convolutions want them: colors, height, width, of whole numbers from 0 to 255."""

    def __init__(self, space, colors, low, high):
        self.colors = colors  # the axis of the colors; None for gray ones without such an axis
        sides = list(space.shape)
        self.shape = [1 if colors is None else sides.pop(colors), *sides]
        self.size = int(np.prod(self.shape))
        self.frames = None  # of a stack of pictures, how many
        self.bytes = space.dtype == np.uint8
        self.low, self.scale = low, 255 / (high - low)
        self.note = "" if self.bytes else f"of 256 shades from {low:g} to {high:g}"

    def stacked(self, frames):
        """The same for a stack of such pictures: their colors follow each other."""
        self.frames, self.shape, self.size = frames, [frames * self.shape[0], *self.shape[1:]], frames * self.size
        return self

    def read(self, seen):
        if self.frames:
            return np.concatenate([self.read_one(one).reshape(-1, *self.shape[1:]) for one in seen])
        return self.read_one(seen)

    def read_one(self, seen):
        if not self.bytes:
            if not np.isfinite(seen).all():
                raise Fault("returned a picture with NaN or infinity in it", "pictures are finite numbers")
            seen = np.clip(np.rint((seen - self.low) * self.scale), 0, 255).astype(np.uint8)
        return np.moveaxis(seen, self.colors, 0) if self.colors else seen


SMALLEST = 16  # pixels: less than this is a board or a table, where its numbers are not whole numbers of 8 bits


def image_of(space):
    """How the observations of a Box are pictures; None where they are numbers."""
    sides = len(space.shape)
    if sides == 4:  # as FrameStackObservation makes of pictures with colors
        one = image_of(gym.spaces.Box(space.low[0], space.high[0], dtype=space.dtype))
        return one and one.stacked(space.shape[0])
    low, high = float(space.low.flat[0]), float(space.high.flat[0])
    even = (space.low == low).all() and (space.high == high).all()
    if space.dtype == np.uint8:
        if sides == 2 and even and (low, high) == (0, 255) and min(space.shape) >= SMALLEST:
            return Image(space, None, 0, 255)
        return Image(space, color_axis(space), 0, 255) if sides == 3 else None
    ranged = space.dtype.kind == "f" and even and (low, high) in ((0, 1), (-1, 1), (0, 255))
    if not ranged or sides not in (2, 3):
        return None
    colors = None if sides == 2 else color_axis(space)
    pixels = [n for axis, n in enumerate(space.shape) if axis != colors]
    return Image(space, colors, low, high) if min(pixels) >= SMALLEST else None


def color_axis(space):
    """The axis of the colors: the one that differs where the other two are equal, else one of 1, 3 or 4, first or last."""
    first, middle, last = space.shape
    if first == middle != last:
        return 2
    if middle == last != first:
        return 0
    named = [axis for axis, n in ((0, first), (2, last)) if n in (1, 3, 4)]
    if len(named) == 1:
        return named[0]
    if first == last:
        raise Refused(f"which axis of {space} is the colors cannot be told", f"{WRAP}, with pictures as (height, width, colors)")
    return 0 if first < last else 2


def shown(value):
    """A value in an error, with its kind."""
    text = repr(value)
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} ({value.dtype})"
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:60] + '…'}" if value is not None else "None"


def number(reward):
    """A reward as a float."""
    if isinstance(reward, (bool, int, np.number, np.bool_)) or (isinstance(reward, np.ndarray) and reward.shape == ()):
        return float(reward)
    raise Fault(f"returned {shown(reward)} as its reward, expected a number", "return float(reward)")


def flag(name, value):
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return bool(value)
    raise Fault(f"returned {shown(value)} as {name}, expected True or False", f"return bool({name})")


def numbers_of(space, name="", dropped=None):
    """The space without its texts, such as the mission of MiniGrid; None where nothing else is in it. `dropped` gets their names."""
    if isinstance(space, gym.spaces.Dict):
        parts = {key: numbers_of(part, key, dropped) for key, part in space.spaces.items()}
        parts = {key: part for key, part in parts.items() if part is not None}
        return gym.spaces.Dict(parts) if parts else None
    try:
        space.is_np_flattenable
    except NotImplementedError:  # a space of the environment's own
        text = True
    else:
        text = isinstance(space, gym.spaces.Text)
    if text and dropped is not None:
        dropped.append(name)
    return None if text else space


# Modules that register environments, by how their names begin.
MODULES = {
    "minigrid": ("MiniGrid-", "BabyAI-"),
    "miniworld": ("MiniWorld-",),
    "gymnasium_robotics": ("Fetch", "HandManipulate", "HandReach", "Adroit", "FrankaKitchen", "AntMaze", "PointMaze"),
    "highway_env": ("highway-", "merge-", "roundabout-", "parking-", "intersection-", "racetrack-"),
}


def unregistered(id, error):
    """What to do about a name that nobody has registered."""
    module = next((one for one, starts in MODULES.items() if id.startswith(starts)), None)
    if module is None:
        return Refused(f"{id}: {error}", "a module that registers it can be named first, as in gym:module:ID")
    hint = f"name the module that registers it: gym:{module}:{id}"
    if importlib.util.find_spec(module) is None:
        hint = f"{install(module.replace('_', '-'))}, then {hint}"
    return Refused(f"{id} is not registered in Gymnasium by itself", hint)


def registering(id):
    """The name with its module, where an installed module registers names like it and has not yet."""
    module = next((one for one, starts in MODULES.items() if id.startswith(starts)), None)
    known = module is None or importlib.util.find_spec(module) is None
    return id if known else f"{module}:{id}"


def wrapped(env, names):
    """The environment in wrappers, the first innermost: gymnasium.wrappers.NAME, or module.path:NAME."""
    for name in names.split(","):
        module, _, wrapper = name.rpartition(":")
        try:
            found = getattr(importlib.import_module(module or "gymnasium.wrappers"), wrapper)
        except (ImportError, AttributeError) as error:
            hint = "write a name from gymnasium.wrappers, or module:Name, as in ?wrappers=minigrid.wrappers:FlatObsWrapper"
            raise Refused(f"the wrapper {name}: {error}", hint) from error
        try:
            env = found(env)
        except Exception as error:
            raise Refused(f"the wrapper {name}: {error}", f"a wrapper that needs arguments: {WRAP}") from error
    return env


def make(id, arguments):
    rest = {key: value for key, value in arguments.items() if key != "wrappers"}
    env = made(registering(id), rest)
    return wrapped(env, arguments["wrappers"]) if "wrappers" in arguments else env


def made(id, arguments):
    if id.startswith("ALE/"):
        try:
            import ale_py
        except ImportError as error:
            raise Refused(f"{id} needs the package ale-py, which this Python has not", install("ale-py")) from error
        gym.register_envs(ale_py)
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    mode = "rgb_array"
    try:
        # a module may be named that registers the environment: "mine:Maze-v0"
        spec = gym.spec(id) if ":" not in id else None
        try:
            return gym.make(id, **{"render_mode": mode, "disable_env_checker": True, **arguments})
        except TypeError as error:
            # many an environment of one's own takes no render_mode, and cannot be drawn
            if "render_mode" not in str(error) or "render_mode" in arguments:
                raise
            return gym.make(id, **{"disable_env_checker": True, **arguments})
    except gym.error.DependencyNotInstalled as error:
        raise Refused(f"{id}: {error}", install(f'"gymnasium[{extra_of(spec)}]"')) from error
    except (gym.error.UnregisteredEnv, gym.error.NamespaceNotFound, ModuleNotFoundError) as error:
        if getattr(error, "name", None):  # what it imports; Gymnasium leaves it empty where the module is the one named
            raise Refused(f"{id}: {error}", install(error.name)) from error
        raise unregistered(id, error) from error
    except (gym.error.Error, TypeError, AssertionError) as error:
        raise Refused(f"{id}: {error}", "look at the arguments that follow the ? of the name") from error


def bare(env):
    """Without gymnasium.make's wrappers that count steps and ask whether there was a reset: a World does both itself, quicker."""
    for wrapper in (gym.wrappers.TimeLimit, gym.wrappers.OrderEnforcing):
        if type(env) is wrapper:
            env = env.env
    return env


def extra_of(spec):
    entry = str(spec.entry_point) if spec else ""
    extras = {"mujoco": "mujoco", "box2d": "box2d", "toy_text": "toy-text", "classic_control": "classic-control"}
    return next((extra for part, extra in extras.items() if part in entry), "all")


def install(what):
    return f"{sys.executable} -m pip install {what}"
