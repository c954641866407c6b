/** heed export: an agent as ONNX; a model, with adapters merged in, as ONNX or as a Hugging Face folder. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { loadReward } from '../../control/load-reward.ts';
import { HeedError } from '../../error.ts';
import { fileError, writeFileAtomic } from '../../files.ts';
import { exportOnnx } from '../../lm/export.ts';
import { FLOAT_DTYPES, type FloatDtype } from '../../lm/floats.ts';
import { loadAdapter, mergeAdapter } from '../../lm/lora.ts';
import { loadModel, saveModel } from '../../lm/model.ts';
import { saveTokenizer } from '../../lm/tokenizer.ts';
import { loadPolicy } from '../../rl/load-policy.ts';
import { describePolicy } from '../../rl/policy-description.ts';
import { readInfo } from '../../run/run.ts';
import { createOutput, table } from '../program/output.ts';
import { UsageError } from '../program/usage.ts';
import { pullProgress } from './pull.ts';

interface Flags {
  model?: string;
  out?: string;
  format: 'onnx' | 'safetensors';
  adapter?: string;
  dtype?: FloatDtype;
  step?: number;
  json?: boolean;
}

export function addExport(command: Command): void {
  command
    .argument('[run]', 'folder of a run: exports its agent or its language model')
    .option('--model <model>', 'instead of a run: the folder of a language model, or OWNER/NAME on the Hub')
    .option('--out <dir>', 'where to write (default: onnx in the folder of the run)')
    .option(
      '--step <n>',
      'for a run of heed train or heed rl: the checkpoint of this step (default: the latest)',
      stepOf,
    )
    .addOption(new Option('--format <format>', 'file format').choices(['onnx', 'safetensors']).default('onnx'))
    .option('--adapter <dir>', 'a LoRA adapter (PEFT) to merge into the weights')
    .addOption(new Option('--dtype <dtype>', 'data type of safetensors (default: F32)').choices([...FLOAT_DTYPES]))
    .action((run: string | undefined, flags: Flags) => exporting(run, flags));
}

function stepOf(text: string): number {
  const step = Number(text);
  if (text.trim() !== '' && Number.isInteger(step) && step >= 0) return step;
  throw new UsageError(`--step: expected a whole number from 0 up, got "${text}"`);
}

async function exporting(run: string | undefined, flags: Flags): Promise<void> {
  if ((run === undefined) === (flags.model === undefined)) {
    throw new UsageError(`expected a run or --model, got ${run === undefined ? 'neither' : 'both'}`, {
      hint: 'heed export runs/MINE, or heed export --model MODEL --out FOLDER',
    });
  }
  if (run === undefined) return exportModel(flags.model!, flags);
  const { command } = readInfo(run);
  if (command === 'train' || command === 'rl') return exportAgent(run, command, flags);
  const model = join(run, 'model');
  if (existsSync(model)) return exportModel(model, { out: join(run, flags.format), ...flags });
  throw new HeedError(`"${run}" is a run of "heed ${command}", which left no agent and no language model to export`, {
    hint: 'pass the folder of a run that trained one',
  });
}

/** The ONNX files of an agent; their inputs and outputs: rl/policy-onnx.ts and control/reward-onnx.ts. */
async function exportAgent(run: string, command: 'train' | 'rl', flags: Flags): Promise<void> {
  const { adapter, dtype, format, step, out = join(run, 'onnx') } = flags;
  if (adapter !== undefined || dtype !== undefined || format !== 'onnx') {
    throw new UsageError('--adapter, --dtype and --format are for language models: an agent is written as ONNX');
  }
  const output = createOutput(flags);
  createFolder(out);
  const files: string[] = [];
  const write = (name: string, value: Disposable & { onnx(): Uint8Array }) => {
    files.push(join(out, name));
    try {
      writeFileAtomic(files.at(-1)!, value.onnx());
    } finally {
      value[Symbol.dispose]();
    }
  };
  const policy = await loadPolicy(run, { step });
  const description = describePolicy(policy.snapshot());
  write('policy.onnx', policy);
  files.push(join(out, 'policy.json'));
  writeFileAtomic(files.at(-1)!, `${JSON.stringify(description, undefined, 2)}\n`);
  if (command === 'train') write('reward.onnx', await loadReward(run, { step }));
  output.say(table(files.map((file) => ['written', file])));
  output.result({ files });
}

function createFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw fileError(error, 'create', folder);
  }
}

async function exportModel(model: string, flags: Flags): Promise<void> {
  const { out, format, adapter, dtype, step } = flags;
  if (out === undefined) throw new UsageError('--out is missing: where to write');
  if (step !== undefined) throw new UsageError('--step is for runs of heed train and heed rl');
  if (dtype && format === 'onnx') throw new UsageError('--dtype is for --format safetensors: ONNX graphs are in F32');
  const output = createOutput(flags);
  const { done, ...pull } = pullProgress(model);
  const base = await loadModel(model, pull).finally(done);
  const whole = adapter === undefined ? base : mergeAdapter(base, loadAdapter(adapter, base.config, base.architecture));
  const { config, parameters, tokenizer } = whole;
  createFolder(out);
  const files =
    format === 'safetensors'
      ? saveModel(out, whole, { dtype })
      : [...exportOnnx(out, config, parameters.values), ...saveTokenizer(out, tokenizer)];
  parameters[Symbol.dispose]();
  output.say(table([[format, out]]));
  output.result({ folder: out, format, files });
}
