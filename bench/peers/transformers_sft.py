"""A whole step of supervised fine-tuning with PyTorch and Transformers: forward, backward, AdamW, gradients to zero.

    python bench/peers/transformers_sft.py --shape 10M --dtype fp32 --steps 10
    python bench/peers/transformers_sft.py --shape 10M --padded lengths.json --batch 8

Prints one JSON line. Every row is as long as the shape's, and tokens a second are the median over the steps; with
--padded FILE (a JSON list of lengths, in tokens) rows are padded to the longest of their batch, as a collator does, each
batch is trained on once and only the tokens that are not padding count.

The loss is LlamaForCausalLM's own, on every token. Attention is sdpa, the optimizer torch's fused AdamW. bf16 is
"pure" (weights, gradients and moments in bf16) or "autocast" (kept in fp32, multiplied in bf16); the default is the
faster of the two where it was measured, README.md says where.
"""

import contextlib
import json
import statistics
from pathlib import Path

from transformers_model import SHAPES, argument_parser, random_ids, random_model, report, seconds, settle_threads, torch


def make_step(model, autocast, optimizer):
    """One optimizer step on a batch; the padding is where the mask is 0."""

    def step(ids, mask=None):
        labels = ids if mask is None else ids.masked_fill(mask == 0, -100)
        with torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext():
            loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def padded_batches(shape, lengths, size):
    """(ids, mask) of `size` rows each, in the order of the lengths, padded on the right."""
    for start in range(0, len(lengths), size):
        rows = torch.tensor(lengths[start : start + size])
        mask = (torch.arange(rows.max()) < rows[:, None]).long()
        yield random_ids(shape, *mask.shape), mask


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--steps", type=int, default=5, help="timed steps, after one that is not")
    parser.add_argument("--bf16", choices=["pure", "autocast"], default="pure")
    parser.add_argument("--adamw", choices=["fused", "foreach"], default="fused")
    parser.add_argument("--padded", metavar="FILE")
    parser.add_argument("--batch", type=int, help="rows of a batch; default: the shape's")
    args = parser.parse_args()

    shape = SHAPES[args.shape]
    batch = args.batch or shape["batch"]
    pure = args.dtype == "bf16" and args.bf16 == "pure"
    model = random_model(args.shape, torch.bfloat16 if pure else torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, **{args.adamw: True})
    step = make_step(model, args.dtype == "bf16" and not pure, optimizer)
    ids = random_ids(args.shape, batch, shape["length"])
    threads = settle_threads(args, lambda: step(ids))

    if args.padded:
        lengths = json.loads(Path(args.padded).read_text())
        batches = list(padded_batches(args.shape, lengths, batch))
        step(*batches[0])
        took = sum(seconds(lambda: step(*one)) for one in batches)
        tokens, steps, padded = sum(lengths), len(batches), sum(mask.numel() for _, mask in batches)
    else:
        step(ids)
        took = statistics.median(seconds(lambda: step(ids)) for _ in range(args.steps))
        tokens, steps, padded = ids.numel(), args.steps, None
    report(
        shape=args.shape,
        dtype=args.dtype + (f" {args.bf16}" if args.dtype == "bf16" else ""),
        batch=batch,
        steps=steps,
        threads=threads,
        tokensPerSecond=round(tokens / took, 1),
        **({} if padded is None else {"tokens": tokens, "tokensWithPadding": padded}),
    )


main()
