"""Puts ids of real objects into most of the requests that schemathesis makes of heed serve: see ../serve-fuzz.js.

HEED_FUZZ is a JSON object with them. One request in four is left as it was made.
"""

import json
import os
import random

import schemathesis

ids = json.loads(os.environ["HEED_FUZZ"])
draws = random.Random(0)

BY_PATH = {
    "/v1/chat/completions/": "completions",
    "/v1/files/": "files",
    "/v1/uploads/": "uploads",
    "/v1/fine_tuning/jobs/": "jobs",
}
IN_BODY = {"model": "model", "training_file": "files", "validation_file": "files", "completion_id": "completions"}


def one(kind):
    value = ids[kind]
    return value if isinstance(value, str) else draws.choice(value)


@schemathesis.hook
def before_call(context, case, kwargs):
    if draws.random() < 0.25:
        return
    for name, value in (case.path_parameters or {}).items():
        kind = next((kind for path, kind in BY_PATH.items() if case.path.startswith(path)), name)
        # what deletes would leave nothing for the others
        if kind in ids and isinstance(value, str) and (case.method != "DELETE" or draws.random() < 0.1):
            case.path_parameters[name] = one(kind)
    if isinstance(case.body, dict):
        for name, kind in IN_BODY.items():
            if isinstance(case.body.get(name), str):
                case.body[name] = one(kind)
