/** Options of `planCluster`. */
import { z } from 'zod';
import type { PullOptions } from '../../lm/hub.ts';
import { optionalText, positive, wholeNumber } from '../../options.ts';
import { parseCount, plannedAdapters, planSchema } from './options.ts';

const share = () => z.number().gt(0).max(1);

/** What the devices of a trainer divide among themselves. */
export const shardings = ['none', 'zero1', 'zero2', 'zero3', 'fsdp', 'hybrid'] as const;
/** One of `shardings`. */
export type Sharding = (typeof shardings)[number];

const { model, params, algorithm, method, length, maxTokens, teacher } = planSchema.shape;

/** Schema of what `planCluster` alone takes: types, ranges, defaults and help texts. */
export const clusterOnlySchema = z.object({
  cluster: optionalText(
    'plan for a trainer with bf16 on a cluster: devices × name, or nodes × devices × name, as 2x8xH100',
  ),
  sharding: z
    .enum(shardings)
    .default('zero3')
    .describe('what the devices divide: DeepSpeed ZeRO 1 to 3, FSDP, or hybrid (FSDP in each node)'),
  offload: z
    .enum(['none', 'frozen', 'optimizer', 'all'])
    .default('none')
    .describe(
      "what is kept in the nodes' memory: frozen models, also master weights and moments, also weights and gradients",
    ),
  checkpointing: z
    .enum(['none', 'selective', 'full'])
    .default('full')
    .describe('activations computed again for the gradient: none, all but every second product, or whole layers'),
  tensorParallel: wholeNumber(1).default(1).describe('devices that divide each layer in training'),
  engines: z
    .object({
      devices: wholeNumber(0).default(0).describe("devices for the vLLM engines; 0: they use the trainer's"),
      tensorParallel: wholeNumber(1)
        .optional()
        .describe('devices per engine (default: the fewest that leave half of their memory to the cache)'),
      memory: share().optional().describe('share of a device for an engine (default: 0.9 of its own device, else 0.5)'),
    })
    .prefault({}),
  asynchronous: z
    .boolean()
    .default(false)
    .describe('write the next completions while training on the last: needs --engines.devices'),
  microBatch: wholeNumber(1).default(1).describe('rows that a device computes at once in training'),
  batch: wholeNumber(1).default(512).describe('completions, or rows, of a step'),
  passes: wholeNumber(1).default(1).describe('passes over the completions of a step'),
  updates: wholeNumber(1).default(1).describe('updates of the optimizer in a pass'),
  steps: wholeNumber(1).default(100).describe('steps of the run'),
  meanTokens: wholeNumber(1).optional().describe('mean tokens of a completion (default: --max-tokens)'),
  reward: z.enum(['model', 'function']).default('model').describe('what scores completions: a model, or a function'),
  scorers: z
    .string()
    .refine((text) => parseCount(text) !== undefined, 'expected a number such as 350M')
    .optional()
    .describe("parameters of the critic and the reward model (default: the policy's)"),
  utilization: share().optional().describe('share of the bf16 speed that training reaches (default: of the device)'),
  decoding: share().default(0.4).describe('share of the memory bandwidth that generation reaches'),
  price: positive().optional().describe('price of a device for an hour'),
});

/** Schema of the options of `planCluster`: types, ranges, defaults and help texts. */
export const clusterPlanSchema = clusterOnlySchema
  .extend({ model, params, algorithm, method, lora: plannedAdapters.prefault({}), length, maxTokens, teacher })
  .extend({ cluster: z.string().describe(clusterOnlySchema.shape.cluster.description!) })
  .refine(({ model, params }) => (model === undefined) !== (params === undefined), {
    path: ['params'],
    message: 'expected either --params or --model',
  })
  .refine(({ asynchronous, engines }) => !asynchronous || engines.devices > 0, {
    path: ['asynchronous'],
    message: 'expected false without --engines.devices: one device cannot train and generate at a time',
  });
/** The options of `planCluster`, with their defaults. */
export type ClusterPlanOptions = z.output<typeof clusterPlanSchema>;
/** The input of `planCluster`. */
export type ClusterPlanInput = z.input<typeof clusterPlanSchema> & {
  /** How the model's config is fetched from the Hub. */
  pull?: PullOptions;
};
