"""Steps Gymnasium environments for heed, many for one message.

    python worker.py '{"id": "CartPole-v1", "arguments": {}, "atari": null}' < requests 3> answers

process.ts starts it and has the other half of the protocol. A request is [op u32, length of body u32, body], an answer
[0 for well, 1 for an error or 2 for a notice that comes before it u32, length of body u32, body], little-endian. The first answer comes unasked: JSON that
describes the spaces. Environments are called by number ("slot") and made when first reset. Bodies, arrays one after
another, n slots, a row of observations as `dtype` has it:

    RESET   seeds f64[n], slots u32[n]                         -> observations [n]
    STEP    next f64[n], slots u32[n], actions f32[n, a]       -> rewards f64[n], terminated u8[n], truncated u8[n],
            (next: the seed to start anew from, or -1)            padding to 4, news [n], final ones' news [ended, anew]
    REPLAY  seed f64, slot u32, actions f32[steps, a]          -> observation [1]
    FRAME   slot u32                                           -> height u32, width u32, RGB u8[height, width, 3]
    CLOSE   slots u32[n]                                       -> nothing

News are the last so many numbers of an observation: all of them, or of a stack of pictures the newest, before which stand those that were
last in the observation before; an episode begins with its first picture everywhere.
"""

import faulthandler
import json
import math
import os
import select
import signal
import struct
import sys
import time
import traceback

# heed stops it by closing its input: an interrupt is for heed, which first saves what it has
signal.signal(signal.SIGINT, signal.SIG_IGN)
# an alarm tells where Python is, and ends it, whatever it is in; heed sees the death
faulthandler.register(signal.SIGALRM, all_threads=False, chain=True)
for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(pool, "1")

ANSWERS = 3
NOTICE = 2
RESET, STEP, REPLAY, FRAME, CLOSE = range(5)
PIPE_BYTES = 1 << 20
WIDEST_FRAME = 320
LOOK = 0.0002  # s
MOST_RESTS = 64

# where the user's own environments are
sys.path.append(os.getcwd())
try:
    import gymnasium  # noqa: F401 (first, so that it is what is named where it is missing)
    import numpy as np
    from heed_world import Fault, Refused, World
except ImportError as error:
    missing = error
else:
    missing = None


def bounds(values):
    """Bounds as JSON has them: one number where all are the same, null for none."""
    values = [float(x) if np.isfinite(x) else None for x in values]
    return values[:1] if len(set(values)) == 1 else values


def describe(world):
    actions = world.actions
    if "n" not in actions:
        actions = {"low": bounds(actions["low"]), "high": bounds(actions["high"]), "size": actions["low"].size}
    return {
        "size": world.low.size,
        "low": bounds(world.low),
        "high": bounds(world.high),
        "shape": world.shape,
        "mask": getattr(world, "mask", 0),
        "bytes": np.dtype(world.dtype).itemsize,
        "news": world.news,
        "actions": actions,
        "maxEpisodeSteps": world.max_steps,
        "unlimited": getattr(world, "unlimited", False),
        "dropped": getattr(world, "dropped", []),
        "rewardThreshold": world.threshold,
        "framesPerSecond": world.fps,
    }


