"""Trains by TRL as config.json says: python trl_train.py config.json FOLDER. The model goes to FOLDER/model."""

import dataclasses
import importlib
import json
import os
import sys
import time

CLASSES = {
    "sft": ("SFTConfig", "SFTTrainer"),
    "reward": ("RewardConfig", "RewardTrainer"),
    "dpo": ("DPOConfig", "DPOTrainer"),
    "kto": ("KTOConfig", "KTOTrainer"),
    "grpo": ("GRPOConfig", "GRPOTrainer"),
}


def main(path, out):
    with open(path) as file:
        order = json.load(file)
    import torch
    import transformers
    import trl
    from datasets import load_dataset

    config_class, trainer_class = (getattr(trl, name, None) for name in CLASSES[order["command"]])
    if trainer_class is None:
        trainer_class, config_class = (
            getattr(importlib.import_module(f"trl.experimental.{order['command']}"), name)
            for name in reversed(CLASSES[order["command"]])
        )
    known = {field.name for field in dataclasses.fields(config_class)}
    unknown = sorted(set(order["config"]) - known)
    if unknown:
        sys.exit(f"trl {trl.__version__} has no {', '.join(unknown)} in {config_class.__name__}")

    files = {name: path for name, path in order["data"].items() if path}
    data = load_dataset("json", data_files=files, cache_dir=os.path.join(out, "cache"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(order["model"])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if order["chatTemplate"]:
        with open(order["chatTemplate"]) as file:
            tokenizer.chat_template = file.read()
    kind = transformers.AutoModelForCausalLM
    more = {}
    if order["command"] == "reward":
        kind, more = transformers.AutoModelForSequenceClassification, {"num_labels": 1}
    dtype = getattr(torch, order["dtype"])
    model = kind.from_pretrained(order["model"], dtype=dtype, **more)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id

    class Log(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            if state.is_world_process_zero and logs and "train_runtime" not in logs:
                row = {**logs, "step": state.global_step, "time": time.time()}
                with open(os.path.join(out, "metrics.jsonl"), "a") as file:
                    file.write(json.dumps(row) + "\n")

    arguments = {
        "args": config_class(output_dir=os.path.join(out, "trainer"), **order["config"]),
        "train_dataset": data["train"],
        "eval_dataset": data.get("eval"),
        "processing_class": tokenizer,
        "callbacks": [Log()],
    }
    if order["peft"]:
        from peft import LoraConfig

        task = "SEQ_CLS" if order["command"] == "reward" else "CAUSAL_LM"
        head = {"modules_to_save": ["score"]} if order["command"] == "reward" else {}
        arguments["peft_config"] = LoraConfig(task_type=task, **order["peft"], **head)
    if order["command"] in ("dpo", "kto") and order["reference"]:
        arguments["ref_model"] = transformers.AutoModelForCausalLM.from_pretrained(order["reference"], dtype=dtype)
    if order["command"] == "grpo":
        if order["endpoint"]:
            from heed_reward import trl_reward

            arguments["reward_funcs"] = trl_reward
        else:
            arguments["reward_funcs"] = order["reward"]
    trainer = trainer_class(model, **arguments)
    trainer.train(resume_from_checkpoint=last_checkpoint(trainer.args.output_dir, out))
    logged = trainer.state.log_history
    if trainer.eval_dataset is not None and order["config"].get("eval_strategy", "no") != "no":
        if not any("eval_loss" in row and row["step"] == trainer.state.global_step for row in logged):
            trainer.evaluate()
    trainer.save_model(os.path.join(out, "model"))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(os.path.join(out, "model"))


def last_checkpoint(folder, out):
    """The checkpoint of a job whose node was lost; the metrics up to there go on, too."""
    from transformers.trainer_utils import get_last_checkpoint

    last = get_last_checkpoint(folder) if os.path.isdir(folder) else None
    before = os.path.join(out, "metrics.before.jsonl")
    if last and os.path.exists(before):
        step = int(last.rsplit("-", 1)[1])
        with open(before) as rows, open(os.path.join(out, "metrics.jsonl"), "w") as kept:
            kept.writelines(row for row in rows if row.endswith("\n") and json.loads(row)["step"] <= step)
    return last


if __name__ == "__main__":
    main(*sys.argv[1:])
