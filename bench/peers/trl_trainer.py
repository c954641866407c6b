"""What the trl_*.py scripts share: the models and data of a folder, settings that cost nothing, and the timing of steps.

The folder is written by `node bench/align-job.js models --shape S --out FOLDER`; both sides read it.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

# Intel's MKL, which PyTorch multiplies matrices with, takes slower code on other makers' processors. This is what it asks.
ON_INTEL = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"
TUNED = "heed-on-intel.so"


def run_tuned():
    """Starts this script again with MKL told that the processor is Intel's; exit code 3 where there is no C compiler."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / TUNED
        try:
            command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library]
            subprocess.run(command, input=ON_INTEL, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"--tuned needs a C compiler: {error}", file=sys.stderr)
            sys.exit(3)
        sys.exit(subprocess.run([sys.executable, *sys.argv], env={**os.environ, "LD_PRELOAD": str(library)}).returncode)


if "--tuned" in sys.argv and TUNED not in os.environ.get("LD_PRELOAD", ""):
    run_tuned()  # before imports that take seconds

from common import peer_imports
from transformers_model import SHAPES, argument_parser, report, settle_threads, torch

with peer_imports():
    import trl
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback


def parse(doc, *, steps, options=()):
    parser = argument_parser(doc)
    parser.add_argument("--folder", type=Path, required=True, help="written by align-job.js models")
    parser.add_argument("--steps", type=int, default=steps, help="timed steps, after one that is not")
    parser.add_argument("--tuned", action="store_true", help="let MKL take its fastest code, whoever made the processor")
    for name, settings in options:
        parser.add_argument(name, **settings)
    return parser.parse_args()


def load(folder, dtype, kind=AutoModelForCausalLM):
    torch.manual_seed(0)
    return kind.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")


def tokenizer_of(folder):
    return AutoTokenizer.from_pretrained(folder / "model", padding_side="left")


def rows_of(folder, name, count):
    """The first rows of a file, again from the first where there are fewer."""
    rows = load_dataset("json", data_files=str(folder / name), split="train", cache_dir=str(folder / "cache"))
    return rows.select([i % len(rows) for i in range(count)])


def settings(output, batch, autocast=False):
    """Of all trainers: no checkpoints, no reports, layers' states kept rather than computed again, weights' own type."""
    return {
        "output_dir": output,
        "per_device_train_batch_size": batch,
        "learning_rate": 3e-6,
        "bf16": autocast,
        "gradient_checkpointing": False,
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 0,
    }


class StepTimes(TrainerCallback):
    """Wall time from the end of each step to that of the next, in seconds; the first step is not told."""

    def __init__(self):
        self.ends = []

    def on_step_end(self, *_, **__):
        self.ends.append(time.perf_counter())

    @property
    def all(self):
        return [b - a for a, b in zip(self.ends, self.ends[1:])]


def settle(args, model, batch, length):
    """The threads with which a training step's forward and backward pass are faster."""
    ids = torch.randint(model.config.vocab_size, (batch, length))

    def step():
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        model.zero_grad(set_to_none=True)

    return settle_threads(args, step)
