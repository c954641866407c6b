/** What heed writes for trainers of others, what it refuses, and what it accepts from them. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainerTables } from '../../../test/support/trainer-tables.ts';
import { checkRecipe } from '../../pipeline/recipe.ts';
import { createLogReader, planRun } from '../remote.ts';
import { writeTrainerFiles } from './files.ts';
import { checkModelFolder, type Manifest } from './model-folder.ts';
import { finishTraining, trainOn } from './train.ts';
import { faultsOf, type TrainerStage, trainers } from './translate.ts';

let folder: string;
const before = process.cwd();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'heed-test-'));
  process.chdir(folder);
  const user = (content: string) => [{ role: 'user', content }];
  const assistant = (content: string) => [{ role: 'assistant', content }];
  const lines = (rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const n = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  writeFileSync(
    'pairs.jsonl',
    lines(n.map((i) => ({ prompt: user(`A ${i}`), chosen: assistant('good'), rejected: assistant('bad') }))),
  );
  writeFileSync('weighted.jsonl', lines([{ prompt: 'A', chosen: ' good', rejected: ' bad', weight: 2 }]));
  writeFileSync('prompts.jsonl', lines(n.map((i) => ({ prompt: user(`A ${i}`), place: 'inn' }))));
  writeFileSync('texts.jsonl', lines(n.map((i) => ({ prompt: `A ${i}`, completion: ' b' }))));
});
afterAll(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true, force: true });
});

const rl: TrainerStage['settings'] = { data: 'prompts.jsonl', model: 'Qwen/Qwen3-4B', reward: 'me/reward' };
const storage = '/shared';
const written = (path: string) => readFileSync(join('run/trainer', path), 'utf8');

describe('a stage with "on"', () => {
  it('refuses by name what the trainer lacks, before anything runs', () => {
    const dpo = { model: 'reviews-base', data: 'pairs.jsonl' };
    expect(faultsOf({ on: 'trl', command: 'dpo', settings: dpo })).toEqual([]);
    const more = { ...dpo, maxKl: 3, evaluation: { prompts: 8 }, truncate: 'drop', batch: 10, part: 4 };
    expect(faultsOf({ on: 'trl', command: 'dpo', settings: more })).toEqual([
      "settings.evaluation.prompts: trl has no equivalent for heed dpo's; leave it out",
      'settings.batch: expected a multiple of part, but 4 does not divide 10, got 10 (on trl)',
      'settings.maxKl: expected 0: TRL does not limit the KL, got 3 (on trl)',
      'settings.truncate: expected one of "start", "end", got "drop" (on trl)',
    ]);
    expect(faultsOf({ on: 'trl', command: 'ppo', settings: rl })).toEqual([
      'on: trl does not do heed ppo: expected one of sft, reward, dpo, kto, grpo, or leave "on" out',
    ]);
    expect(
      faultsOf({ on: 'verl', command: 'ppo', settings: { ...rl, reward: 'reviews' }, trainer: { gpus: 8 } }),
    ).toEqual([
      expect.stringContaining('settings.reward: "reviews" runs only in heed'),
      'trainer.storage: required: several nodes write the results of verl',
    ]);
    expect(
      faultsOf({
        on: 'openrlhf',
        command: 'ppo',
        settings: { ...rl, kl: { controller: 'barrier' } },
        trainer: { storage },
      }),
    ).toEqual([
      'settings.kl.controller: expected "fixed": OpenRLHF calls its adaptive one incompatible, got "barrier" (on openrlhf)',
    ]);
  });

  it('is checked with its recipe', () => {
    const stage = { command: 'sft', on: 'trl', settings: { data: 'texts.jsonl', patience: 2 }, trainer: { gpu: 1 } };
    expect(() => checkRecipe({ stages: [stage] })).toThrow(/stage "sft": trainer/);
    const sound = { ...stage, settings: { data: 'texts.jsonl' }, trainer: { gpus: 1 } };
    expect(checkRecipe({ seed: 3, stages: [sound] }).stages[0]).toMatchObject({ on: 'trl', settings: { seed: 3 } });
    expect(() => checkRecipe({ stages: [{ ...sound, on: 'axolotl' }] })).toThrow(/stages\[0\]\.on/);
    const reward = { command: 'ppo', settings: { reward: '@sft' } };
    expect(() => checkRecipe({ stages: [sound, reward] })).toThrow('@sft is a language model, not a reward model');
  });
});

describe('the files of a job', () => {
  it('are those of TRL', async () => {
    const settings = {
      model: 'reviews-base',
      data: 'pairs.jsonl',
      learningRate: 1e-3,
      steps: 6,
      batch: 4,
      part: 2,
      evaluations: 2,
      evaluation: { share: 0.2 },
      lora: { rank: 4 },
      loss: 'sigmoid, sft',
      lossWeights: [1, 0.5],
    };
    const order = await writeTrainerFiles('run', { on: 'trl', command: 'dpo', settings });
    expect(order).toMatchObject({ python: 'python3', base: 'reviews-base' });
    expect(existsSync(join(order.inputs['inputs/model'], 'model.safetensors'))).toBe(true);
    expect(written('data/train.jsonl').trim().split('\n')).toHaveLength(8);
    expect(JSON.parse(written('data/eval.jsonl').split('\n')[0])).toEqual({
      prompt: [{ role: 'user', content: expect.stringMatching(/^A \d$/) }],
      chosen: [{ role: 'assistant', content: 'good' }],
      rejected: [{ role: 'assistant', content: 'bad' }],
    });
    expect(JSON.parse(written('config.json'))).toMatchObject({
      command: 'dpo',
      model: 'inputs/model',
      dtype: 'float32',
      config: {
        learning_rate: 1e-3,
        max_steps: 6,
        per_device_train_batch_size: 2,
        gradient_accumulation_steps: 2,
        eval_strategy: 'steps',
        eval_steps: 0.5,
        loss_type: ['sigmoid', 'sft'],
        loss_weights: [1, 0.5],
        truncation_mode: 'keep_start',
        beta: 0.1,
        warmup_steps: 0.1,
        adam_beta2: 0.999,
        use_cpu: true,
      },
      peft: { r: 4, lora_alpha: 8, target_modules: 'all-linear' },
    });
    expect(written('launch.sh')).toContain('exec "$HEED_PYTHON" trl_train.py');
    const weighted = { ...settings, data: 'weighted.jsonl' };
    await expect(writeTrainerFiles('run', { on: 'trl', command: 'dpo', settings: weighted })).rejects.toThrow(
      /"weighted.jsonl", line 1: weight: trl has no weights of rows/,
    );
  });

  it('are those of OpenRLHF and of verl', async () => {
    const grpo = { ...rl, steps: 3, batch: 8, completions: 4, rows: 8, minibatches: 2, clip: { low: 0.2, high: 0.28 } };
    const trainer = { storage, gpus: 4, nodes: 2, settings: { 'vllm.num_engines': 2 } };
    await writeTrainerFiles('run', { on: 'openrlhf', command: 'grpo', settings: grpo, trainer });
    const flags = written('launch.sh');
    for (const flag of [
      ...["--actor.model_name_or_path 'Qwen/Qwen3-4B'", "--reward.model_name_or_path 'me/reward'"],
      ...["--train.batch_size '16'", "--rollout.n_samples_per_prompt '4'", "--actor.eps_clip_low_high '0.2' '0.28'"],
      ...["--vllm.num_engines '2'", "--algo.advantage.estimator 'group_norm'", '--data.apply_chat_template'],
    ])
      expect(flags).toContain(flag);
    expect(written('data/train.jsonl').trim().split('\n')).toHaveLength(24);
    const address = { ...grpo, reward: 'http://reward:8000/score' };
    await writeTrainerFiles('run', { on: 'verl', command: 'grpo', settings: address, trainer: { storage } });
    const overrides = written('launch.sh');
    for (const override of [
      ...[
        "'data.train_batch_size=8'",
        "'actor_rollout_ref.actor.ppo_mini_batch_size=4'",
        "'trainer.total_training_steps=3'",
      ],
      ...[`'reward.custom_reward_function.path="heed_reward.py"'`, "'algorithm.norm_adv_by_std_in_grpo=true'"],
    ])
      expect(overrides).toContain(override);
    expect(JSON.parse(written('reward.json'))).toMatchObject({ url: 'http://reward:8000/score', retries: 3 });
    expect(JSON.parse(written('data/train.jsonl').split('\n')[0])).toMatchObject({ data_source: 'heed' });
    const texts = { ...grpo, data: 'texts.jsonl' };
    await expect(
      writeTrainerFiles('run', { on: 'verl', command: 'grpo', settings: texts, trainer: { storage } }),
    ).rejects.toThrow('verl accepts only conversations');
  });
});

describe('a model that comes home', () => {
  const base = join(import.meta.dirname, '../../../models/reviews-base');
  const manifest = (): Manifest => ({});

  it('is whole, or an error that leaves the one before', () => {
    checkModelFolder(base, manifest());
    planRun({ address: 'here' }, 'home', { version: '0', trainer: { python: 'python3', inputs: {}, base: 'x' } }, {});
    mkdirSync('home/model', { recursive: true });
    writeFileSync('home/model/config.json', '{"before": true}');
    cpSync(base, 'home/model.new', { recursive: true });
    truncateSync('home/model.new/model.safetensors', 5000);
    const result = { trainer: { name: 'trl', version: '1.16.0' }, seconds: 1, last: { 'loss/train': 2 }, files: {} };
    expect(() => finishTraining('home', { code: 0, result })).toThrow(/model.safetensors/);
    expect(readFileSync('home/model/config.json', 'utf8')).toContain('before');
    rmSync('home/model.new/model.safetensors');
    const index = { weight_map: { 'a.weight': 'model-1.safetensors', 'b.weight': 'model-2.safetensors' } };
    writeFileSync('home/model.new/model.safetensors.index.json', JSON.stringify(index));
    cpSync(join(base, 'model.safetensors'), 'home/model.new/model-1.safetensors');
    expect(() => finishTraining('home', { code: 0, result })).toThrow(/model-2.safetensors" is missing/);
    cpSync(base, 'home/model.new', { recursive: true });
    rmSync('home/model.new/model.safetensors.index.json');
    const cut = { 'tokenizer.json': { size: 7, sha256: '' } };
    expect(() => finishTraining('home', { code: 0, result: { ...result, files: cut } })).toThrow(/bytes: expected 7/);
    expect(finishTraining('home', { code: 0, result })).toMatchObject({ model: 'home/model', loss: { train: 2 } });
    checkModelFolder('home/model');
  });
});

const python = spawnSync('python3', ['-c', 'import pip, sys; sys.exit(sys.version_info < (3, 9))']);
describe.skipIf(python.status !== 0)('the program of a job (needs Python 3)', () => {
  const settings = { model: 'reviews-base', reward: 'me/reward', data: 'prompts.jsonl', minibatches: 2 };
  const base = join(import.meta.dirname, '../../../models/reviews-base');
  const ended = (name: string, change: (order: { package: string; versions: object }) => void, script: string) => {
    const order = JSON.parse(readFileSync(join(name, 'trainer/order.json'), 'utf8'));
    change(order);
    writeFileSync(join(name, 'trainer/order.json'), JSON.stringify(order));
    writeFileSync(join(name, 'trainer/launch.sh'), script);
    const { stdout } = spawnSync('python3', ['heed_job.py'], { cwd: join(name, 'trainer'), maxBuffer: 2 ** 24 });
    const lines: string[] = [];
    using reader = createLogReader(name, 0, { onLine: (line) => lines.push(line) });
    reader.read(stdout);
    return { lines, end: reader.end! };
  };
  const known = { from: '1', below: '1000', tested: '25' };

  it('sends metrics under heed’s names, and the model', async () => {
    const trainer = await writeTrainerFiles('job', { on: 'trl', command: 'grpo', settings });
    planRun({ address: 'here' }, 'job', { version: '0', trainer }, {});
    const { lines, end } = ended(
      'job',
      (order) => Object.assign(order, { package: 'pip', versions: known }),
      [
        'echo \'{"step": 4, "time": 7, "loss": NaN, "reward": 2, "kl": 0.5, "completions/clipped_ratio": 0.25, "new": 1}\' >> "$HEED_OUT/metrics.jsonl"',
        'echo \'{"step": 6, "time": 8, "kl": 0.5, "completions/mean_length": 8}\' >> "$HEED_OUT/metrics.jsonl"',
        `echo trained; mkdir "$HEED_OUT/model"; cp "${base}"/* "$HEED_OUT/model"`,
      ].join('\n'),
    );
    expect(lines).toContain('trained');
    const rows = readFileSync('job/metrics.jsonl', 'utf8').trim().split('\n');
    expect(rows.map((row) => JSON.parse(row))).toEqual([
      {
        step: 2,
        time: 7,
        'loss/policy': 'NaN',
        'reward/mean': 2,
        'policy/kl_k3': 0.5,
        'response/eos_rate': 0.75,
        'trl/new': 1,
      },
      { step: 3, time: 8, 'policy/kl_k3': 0.5, 'kl/mean': 4, 'response/length': 8 },
    ]);
    const { model, trainer: by } = finishTraining('job', end);
    expect(readFileSync(join(model, 'config.json'))).toEqual(readFileSync(join(base, 'config.json')));
    expect(by.name).toBe('trl');
    expect(await trainOn(undefined, 'job', { on: 'trl', command: 'grpo', settings })).toMatchObject({ model });
  });

  it('tells why a trainer failed, and of versions that heed does not know', async () => {
    const trainer = await writeTrainerFiles('failed', { on: 'trl', command: 'grpo', settings });
    planRun({ address: 'here' }, 'failed', { version: '0', trainer }, {});
    const old = (order: object) => Object.assign(order, { package: 'pip', versions: { ...known, from: '900' } });
    expect(ended('failed', old, '').end).toMatchObject({
      code: 1,
      error: expect.stringMatching(/^pip .* is too old: expected 900/),
    });
    const future = (order: object) => Object.assign(order, { versions: { ...known, below: '2' } });
    const { lines, end } = ended('failed', future, 'echo out of memory >&2; exit 3');
    expect(lines.join('\n')).toMatch(/pip .* is newer than heed knows \(1 to below 2, tested with 25\)/);
    expect(() => finishTraining('failed', end)).toThrow(/exit code 3: out of memory/);
    const none = (order: object) => Object.assign(order, { package: 'no-such-trainer' });
    expect(ended('failed', none, '').end.error).toContain('no-such-trainer is not installed for');
  });
});

it('the page of the trainers has the tables of the code', () => {
  const page = join(import.meta.dirname, '../../../docs/reference/trainers-settings.md');
  const marks = ['<!-- tables: from src/cluster/trainers, by trainers.test.ts -->', '<!-- end of tables -->'];
  const text = readFileSync(page, 'utf8');
  const [head, rest] = text.split(marks[0]);
  const whole = `${head}${marks[0]}\n\n${trainerTables()}\n${marks[1]}${rest.split(marks[1])[1]}`;
  if (process.env.HEED_WRITE_DOCS) writeFileSync(page, whole);
  else expect(text, 'write it again with HEED_WRITE_DOCS=1').toBe(whole);
  for (const { tasks } of Object.values(trainers))
    for (const { settings } of Object.values(tasks))
      for (const { theirs } of Object.values(settings)) expect(theirs).toBeTruthy();
});
