"""Seconds that a command of TRL takes to show its help: the start of Python and its imports.

    python bench/peers/trl_start.py sft

Prints one JSON line.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time

from common import peer_imports


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["sft", "dpo", "grpo", "kto", "rloo", "reward"])
    args = parser.parse_args()
    with peer_imports():
        if importlib.util.find_spec("trl") is None:
            raise ModuleNotFoundError(name="trl")
    began = time.perf_counter()
    program = f"import sys; from trl.cli import main; sys.argv = ['trl', '{args.command}', '--help']; main()"
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
    print(json.dumps({"seconds": time.perf_counter() - began}))


main()
