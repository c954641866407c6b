"""Checks the arguments of a launch script by the trainer's own parser, without what they need to run: in the place of
Python in the script, it gets "-m openrlhf.cli.train_ppo_ray --…" or "-m verl.trainer.main_ppo name=value …".

Prints them as JSON, or ends as their parser does. OpenRLHF imports DeepSpeed and vLLM at once, which need GPUs: they are
replaced by modules that have nothing but what it imports by name."""

import importlib.util
import json
import os
import runpy
import sys
import types


def openrlhf():
    found = []

    class Anything(types.ModuleType):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return lambda *_, **__: None

    root = importlib.util.find_spec("openrlhf").submodule_search_locations[0]
    for name in ("ray", "ray.util", "ray.util.placement_group", "openrlhf.trainer", "openrlhf.trainer.ray"):
        sys.modules[name] = Anything(name)
    for name in ("launcher", "ppo_actor", "ppo_critic"):
        sys.modules[f"openrlhf.trainer.ray.{name}"] = Anything(name)
    utils = Anything("openrlhf.utils")
    utils.__path__ = [os.path.join(root, "utils")]

    def strategy(args):
        found.append(args)
        raise SystemExit(0)

    utils.get_strategy = strategy
    sys.modules["openrlhf.utils"] = utils
    sys.modules["ray"].is_initialized = lambda: True
    try:
        runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__")
    except SystemExit as end:
        if not found:
            raise
        assert end.code == 0
    print(json.dumps(found[0], default=vars))


def verl():
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    root = importlib.util.find_spec("verl").submodule_search_locations[0]
    with initialize_config_dir(os.path.join(root, "trainer", "config"), version_base=None):
        config = compose("ppo_trainer", overrides=sys.argv[1:])
    print(json.dumps(OmegaConf.to_container(config, resolve=True, throw_on_missing=False)))


if __name__ == "__main__":
    module = sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    {"openrlhf.cli.train_ppo_ray": openrlhf, "verl.trainer.main_ppo": verl}[module]()
