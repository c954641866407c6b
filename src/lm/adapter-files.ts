/**
 * LoRA adapters in PEFT's format (Hu et al. 2021): a folder with `adapter_config.json` and `adapter_model.safetensors`.
 * heed reads plain LoRA of one rank, on the linear maps of a decoder and the head of a classifier. It refuses anything
 * else that would change the model's output.
 */

import { z } from 'zod';
import { openSafetensors, type SafetensorsFile, safetensorsParts } from '../engine/safetensors.ts';
import { HeedError } from '../error.ts';
import { readJsonFile } from '../files.ts';
import { join } from '../node.ts';
import { FLOAT_DTYPES, isFloatDtype, readFloats } from './floats.ts';
import { SCORE } from './layout.ts';
import { replaceFiles } from './replace-files.ts';

/**
 * A change to linear maps: scale · B·A, where the scale is alpha / rank, or alpha / √rank if stabilized (Kalajdzievski
 * 2023).
 */
export interface Adapter {
  /** Rank of the product B·A. */
  rank: number;
  /** Numerator of the scale. */
  alpha: number;
  /** Whether the scale is alpha / √rank instead of alpha / rank. */
  rankStabilized: boolean;
  /** Last part of the names of the adapted maps, such as "q_proj". */
  targets: string[];
  /**
   * By the name of the linear map, such as "model.layers.0.self_attn.q_proj": a [rank, in], b [out, rank], row-major.
   */
  tensors: Record<string, { a: Float32Array; b: Float32Array }>;
  /** For a classifier: the weight of its head, [labels, hidden], which replaces the base model's. */
  score?: { shape: readonly number[]; data: Float32Array };
  /** The base model: a folder or a name on the Hub. */
  base?: string;
}

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const TENSOR = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/;
const SCORE_TENSOR = `base_model.model.${SCORE}`;
/** PEFT's names for a classifier's head: it lists both. */
const heads: unknown[] = ['score', 'classifier'];
const LINEAR = /^model\.layers\.\d+\.(?:self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj)$/;
const HINT = 'Train the adapter as plain LoRA, or merge it in PEFT.';

/** Settings of PEFT that change the output. They must be off: absent, null, false or empty. */
const unsupported = [
  'use_dora',
  'use_qalora',
  'use_bdlora',
  'lora_bias',
  'fan_in_fan_out',
  'rank_pattern',
  'alpha_pattern',
  'layer_replication',
  'trainable_token_indices',
  'target_parameters',
  'alora_invocation_tokens',
  'arrow_config',
  'kasa_config',
  'monteclora_config',
];
/**
 * Initializations that leave the base model unchanged. Those that split its weights need a base other than the one
 * named.
 */
const initializations: unknown[] = [undefined, null, true, false, 'gaussian', 'eva', 'orthogonal'];

const configSchema = z.looseObject({
  peft_type: z.string(),
  r: z.int().positive(),
  lora_alpha: z.number(),
  use_rslora: z.boolean().default(false),
  bias: z.string().default('none'),
  base_model_name_or_path: z.string().nullish(),
  init_lora_weights: z.unknown().optional(),
  modules_to_save: z.array(z.string()).nullish(),
});

/**
 * Reads an adapter's folder.
 *
 * @throws HeedError that names the file and what is missing, damaged or not supported in it. Adapters of GPT-2 are not
 * supported: they adapt its fused q, k and v.
 */
export function readAdapter(folder: string): Adapter {
  const source = join(folder, CONFIG);
  const config = readConfig(source);
  const path = join(folder, WEIGHTS);
  const file = openSafetensors(path);
  const linears = new Map<string, { A?: string; B?: string }>();
  for (const name of file.tensors.keys()) {
    if (name === SCORE_TENSOR) continue;
    const [, linear, side] = TENSOR.exec(name) ?? [];
    if (!LINEAR.test(linear)) {
      const fused = /\.(c_attn|c_proj|c_fc)\./.test(name);
      throw new HeedError(
        `Tensor "${name}" of "${path}" is not a LoRA tensor of a linear map of Llama's relatives${fused ? ', but of GPT-2' : ''}.`,
        { hint: HINT },
      );
    }
    linears.set(linear, { ...linears.get(linear), [side]: name });
  }
  if (linears.size === 0) throw new HeedError(`"${path}" has no tensors.`, { hint: 'Fetch the adapter again.' });
  const tensors: Adapter['tensors'] = {};
  for (const [linear, { A, B }] of linears) {
    if (!A || !B) throw new HeedError(`"${path}" has only one of lora_A and lora_B of "${linear}".`, { hint: HINT });
    tensors[linear] = { a: readMatrix(path, file, A, 0, config.r), b: readMatrix(path, file, B, 1, config.r) };
  }
  return {
    rank: config.r,
    alpha: config.lora_alpha,
    rankStabilized: config.use_rslora,
    targets: targetsOf(tensors),
    tensors,
    ...(file.tensors.has(SCORE_TENSOR) && { score: readScore(path, file) }),
    ...(config.base_model_name_or_path ? { base: config.base_model_name_or_path } : {}),
  };
}

