"""Loads model folders in Transformers and compares every weight with a plain file of what it has to be, then saves the
model again as Transformers does. Arguments: folders, each with expected.safetensors (float32, named as heed names parameters).
Prints a JSON line a folder: {folder, dtype, wrong: [what differs]}."""

import json
import os
import re
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification


def stored(name, tensors):
    """The tensor that `name`, of Transformers' state, has to be."""
    if not name.startswith("transformer."):
        return tensors[name]
    if name == "transformer.wte.weight":
        return tensors["model.embed_tokens.weight"]
    if name == "transformer.wpe.weight":
        return tensors["model.embed_positions.weight"]
    layer, map_, kind = re.fullmatch(r"transformer\.(?:h\.(\d+)\.)?(.+)\.(weight|bias)", name).groups()
    if map_ == "ln_f":
        return tensors[f"model.norm.{kind}"]
    ours = {
        "ln_1": ["input_layernorm"],
        "ln_2": ["post_attention_layernorm"],
        "attn.c_attn": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        "attn.c_proj": ["self_attn.o_proj"],
        "mlp.c_fc": ["mlp.up_proj"],
        "mlp.c_proj": ["mlp.down_proj"],
    }[map_]
    joined = torch.cat([tensors[f"model.layers.{layer}.{o}.{kind}"] for o in ours])
    return joined.T if kind == "weight" and ".c_" in name else joined


for folder in sys.argv[1:]:
    config = AutoConfig.from_pretrained(folder)
    auto = (
        AutoModelForSequenceClassification
        if config.architectures[0].endswith("ForSequenceClassification")
        else AutoModelForCausalLM
    )
    model, info = auto.from_pretrained(folder, dtype="auto", output_loading_info=True)
    tensors = load_file(os.path.join(folder, "expected.safetensors"))
    wrong = [f"{kind}: {sorted(found)}" for kind, found in info.items() if found]
    if type(model).__name__ != config.architectures[0]:
        wrong.append(type(model).__name__)
    tied = config.tie_word_embeddings
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and tied:
            expected = tensors["model.embed_tokens.weight"]
        else:
            expected = stored(name, tensors)
        if weight.dtype != config.dtype or not torch.equal(weight, expected.to(weight.dtype)):
            wrong.append(name)
    model.save_pretrained(os.path.join(folder, "again"))
    print(json.dumps({"folder": folder, "dtype": str(config.dtype), "wrong": wrong}), flush=True)
