/** LoRA adapters between PEFT's folders and the parameters that training and merging use. */
import { HeedError } from '../error.ts';
import type { DecoderConfig } from '../nn/decoder-config.ts';
import { type LoraOptions, loraNames, loraParameters, loraTargets, mergeLora } from '../nn/lora.ts';
import { type Arena, createArena } from '../nn/parameters.ts';
import { readAdapter, writeAdapter } from './adapter-files.ts';
import { type Checkpoint, classifierParameters, scoreSpec } from './checkpoint.ts';
import { SCORE } from './layout.ts';

/** An adapter in memory; the caller disposes of its parameters. */
export interface LoadedAdapter {
  /** Rank, scale and targets. */
  options: LoraOptions;
  /**
   * The adapters' matrices. A classifier's also has "score.weight" [labels, hidden], which replaces the base model's.
   */
  parameters: Arena;
  /** The base model's folder or name on the Hub, as the adapter names it. */
  base?: string;
}

/** Reads a PEFT adapter for a model with this config. @throws HeedError if it belongs to another model. */
export function loadAdapter(folder: string, config: DecoderConfig): LoadedAdapter {
  const { rank, alpha, rankStabilized, targets, tensors, score, base } = readAdapter(folder);
  const options: LoraOptions = { rank, alpha, rankStabilized, targets };
  const head = score ? [scoreSpec(config, score.shape[0])] : [];
  const expected = loraTargets(config, options);
  const extra = Object.keys(tensors).find((name) => !expected.some((target) => target.name === name));
  const misfit = (what: string) =>
    new HeedError(`The adapter in "${folder}" does not fit the model: ${what}.`, {
      hint: base === undefined ? 'Load it on the model it was trained on.' : `It was trained on "${base}".`,
    });
  if (extra !== undefined) throw misfit(`the model has no "${extra}"`);
  if (score && score.shape[1] !== config.hiddenSize) throw misfit(`its head is for ${score.shape[1]} inputs`);
  const parameters = createArena([...loraParameters(config, options), ...head]);
  if (score) parameters.values[SCORE].data.set(score.data);
  for (const { name, inner, out } of expected) {
    const tensor = tensors[name];
    if (!tensor) throw misfit(`it lacks "${name}"`);
    if (tensor.a.length !== rank * inner || tensor.b.length !== rank * out) {
      throw misfit(`that of "${name}" is for ${tensor.a.length / rank} inputs and ${tensor.b.length / rank} outputs`);
    }
    parameters.values[loraNames(name).a].data.set(tensor.a);
    parameters.values[loraNames(name).b].data.set(tensor.b);
  }
  return { options, parameters, base };
}

/** A model with an adapter merged in, and its head. The input model must not be used afterwards. */
export function mergeAdapter<M extends Pick<Checkpoint, 'config' | 'parameters'>>(
  model: M,
  { parameters: adapters, options }: LoadedAdapter,
): M {
  mergeLora(model.parameters, adapters, options);
  const head = adapters.values[SCORE];
  if (!head) return model;
  const { config } = model;
  const parameters = classifierParameters(model.parameters, scoreSpec(config, head.shape[0]));
  parameters.values[SCORE].data.set(head.data);
  model.parameters[Symbol.dispose]();
  return { ...model, config: { ...config, tied: true }, parameters };
}

/** Writes an adapter in PEFT's format. `architecture` is the base model's, such as "LlamaForCausalLM". */
export function saveAdapter(
  folder: string,
  config: DecoderConfig,
  { options, parameters, base }: LoadedAdapter,
  architecture: string,
): void {
  const { rank, alpha, rankStabilized = false } = options;
  const linears = loraTargets(config, options).map(({ name }) => name);
  const tensors = Object.fromEntries(
    linears.map((name) => {
      const { a, b } = loraNames(name);
      return [name, { a: parameters.values[a].data, b: parameters.values[b].data }];
    }),
  );
  const { [SCORE]: score } = parameters.values;
  writeAdapter(folder, { rank, alpha, rankStabilized, tensors, score, base }, architecture);
}
