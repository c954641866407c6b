"""Tokens a second of one forward pass with Transformers: logits of every token, no gradient.

    python bench/peers/transformers_forward.py --shape 135M

Prints one JSON line, the median over the repeats.
"""

import statistics

from transformers_model import SHAPES, argument_parser, random_ids, random_model, report, seconds, settle_threads, torch


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    shape = SHAPES[args.shape]
    model = random_model(args.shape, torch.bfloat16 if args.dtype == "bf16" else torch.float32).eval()
    ids = random_ids(args.shape, shape["batch"], shape["length"])

    @torch.inference_mode()
    def forward():
        model(input_ids=ids, use_cache=False)

    threads = settle_threads(args, forward)
    forward()
    took = statistics.median(seconds(forward) for _ in range(args.repeats))
    report(
        shape=args.shape,
        dtype=args.dtype,
        batch=shape["batch"],
        threads=threads,
        tokensPerSecond=round(ids.numel() / took, 1),
    )


main()