/**
 * Writes an adapter's folder as PEFT reads it, in float32, replacing an existing one.
 *
 * @param architecture The base model's, such as "LlamaForCausalLM".
 * @throws HeedError for a map that no adapter supports, and for GPT-2.
 */
export function writeAdapter(folder: string, adapter: Omit<Adapter, 'targets'>, architecture: string): void {
  const { rank, alpha, rankStabilized, base, tensors, score } = adapter;
  if (architecture.startsWith('GPT2')) {
    throw new HeedError(
      `Adapters of ${architecture} cannot be written: in Transformers its q, k and v are one linear map.`,
      {
        hint: 'Merge the adapter and save the model.',
      },
    );
  }
  const stored = Object.entries(tensors).flatMap(([linear, { a, b }]) => {
    if (!LINEAR.test(linear) || a.length % rank || b.length % rank) {
      throw new HeedError(
        `"${linear}" with ${a.length} and ${b.length} numbers is not an adapter of rank ${rank} of a linear map.`,
        { hint: 'Its name is such as "model.layers.0.self_attn.q_proj"; a is [rank, in], b is [out, rank].' },
      );
    }
    const tensor = (side: string, shape: number[], data: Float32Array) =>
      [`base_model.model.${linear}.lora_${side}.weight`, { dtype: 'F32', shape, data }] as const;
    return [tensor('A', [rank, a.length / rank], a), tensor('B', [b.length / rank, rank], b)];
  });
  const config = {
    peft_type: 'LORA',
    task_type: score || architecture.endsWith('ForSequenceClassification') ? 'SEQ_CLS' : 'CAUSAL_LM',
    base_model_name_or_path: base ?? null,
    r: rank,
    lora_alpha: alpha,
    use_rslora: rankStabilized,
    target_modules: targetsOf(tensors),
    modules_to_save: score ? ['score'] : null,
    bias: 'none',
    lora_dropout: 0,
    fan_in_fan_out: false,
    inference_mode: true,
  };
  const head = score ? [[SCORE_TENSOR, { dtype: 'F32', shape: score.shape, data: score.data }] as const] : [];
  const parts = safetensorsParts(join(folder, WEIGHTS), Object.fromEntries([...stored, ...head]), { format: 'pt' });
  replaceFiles(
    folder,
    [
      [WEIGHTS, parts],
      [CONFIG, `${JSON.stringify(config, null, 2)}\n`],
    ],
    () => false,
  );
}

function readConfig(source: string): z.infer<typeof configSchema> {
  const { success, data, error } = configSchema.safeParse(readJsonFile(source, 'Fetch the adapter again.'));
  if (!success) throw new HeedError(`"${source}" is wrong:\n${z.prettifyError(error)}`, { hint: HINT });
  const wrong = [
    ...(data.peft_type === 'LORA' ? [] : ['peft_type']),
    ...(data.bias === 'none' ? [] : ['bias']),
    ...(initializations.includes(data.init_lora_weights) ? [] : ['init_lora_weights']),
    ...((data.modules_to_save?.every((name) => heads.includes(name)) ?? true) ? [] : ['modules_to_save']),
    ...unsupported.filter((name) => !isOff(data[name])),
  ];
  if (wrong.length > 0) {
    const settings = wrong.map((name) => `"${name}": ${JSON.stringify(data[name])}`).join(', ');
    throw new HeedError(`"${source}" has ${settings}, which is not supported.`, { hint: HINT });
  }
  return data;
}

const isOff = (value: unknown) => !value || (typeof value === 'object' && Object.keys(value).length === 0);

function readMatrix(path: string, file: SafetensorsFile, name: string, rankAxis: number, rank: number): Float32Array {
  const { dtype, shape } = file.tensors.get(name)!;
  if (!isFloatDtype(dtype) || shape.length !== 2 || shape[rankAxis] !== rank) {
    const expected = rankAxis === 0 ? `[${rank}, in]` : `[out, ${rank}]`;
    throw new HeedError(
      `Tensor "${name}" of "${path}" is ${dtype} [${shape}], expected ${FLOAT_DTYPES.join(', ')} ${expected}.`,
      { hint: HINT },
    );
  }
  const matrix = new Float32Array(shape[0] * shape[1]);
  readFloats(file, name, matrix);
  return matrix;
}

function readScore(path: string, file: SafetensorsFile): NonNullable<Adapter['score']> {
  const { dtype, shape } = file.tensors.get(SCORE_TENSOR)!;
  if (!isFloatDtype(dtype) || shape.length !== 2) {
    throw new HeedError(
      `Tensor "${SCORE_TENSOR}" of "${path}" is ${dtype} [${shape}], expected ${FLOAT_DTYPES.join(', ')} [labels, hidden].`,
      { hint: HINT },
    );
  }
  const data = new Float32Array(shape[0] * shape[1]);
  readFloats(file, SCORE_TENSOR, data);
  return { shape, data };
}

const targetsOf = (tensors: Adapter['tensors']) =>
  [...new Set(Object.keys(tensors).map((name) => name.slice(name.lastIndexOf('.') + 1)))].sort();