class Server:
    """Answers requests, with one memory for all answers."""

    def __init__(self, order):
        self.patience = order["patience"]
        id, arguments, atari, limit = (order[key] for key in ("id", "arguments", "atari", "limit"))
        if atari:
            from heed_atari import Atari

            self.make = lambda: Atari(id, arguments, atari)
        else:
            self.make = lambda: World(id, arguments, limit, getattr(self.example, "masks", None))
        self.worlds = {}
        self.said = set()
        # of the last step: it is mostly the same that are called
        self.slots, self.called = b"", []
        self.example = None
        self.spare = [self.make()]
        self.example = self.spare[0]
        self.size = self.example.low.size
        self.item = np.dtype(self.example.dtype).itemsize
        self.width = 1 if "n" in self.example.actions else self.example.actions["low"].size
        self.memory = bytearray(8)
        self.views = {}

    def world(self, slot):
        if slot not in self.worlds:
            self.worlds[slot] = self.spare.pop() if self.spare else self.make()
        return self.worlds[slot]

    def answer(self, n, outcomes):
        """Views of the answer's memory for n slots: rewards, flags, observations and final ones as rows and at once, and where these start."""
        key = n, outcomes
        if key not in self.views:
            start = 8 + (-(-10 * n // 4) * 4 if outcomes else 0)
            width = self.example.news if outcomes else self.size
            needed = start + 2 * n * width * self.item
            if needed > len(self.memory):
                self.memory = bytearray(needed)
                self.views.clear()
            view = lambda dtype, count, at: np.frombuffer(self.memory, dtype, count, at)
            rows = view(self.example.dtype, 2 * n * width, start).reshape(2 * n, width)
            # these take single numbers quicker than arrays do
            part = lambda kind, at, size: memoryview(self.memory)[at : at + size].cast(kind)
            flags = (part("d", 8, 8 * n), part("?", 8 + 8 * n, 2 * n)) if outcomes else ()
            self.views[key] = (*flags, list(rows), rows, start)
        return self.views[key]

    def send(self, length, failed=0):
        struct.pack_into("<II", self.memory, 0, failed, length - 8)
        view = memoryview(self.memory)
        sent = 0
        while sent < length:
            sent += os.write(ANSWERS, view[sent:length])

    def send_body(self, body, failed=0):
        if 8 + len(body) > len(self.memory):
            self.memory = bytearray(8 + len(body))
            self.views.clear()
        self.memory[8 : 8 + len(body)] = body
        self.send(8 + len(body), failed)

    def reset(self, body):
        n = len(body) // 12
        seeds, slots = np.frombuffer(body, np.float64, n).tolist(), np.frombuffer(body, np.uint32, n, 8 * n).tolist()
        rows, block, start = self.answer(n, False)
        worlds = [self.world(slot) for slot in slots]
        for i, (world, row, seed) in enumerate(zip(worlds, rows, seeds)):
            begin(world, seed, row, i)
        check_finite(block, worlds)
        self.pass_on(worlds)
        self.send(start + n * self.size * self.item)

    def step(self, body):
        n = len(body) // (12 + 4 * self.width)
        slots = body[8 * n : 12 * n]
        if slots != self.slots:
            self.slots = slots
            self.called = [self.worlds[slot] for slot in np.frombuffer(slots, np.uint32).tolist()]
        actions = self.example.actions_of(np.frombuffer(body, np.float32, n * self.width, 12 * n))
        rewards, ends, rows, block, start = self.answer(n, True)
        self.memory[8 + 8 * n : 8 + 10 * n] = bytes(2 * n)
        finals = n
        ended_worlds = []  # in the order of their final observations
        for i, (world, action, row) in enumerate(zip(self.called, actions, rows)):
            try:
                rewards[i], ended, cut = world.step(action, row)
            except Exception as error:
                raise blamed(error, i, world.taken + 1) from error
            if not math.isfinite(rewards[i]):
                raise blamed(Fault(f"returned {rewards[i]} as its reward", "return a finite number"), i, world.taken)
            if ended or cut:
                ends[i], ends[n + i] = ended, cut
                (seed,) = struct.unpack_from("<d", body, 8 * i)
                if seed >= 0:
                    rows[finals][:] = row
                    finals += 1
                    ended_worlds.append(world)
                    begin(world, seed, row, i)
        check_finite(block, self.called + ended_worlds)
        self.pass_on(self.called)
        self.send(start + finals * self.example.news * self.item)

    def replay(self, body):
        seed, slot = np.frombuffer(body, np.float64, 1)[0], int(np.frombuffer(body, np.uint32, 1, 8)[0])
        rows, _, start = self.answer(1, False)
        world = self.world(slot)
        world.reset(int(seed), rows[0])
        for action in self.example.actions_of(np.frombuffer(body, np.float32, offset=12)):
            signal.alarm(self.patience)  # for each step anew: there may be many
            world.step(action, rows[0])
        self.send(start + self.size * self.item)

    def frame(self, body):
        picture = self.worlds[int(np.frombuffer(body, np.uint32, 1)[0])].picture()
        if picture is None:
            raise Refused("it draws no pictures (no render mode rgb_array)")
        every = -(-max(picture.shape[:2]) // WIDEST_FRAME)
        small = np.ascontiguousarray(picture[::every, ::every, :3], np.uint8)
        self.send_body(np.array(small.shape[:2], np.uint32).tobytes() + small.tobytes())

    def pass_on(self, worlds):
        """Sends what environments found out about themselves, each thing once, ahead of the answer."""
        for world in worlds:
            while world.notices:
                text = world.notices.pop()
                if text not in self.said:
                    self.said.add(text)
                    send_first(text.encode(), NOTICE)

    def close(self, body):
        self.slots, self.called = b"", []
        for slot in np.frombuffer(body, np.uint32).tolist():
            if slot in self.worlds:
                self.worlds.pop(slot).close()
        self.send(8)

    def serve(self):
        handlers = {RESET: self.reset, STEP: self.step, REPLAY: self.replay, FRAME: self.frame, CLOSE: self.close}
        requests = open(0, "rb", buffering=0, closefd=False)
        memory = bytearray(1 << 16)
        looks = Looks()
        while True:
            looks.look()
            got = requests.readinto(memory)
            if not got:
                return
            length = 8 + int.from_bytes(memory[4:8], "little")
            if length > len(memory):
                memory += bytes(length - len(memory))
            while got < length:
                more = requests.readinto(memoryview(memory)[got:length])
                if not more:
                    return
                got += more
            # a copy: an environment may keep its action
            body = bytes(memory[8:length])
            signal.alarm(self.patience)
            try:
                handlers[memory[0]](body)
            except Exception as error:
                self.send_body(failure(error), failed=1)
            signal.alarm(0)


class Looks:
    """Looks for a request for a moment before sleeping over it, as wait.ts does: to be woken takes longer than a small world's step."""

    def __init__(self):
        requests = select.poll()
        requests.register(0, select.POLLIN)
        self.seen = requests.poll
        self.vain = self.rests = 0

    def look(self):
        if self.rests:
            self.rests -= 1
            return
        end = time.perf_counter() + LOOK
        while time.perf_counter() < end:
            if self.seen(0):
                self.vain = max(0, self.vain - 1)
                return
        self.rests = min(2**self.vain, MOST_RESTS)
        self.vain += 1


def begin(world, seed, row, at):
    try:
        world.reset(int(seed), row)
    except Exception as error:
        raise blamed(error, at, 0) from error


def check_finite(block, worlds):
    """Refuses observations with NaN or infinity; the first rows are those of the worlds."""
    seen = block[: len(worlds)]
    if seen.dtype == np.uint8 or np.isfinite(seen).all():
        return
    for i, (row, world) in enumerate(zip(seen, worlds)):
        wrong = np.flatnonzero(~np.isfinite(row))
        if wrong.size > 0:
            did = f"returned {row[wrong[0]]} as number {wrong[0]} of its observation"
            raise blamed(Fault(did, "return finite numbers"), worlds.index(world), world.taken)


class Blamed(Exception):
    """A fault of one environment: which of those called, from 0, and the step of its episode; 0 is its reset."""

    def __init__(self, did, thrown, hint, at, step):
        super().__init__(did)
        self.fault = {"did": did, "thrown": thrown, "copy": at, "episodeStep": step}
        self.hint = hint


def blamed(error, at, step):
    if isinstance(error, Refused):
        return error
    if isinstance(error, Fault):
        return Blamed(error.did, None, error.hint, at, step)
    return Blamed("threw", traceback.format_exc(limit=-4).strip(), None, at, step)


def failure(error):
    if error is missing:
        message, hint = f"{sys.executable} has no package {error.name}", f"{sys.executable} -m pip install gymnasium"
    elif isinstance(error, Refused):
        message, hint = str(error), error.hint
    elif isinstance(error, Blamed):
        message, hint = str(error), error.hint
    else:
        message, hint = traceback.format_exc(limit=-4).strip(), None
    return json.dumps({"message": message, "hint": hint, "fault": getattr(error, "fault", None)}).encode()


def send_first(body, kind):
    os.write(ANSWERS, kind.to_bytes(4, "little") + len(body).to_bytes(4, "little"))
    while body:
        body = body[os.write(ANSWERS, body) :]


def main():
    try:
        import fcntl

        for pipe in (0, ANSWERS):
            fcntl.fcntl(pipe, getattr(fcntl, "F_SETPIPE_SZ", 1031), PIPE_BYTES)
    except (ImportError, OSError):
        pass  # small pipes are only slower
    try:
        if missing:
            raise missing
        order = json.loads(sys.argv[1])
        signal.alarm(order["patience"])
        server = Server(order)
        description = json.dumps(describe(server.example)).encode()
    except Exception as error:
        send_first(failure(error), kind=1)
        return
    signal.alarm(0)
    send_first(description, kind=0)
    server.serve()


main()
