"""An iteration of PPO with TRL's PPOTrainer: prompts answered, scored, and learned from.

    python bench/peers/trl_ppo.py --shape 1M --folder FOLDER

Prints one JSON line: medians of seconds an iteration, and of its parts. 32 prompts of 16 tokens, answers of 48, four epochs of one
minibatch, policy, reference, value and reward model of one shape. TRL 1.12 is the last with a PPOTrainer.
"""

import statistics
import tempfile
import time

from trl_trainer import StepTimes, load, parse, peer_imports, report, rows_of, settings, settle, tokenizer_of, torch, trl

with peer_imports():
    from transformers import AutoModelForSequenceClassification
    from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

BATCH, PROMPT, ANSWER = 32, 16, 48


def note_times(times):
    """Appends when generation ended, and when the first forward pass with gradients began, of each iteration."""
    generate, forward = ppo_trainer.batch_generation, ppo_trainer.forward

    def timed_generation(*args, **kwargs):
        answers = generate(*args, **kwargs)
        times.append({"generated": time.perf_counter()})
        return answers

    def timed_forward(*args, **kwargs):
        if torch.is_grad_enabled():
            times[-1].setdefault("scored", time.perf_counter())
        return forward(*args, **kwargs)

    ppo_trainer.batch_generation, ppo_trainer.forward = timed_generation, timed_forward


def main():
    args = parse(__doc__, steps=3)
    dtype = getattr(torch, {"fp32": "float32", "bf16": "bfloat16"}[args.dtype])
    policy, reference = (load(args.folder / "model", dtype) for _ in range(2))
    value, reward = (load(args.folder / "reward", dtype, AutoModelForSequenceClassification) for _ in range(2))
    threads = settle(args, policy, BATCH, PROMPT + ANSWER)
    tokenizer = tokenizer_of(args.folder)
    prompts = rows_of(args.folder, "prompts.jsonl", BATCH * (args.steps + 1))
    prompts = prompts.map(lambda row: tokenizer(row["prompt"]), remove_columns=["prompt"])
    times, steps = [], StepTimes()
    note_times(times)
    with tempfile.TemporaryDirectory() as output:
        trainer = PPOTrainer(
            args=PPOConfig(
                **settings(output, BATCH),
                total_episodes=len(prompts),
                num_mini_batches=1,
                num_ppo_epochs=4,
                response_length=ANSWER,
                temperature=1.0,
                num_sample_generations=0,
            ),
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=reward,
            value_model=value,
            train_dataset=prompts,
            eval_dataset=prompts,
            callbacks=[steps],
        )
        trainer.train()
    parts = [
        {
            "seconds": end - began,
            "generation": at["generated"] - began,
            "scoring": at["scored"] - at["generated"],
            "update": end - at["scored"],
        }
        for began, at, end in zip(steps.ends[:-1], times[1:], steps.ends[1:], strict=True)
    ]
    report(
        shape=args.shape,
        dtype=args.dtype,
        tuned=args.tuned,
        threads=threads,
        trl=trl.__version__,
        **{name: round(statistics.median(part[name] for part in parts), 4) for name in parts[0]},
    )


main()
