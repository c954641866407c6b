"""Greedy generation with Transformers' generate(), a fixed number of tokens for every row.

    python bench/peers/transformers_generate.py --shape 10M --batch 8 --prompt 64 --new 64

Prints one JSON line, medians over the repeats: tokens generated a second (the prompt's pass is in the time), the time to
the first token, and the time of each after it.
"""

import statistics
import time

from transformers_model import argument_parser, random_ids, random_model, report, settle_threads, torch


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=64, help="tokens of each prompt")
    parser.add_argument("--new", type=int, default=64, help="tokens generated for each")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    model = random_model(args.shape, torch.bfloat16 if args.dtype == "bf16" else torch.float32).eval()
    ids = random_ids(args.shape, args.batch, args.prompt)
    stamps = []

    def stamp(_, scores):
        stamps.append(time.perf_counter())
        return scores

    def generate(new=args.new):
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=new,
            logits_processor=[stamp],
        )

    def timed():
        stamps.clear()
        began = time.perf_counter()
        generate()
        total = time.perf_counter() - began
        if len(stamps) != args.new:
            raise SystemExit(f"generated {len(stamps)} tokens a row, wanted {args.new}")
        return total, stamps[0] - began, (stamps[-1] - stamps[0]) / max(1, args.new - 1)

    threads = settle_threads(args, lambda: generate(min(args.new, 16)))
    generate(min(args.new, 4))
    total, first, each = (statistics.median(figure) for figure in zip(*(timed() for _ in range(args.repeats))))
    report(
        shape=args.shape,
        dtype=args.dtype,
        batch=args.batch,
        prompt=args.prompt,
        new=args.new,
        threads=threads,
        tokensPerSecond=round(args.batch * args.new / total, 1),
        firstTokenMs=round(first * 1000, 2),
        perTokenMs=round(each * 1000, 2),
    )


main()
