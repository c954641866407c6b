"""An environment of the Python package verifiers: arithmetic with a calculator, over several turns. Nothing is downloaded.

    python3 -m pip install 'verifiers>=0.1.11,<0.4'
    heed grpo --model MODEL --env 'verifiers:examples/verifiers_calculator.py?seed=1' --answers 8
"""

import random
import re

import verifiers as vf
from datasets import Dataset

OPERATIONS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


def calculator(expression: str) -> int:
    """Adds, subtracts or multiplies two whole numbers.

    Args:
        expression: Such as 12 * 30.
    """
    parts = re.fullmatch(r"\s*(-?\d{1,9})\s*([-+*])\s*(-?\d{1,9})\s*", expression)
    if not parts:
        raise ValueError(f"expected an expression such as 12 * 30, got {expression}")
    a, sign, b = parts.groups()
    return OPERATIONS[sign](int(a), int(b))


def right(completion, answer) -> float:
    """Whether the last number of the answer is the result."""
    numbers = re.findall(r"-?\d+", completion[-1]["content"] or "")
    return float(bool(numbers) and numbers[-1] == answer)


def load_environment(seed: int = 0, count: int = 2000, held_out: int = 200) -> vf.Environment:
    draw = random.Random(seed)

    def task():
        a, b = (draw.randint(*draw.choice([(10, 99), (100, 999)])) for _ in range(2))
        sign = draw.choice(list(OPERATIONS))
        return {"question": f"What is {a} {sign} {b}?", "answer": str(OPERATIONS[sign](a, b))}

    return vf.ToolEnv(
        dataset=Dataset.from_list([task() for _ in range(count)]),
        eval_dataset=Dataset.from_list([task() for _ in range(held_out)]),
        tools=[calculator],
        rubric=vf.Rubric(funcs=[right]),
    )
