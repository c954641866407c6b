"""A step of DPO with TRL's DPOTrainer, the reference's log-probabilities computed before.

    python bench/peers/trl_dpo.py --shape 10M --folder FOLDER --dtype bf16

Prints one JSON line: the median of seconds a step, and its pairs. A batch has the shape's rows of pairs, both answers as long as the
shape's rows. bf16 is "pure" (weights, gradients and moments in bf16) or "autocast" (kept in fp32, multiplied in bf16).
"""

import statistics
import tempfile

from trl_trainer import (
    SHAPES,
    StepTimes,
    load,
    parse,
    peer_imports,
    report,
    rows_of,
    settings,
    settle,
    tokenizer_of,
    torch,
    trl,
)

with peer_imports():
    from trl import DPOConfig, DPOTrainer


def main():
    args = parse(__doc__, steps=5, options=[("--bf16", {"choices": ["pure", "autocast"], "default": "pure"})])
    shape = SHAPES[args.shape]
    pure = args.dtype == "bf16" and args.bf16 == "pure"
    model = load(args.folder / "model", torch.bfloat16 if pure else torch.float32)
    threads = settle(args, model, 2 * shape["batch"], shape["length"])
    steps = StepTimes()
    with tempfile.TemporaryDirectory() as output:
        trainer = DPOTrainer(
            model=model,
            args=DPOConfig(
                **settings(output, shape["batch"], autocast=args.dtype == "bf16" and not pure),
                num_train_epochs=1,
                precompute_ref_log_probs=True,
            ),
            processing_class=tokenizer_of(args.folder),
            train_dataset=rows_of(args.folder, "pairs.jsonl", shape["batch"] * (args.steps + 1)),
            callbacks=[steps],
        )
        trainer.train()
    report(
        shape=args.shape,
        dtype=args.dtype + (f" {args.bf16}" if args.dtype == "bf16" else ""),
        tuned=args.tuned,
        threads=threads,
        trl=trl.__version__,
        pairs=shape["batch"],
        seconds=round(statistics.median(steps.all), 4),
    )


main()
