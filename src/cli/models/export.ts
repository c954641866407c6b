/** heed export: a model, adapters merged into it, as an ONNX graph or as a Hugging Face folder. */
import { mkdirSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { fileError } from '../../files.ts';
import { exportOnnx } from '../../lm/export.ts';
import { FLOAT_DTYPES, type FloatDtype } from '../../lm/floats.ts';
import { loadAdapter, mergeAdapter } from '../../lm/lora.ts';
import { loadModel, saveModel } from '../../lm/model.ts';
import { saveTokenizer } from '../../lm/tokenizer.ts';
import { createOutput, table } from '../program/output.ts';
import { UsageError } from '../program/usage.ts';
import { pullProgress } from './pull.ts';

interface Flags {
  model: string;
  out: string;
  format: 'onnx' | 'safetensors';
  adapter?: string;
  dtype?: FloatDtype;
  json?: boolean;
}

export function addExport(command: Command): void {
  command
    .requiredOption('--model <model>', 'a folder, or OWNER/NAME on the Hub')
    .requiredOption('--out <dir>', 'where to write')
    .addOption(new Option('--format <format>', 'what to write').choices(['onnx', 'safetensors']).default('onnx'))
    .option('--adapter <dir>', 'a LoRA adapter (PEFT) to merge into the weights')
    .addOption(new Option('--dtype <dtype>', 'of safetensors (default: F32)').choices([...FLOAT_DTYPES]))
    .action(exporting);
}

async function exporting(flags: Flags): Promise<void> {
  const { model, out, format, adapter, dtype } = flags;
  if (dtype && format === 'onnx') throw new UsageError('--dtype is for --format safetensors: ONNX graphs are in F32');
  const output = createOutput(flags);
  const { done, ...tell } = pullProgress(model);
  const base = await loadModel(model, tell).finally(done);
  const whole = adapter === undefined ? base : mergeAdapter(base, loadAdapter(adapter, base.config));
  const { config, parameters, tokenizer } = whole;
  try {
    mkdirSync(out, { recursive: true });
  } catch (error) {
    throw fileError(error, 'create', out);
  }
  const files =
    format === 'safetensors'
      ? saveModel(out, whole, { dtype })
      : [...exportOnnx(out, config, parameters.values), ...saveTokenizer(out, tokenizer)];
  parameters[Symbol.dispose]();
  output.say(table([[format, out]]));
  output.result({ folder: out, format, files });
}
