/** Settings of heed plan. */
import { z } from 'zod';
import { FLOAT_DTYPES } from '../../lm/floats.ts';
import { criticKinds } from '../ppo/options.ts';

const whole = (least: number) => z.number().int().min(least);

export const onPolicy = ['ppo', 'grpo', 'rloo', 'reinforce', 'raft', 'rest'] as const;
export const paired = ['dpo', 'orpo', 'cpo'] as const;
export const rated = ['kto', 'bco'] as const;
export const planAlgorithms = ['sft', 'pretrain', 'reward', ...onPolicy, ...paired, ...rated, 'best-of-n'] as const;
export type PlanAlgorithm = (typeof planAlgorithms)[number];

export const planSchema = z
  .object({
    model: z
      .string()
      .optional()
      .describe('folder of a model, or its name on the Hub, of which only config.json is read'),
    params: z
      .string()
      .refine((text) => parseCount(text) !== undefined, 'expected a number such as 7B or 135M')
      .optional()
      .describe('in place of a model: so many parameters in a usual shape, such as 7B or 135M'),
    algorithm: z.enum(planAlgorithms).default('sft').describe('the command that trains'),
    method: z.enum(['full', 'lora']).default('full').describe('train all weights, or adapters beside them'),
    lora: z.object({ rank: whole(1).default(16).describe('of the adapters, with --method lora') }).prefault({}),
    dtype: z.enum(FLOAT_DTYPES).default('F32').describe('of the weights in files; in memory they are float32'),
    rows: whole(1).optional().describe('rows computed at once (default: as the command, each of them full)'),
    length: whole(2)
      .optional()
      .describe('tokens of a row: of an answer with its prompt (default: as the model knows, at most 1024)'),
    maxTokens: whole(1).optional().describe('of these, tokens of an answer (default: a quarter)'),
    generate: z.object({ batch: whole(1).default(64).describe('answers generated side by side') }).prefault({}),
    checkpointLayers: z.boolean().default(false).describe('compute layers again for gradients: less memory, more time'),
    critic: z
      .object({
        kind: z
          .enum(criticKinds)
          .optional()
          .describe('of ppo, as there (default: own, or adapters with --method lora)'),
      })
      .prefault({}),
    reward: z
      .enum(['model', 'adapters', 'function'])
      .default('model')
      .describe(
        'what answers are worth: by a reward model of the same shape, by adapters beside those of the policy, or by a function or an address',
      ),
    device: z
      .string()
      .refine((text) => text.split(',').every((part) => parseBytes(part) !== undefined), 'expected sizes such as 24GiB')
      .optional()
      .describe("memory to fit in, such as 24GiB or 24GiB,80GB (default: this machine's)"),
  })
  .refine(({ critic, method }) => critic.kind !== 'adapters' || method === 'lora', {
    path: ['critic', 'kind'],
    message: 'expected adapters with --method lora',
  })
  .refine(({ reward, method, algorithm }) => reward !== 'adapters' || method === 'lora' || algorithm === 'best-of-n', {
    path: ['reward'],
    message: 'expected adapters with --method lora: other weights do not stay what they are adapters of',
  })
  .refine(({ model, params }) => (model === undefined) !== (params === undefined), {
    path: ['params'],
    message: 'expected either --params or --model',
  });
export type PlanOptions = z.output<typeof planSchema>;
/** With the length decided. */
export type Planned = PlanOptions & { length: number };
export type PlanInput = z.input<typeof planSchema>;

const COUNTS = { '': 1, K: 1e3, M: 1e6, B: 1e9, T: 1e12 };

/** "7B", "1.5b", "135M", "260K" or a plain number; undefined for anything else. */
export function parseCount(text: string): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([KMBT]?)$/i.exec(text.trim()) ?? [];
  return number === undefined ? undefined : Number(number) * COUNTS[unit.toUpperCase() as keyof typeof COUNTS];
}

const POWERS = { M: 2, G: 3, T: 4 };

/** Bytes of "24GiB", "24G", which is the same, or "24GB"; undefined for anything else. */
export function parseBytes(text: string): number | undefined {
  const [, number, unit, kind] = /^(\d+(?:\.\d+)?)\s*([MGT])(i?B?)$/i.exec(text.trim()) ?? [];
  if (number === undefined) return undefined;
  const thousand = kind.toUpperCase() === 'B' ? 1000 : 1024;
  return Number(number) * thousand ** POWERS[unit.toUpperCase() as keyof typeof POWERS];
}
