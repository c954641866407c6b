"""A reward behind an address, for trainers in Python: the same requests that heed sends (docs/reference/reward.md)."""

import json
import os
import time
import urllib.request

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "reward.json")) as file:
    REWARD = json.load(file)


def text_of(messages):
    return messages if isinstance(messages, str) else messages[-1]["content"]


def scores(completions):
    body = json.dumps({"completions": completions}).encode()
    for attempt in range(REWARD["retries"] + 1):
        try:
            request = urllib.request.Request(REWARD["url"], body, {"content-type": "application/json"})
            with urllib.request.urlopen(request, timeout=REWARD["timeout"]) as response:
                found = json.load(response)
            break
        except OSError as error:
            if attempt == REWARD["retries"]:
                raise RuntimeError(f"The reward at {REWARD['url']} does not answer: {error}") from error
            time.sleep(REWARD["pause"] * 2**attempt)
    found = found if isinstance(found, list) else found["rewards"]
    if len(found) != len(completions):
        raise RuntimeError(f"The reward at {REWARD['url']} gave {len(found)} rewards for {len(completions)} completions")
    return [float(value) for value in found]


def trl_reward(prompts, completions, row=None, **_):
    rows = row or ["{}"] * len(prompts)
    return scores(
        [
            {"prompt": text_of(prompt), "response": text_of(completion), "ended": True, "row": json.loads(one)}
            for prompt, completion, one in zip(prompts, completions, rows)
        ]
    )


def reward_func(queries, prompts, labels, **_):
    """OpenRLHF's: queries are prompt and completion."""
    import torch

    rewards = torch.tensor(
        scores(
            [
                {"prompt": prompt, "response": query[len(prompt) :], "ended": True, "row": json.loads(label or "{}")}
                for query, prompt, label in zip(queries, prompts, labels)
            ]
        )
    )
    return {"rewards": rewards, "scores": rewards}


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_):
    """verl's: one completion."""
    row = json.loads((extra_info or {}).get("row", "{}"))
    prompt = text_of(row.get("prompt", ""))
    return scores([{"prompt": prompt, "response": solution_str, "ended": True, "row": row}])[0]
