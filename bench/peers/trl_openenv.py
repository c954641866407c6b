"""TRL's GRPOTrainer on an environment that heed serves, through OpenEnv's own client, on a CPU.

    heed env serve examples/letters.js --port 8000
    python bench/peers/trl_openenv.py --model test/fixtures/models/tiny-llama --url http://127.0.0.1:8000 --steps 60

Each completion is one turn of a session of its own: its prompt is what the environment said at reset, its reward what the
turn got. Prints one JSON line: the mean reward of the first and of the last five steps. Needs trl and openenv-core.
"""

import argparse
import json
import tempfile

import torch
from datasets import Dataset
from openenv import GenericEnvClient
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)

    session = GenericEnvClient(base_url=args.url).sync()
    session.connect()

    def rewards(completions, seed, **_):
        scores = []
        for completion, task in zip(completions, seed, strict=True):
            session.reset(seed=task)
            text = completion[0]["content"] if isinstance(completion, list) else completion
            scores.append(session.step({"message": text}).reward)
        return scores

    prompts = []
    for seed in range(4):
        prompts.append({"prompt": session.reset(seed=seed).observation["messages"], "seed": seed})
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    with tempfile.TemporaryDirectory() as output:
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32),
            processing_class=tokenizer,
            reward_funcs=rewards,
            train_dataset=Dataset.from_list(prompts * 64),
            args=GRPOConfig(
                output_dir=output,
                use_cpu=True,
                bf16=False,
                max_steps=args.steps,
                per_device_train_batch_size=16,
                num_generations=8,
                max_completion_length=12,
                learning_rate=1e-2,
                lr_scheduler_type="constant",
                beta=0.0,
                logging_steps=1,
                report_to=[],
                disable_tqdm=True,
            ),
        )
        trainer.train()
    session.close()
    log = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    mean = lambda part: round(sum(part) / len(part), 3)
    print(json.dumps({"steps": len(log), "first": mean(log[:5]), "last": mean(log[-5:])}))


main()
