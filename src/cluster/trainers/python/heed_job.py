"""What a job of the cluster runs for a stage with "on": does what order.json says, and sends home what comes of it.

The log is the only way home: this writes frames (src/cluster/frames.ts) between the lines of the trainer, first the rows
of metrics under heed's names while it trains, then the model's files with their checksums. It needs Python's standard
library, and TensorBoard where the trainer writes its metrics for that.
"""

import base64
import glob
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib import metadata

PIECE = 6 * 1024
EVERY = 1.0
ERROR_LINES = 20

lock = threading.Lock()


def write(line):
    with lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Sender:
    """Numbers frames; those of one file stay together."""

    def __init__(self):
        self.n = 0
        self.sent = {}

    def frame(self, **frame):
        write("@heed " + json.dumps(frame, allow_nan=False))

    def change(self, **frame):
        self.n += 1
        self.frame(**frame, n=self.n)

    def append(self, path, data):
        at = self.sent.get(path, 0)
        for begin in range(0, len(data), PIECE):
            self.frame(kind="data", data=base64.b64encode(data[begin : begin + PIECE]).decode())
        self.change(kind="put", path=path, at=at, sha256=hashlib.sha256(data).hexdigest())
        self.sent[path] = at + len(data)

    def file(self, path, source):
        """Sends a whole file. Returns its size and checksum."""
        digest, size = hashlib.sha256(), 0
        with open(source, "rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
                self.frame(kind="data", data=base64.b64encode(piece).decode())
        self.change(kind="put", path=path, at=0, sha256=digest.hexdigest())
        return {"size": size, "sha256": digest.hexdigest()}


def checksum(source):
    digest, size = hashlib.sha256(), 0
    with open(source, "rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
            size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


def parts(version):
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def version_of(order):
    """The trainer's version here. Raises SystemError where it is absent or too old, and warns where it is too new."""
    name, known = order["package"], order["versions"]
    install = f"pip install {name}=={known['tested']}"
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        raise SystemError(
            f"{name} is not installed for {sys.executable}: expected {known['from']} or later. Install it there: {install}"
        ) from None
    if parts(found) < parts(known["from"]):
        raise SystemError(f"{name} {found} is too old: expected {known['from']} or later. Upgrade it: {install}")
    if parts(found) >= parts(known["below"]):
        write(
            f"{name} {found} is newer than heed knows ({known['from']} to below {known['below']}, tested with "
            f"{known['tested']}): its settings may have other names or meanings. If it fails: {install}"
        )
    return found


class Metrics:
    """Rows that the trainer has written so far, under heed's names."""

    def __init__(self, order, out):
        self.order = order
        self.out = out
        self.read = 0
        self.rows = {}
        self.sent = set()
        self.last = {}

    def lines(self):
        path = os.path.join(self.out, "metrics.jsonl")
        if not os.path.exists(path):
            return
        with open(path, "rb") as file:
            file.seek(self.read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self.read += len(line)
                row = json.loads(line)
                yield row["step"], row.get("data", row), row.get("time", time.time())

    def events(self):
        """Scalars from TensorBoard's files; a step's are complete when a later one has begun."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        folder = os.path.join(self.out, "tensorboard")
        for path in sorted(glob.glob(os.path.join(folder, "**", "events.*"), recursive=True)):
            events = EventAccumulator(path)
            events.Reload()
            for name in events.Tags()["scalars"]:
                for event in events.Scalars(name):
                    row = self.rows.setdefault(event.step, {"time": event.wall_time})
                    row[name] = event.value

    def new(self, last=False):
        if self.order["metrics"]["from"] == "lines":
            for step, data, moment in self.lines():
                yield step, data, moment
            return
        if not os.path.isdir(os.path.join(self.out, "tensorboard")):
            return
        self.events()
        steps = sorted(self.rows)
        for step in steps if last else steps[:-1]:
            if step not in self.sent:
                self.sent.add(step)
                yield step, self.rows[step], self.rows[step]["time"]

    def translated(self, last=False):
        names, per = self.order["metrics"]["names"], self.order["metrics"]["stepsPer"]
        for step, theirs, moment in self.new(last):
            theirs = {k: v for k, v in theirs.items() if k not in ("step", "time") and isinstance(v, (int, float))}
            row = {"step": step / per if step % per else step // per, "time": moment}
            used = set()
            for name in names:
                values = [theirs.get(one) for one in name["theirs"]]
                if None in values:
                    continue
                used.update(name["theirs"])
                row[name["ours"]] = CHANGES[name.get("change", "same")](*values)
            for name, value in theirs.items():
                if name not in used:
                    row[f"{self.order['on']}/{name}"] = value
            self.last.update({k: v for k, v in row.items() if k != "time"})
            self.last = {k: v for k, v in self.last.items() if math.isfinite(v)}  # JSON has no others
            yield row


CHANGES = {
    "same": lambda value: value,
    "share of others": lambda value: 1 - value,
    "exp": lambda value: math.exp(min(value, 700)),
    "product": lambda a, b: a * b,
}


def in_json(row):
    """A row as heed writes it: numbers that are not finite are texts."""
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}
    plain = {k: v if math.isfinite(v) else words.get(v, "NaN") for k, v in row.items()}
    return (json.dumps(plain) + "\n").encode()


def train(order, out, sender):
    """Runs the launch script; its metrics go home as they come. Returns the exit code, the last lines, and metrics."""
    env = {**os.environ, "HEED_OUT": out, "HEED_PYTHON": sys.executable, "PYTHONUNBUFFERED": "1"}
    env.setdefault("TOKENIZERS_PARALLELISM", "false")
    child = subprocess.Popen(
        ["sh", "launch.sh"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(child.pid, signal.SIGTERM))
    metrics, lines = Metrics(order, out), []

    def report(last=False):
        rows = list(metrics.translated(last))
        if rows:
            sender.append("metrics.jsonl", b"".join(in_json(row) for row in rows))
            sender.frame(kind="step", step=rows[-1]["step"])

    def pass_on():
        for raw in child.stdout:
            line = raw.decode(errors="replace").rstrip("\n").rsplit("\r", 1)[-1]
            if not line.startswith("@heed "):  # it cannot send frames
                write(line)
            lines.append(line)
            del lines[:-ERROR_LINES]

    reader = threading.Thread(target=pass_on, daemon=True)
    reader.start()
    while child.poll() is None:
        time.sleep(EVERY)
        report()
    reader.join(5)
    report(last=True)
    return child.returncode, "\n".join(lines), metrics.last


def bring_home(order, out, sender):
    """Sends the model that the trainer saved, or puts it beside in the storage. Returns what the result says of it."""
    found = sorted(glob.glob(os.path.join(out, order["model"])), key=os.path.getmtime)
    if not found:
        raise SystemError(f"{order['on']} ended without an error but saved no model in {order['model']}")
    names = sorted(
        os.path.relpath(os.path.join(folder, name), found[-1])
        for folder, _, names in os.walk(found[-1])
        for name in names
        if name != "training_args.bin" and not re.match(r"(checkpoint-|runs/)", os.path.relpath(folder, found[-1]))
    )
    if order.get("storage"):
        return {"stored": found[-1], "files": {name: checksum(os.path.join(found[-1], name)) for name in names}}
    return {"files": {name: sender.file(f"model.new/{name}", os.path.join(found[-1], name)) for name in names}}


def main():
    with open("order.json") as file:
        order = json.load(file)
    sender = Sender()
    out = os.path.abspath(order["storage"]) if order.get("storage") else tempfile.mkdtemp(prefix="heed-job-")
    began = time.time()
    code, end = 1, {}
    try:
        os.makedirs(out, exist_ok=True)
        rows = os.path.join(out, "metrics.jsonl")
        if os.path.exists(rows):  # of a job whose node was lost; who resumes copies what it goes on from
            os.replace(rows, os.path.join(out, "metrics.before.jsonl"))
        version = version_of(order)
        code, said, last = train(order, out, sender)
        if code < 0:
            code = 128 - code
        if code:
            end = {"error": said}
        else:
            model = bring_home(order, out, sender)
            trainer = {"name": order["on"], "version": version}
            seconds = round(time.time() - began, 3)
            end = {"result": {"run": "run", "trainer": trainer, "seconds": seconds, "last": last, **model}}
    except (SystemError, OSError, ValueError) as error:
        code, end = 1, {"error": str(error)}
    finally:
        if not order.get("storage"):
            shutil.rmtree(out, ignore_errors=True)
    sender.frame(kind="end", code=code, **end)
    sys.exit(code)


if __name__ == "__main__":
    main()
