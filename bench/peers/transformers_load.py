"""How long Transformers takes to load a checkpoint into memory, in fp32.

    python bench/peers/transformers_load.py --model FOLDER

Prints one JSON line. The folder is read twice and the second time counts, so that both meet a warm disk; peak RSS is of
both. Weights that are only mapped are touched: a load ends when all are in memory.
"""

import argparse

from transformers_model import LlamaForCausalLM, report, seconds, torch


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="FOLDER")
    args = parser.parse_args()

    @torch.inference_mode()
    def load():
        model = LlamaForCausalLM.from_pretrained(args.model, dtype=torch.float32)
        for weight in model.parameters():
            weight.sum()

    load()
    report(seconds=round(seconds(load), 3))


main()
