"""A step of GRPO with TRL's GRPOTrainer: prompts answered, scored by a Python function that takes no time, and learned from.

    python bench/peers/trl_grpo.py --shape 1M --folder FOLDER --beta 0.04

Prints one JSON line: the median of seconds a step. 8 prompts of 16 tokens, 4 answers of 48 to each, one optimizer step.
Generation is Transformers', which is what TRL has on a CPU. With --beta 0 there is no reference model.
"""

import statistics
import tempfile

from trl_trainer import StepTimes, load, parse, peer_imports, report, rows_of, settings, settle, tokenizer_of, torch, trl

with peer_imports():
    from trl import GRPOConfig, GRPOTrainer

PROMPTS, ANSWERS, PROMPT, ANSWER = 8, 4, 16, 48


def lengths(completions, **_):
    return [float(len(text)) for text in completions]


def main():
    args = parse(__doc__, steps=3, options=[("--beta", {"type": float, "default": 0.04})])
    dtype = getattr(torch, {"fp32": "float32", "bf16": "bfloat16"}[args.dtype])
    model = load(args.folder / "model", dtype)
    threads = settle(args, model, PROMPTS * ANSWERS, PROMPT + ANSWER)
    steps = StepTimes()
    with tempfile.TemporaryDirectory() as output:
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=lengths,
            args=GRPOConfig(
                **settings(output, PROMPTS * ANSWERS),
                num_train_epochs=1,
                num_generations=ANSWERS,
                max_completion_length=ANSWER,
                steps_per_generation=1,
                temperature=1.0,
                beta=args.beta,
                loss_type="grpo",
            ),
            processing_class=tokenizer_of(args.folder),
            train_dataset=rows_of(args.folder, "prompts.jsonl", PROMPTS * (args.steps + 1)),
            callbacks=[steps],
        )
        trainer.train()
    report(
        shape=args.shape,
        dtype=args.dtype,
        tuned=args.tuned,
        threads=threads,
        trl=trl.__version__,
        beta=args.beta,
        seconds=round(statistics.median(steps.all), 4),
    )


main()
