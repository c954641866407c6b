/**
 * What heed knows of a trainer that others wrote: which of heed's settings it has, under which names, and which of its
 * metrics are heed's. docs/reference/trainers-settings.md is generated from these tables.
 */
import { z } from 'zod';

/** Trainers that a stage of a recipe can name in "on". */
export const trainerNames = ['trl', 'openrlhf', 'verl'] as const;
/** The name of a trainer. */
export type TrainerName = (typeof trainerNames)[number];

/** The schema of `TrainerOptions`: types, defaults and help texts. */
export const trainerOptionsSchema = z.strictObject({
  python: z.string().min(1).default('python3').describe('Python of the nodes that has the trainer'),
  cluster: z
    .boolean()
    .default(true)
    .describe('run on the Ray cluster; false: on this machine, as a child process, and only trl'),
  nodes: z.number().int().min(1).default(1).describe('nodes with GPUs; more than one: not with trl'),
  gpus: z.number().int().min(0).optional().describe('GPUs of each node (default: 8; with trl 0: CPUs)'),
  cpus: z.number().min(0).default(1).describe('CPUs that the job reserves'),
  memory: z.number().int().min(0).optional().describe('bytes that the job reserves'),
  storage: z
    .string()
    .optional()
    .describe('folder that all nodes and this machine share; required for openrlhf and verl'),
  runtimeEnv: z.record(z.string(), z.unknown()).optional().describe("Ray's runtime environment"),
  settings: z
    .record(z.string(), z.unknown())
    .default({})
    .describe("the trainer's own settings by their names there, passed on unchecked; they override heed's"),
});
/** Where and with what a trainer runs. */
export type TrainerOptions = z.output<typeof trainerOptionsSchema>;

/** Training commands that a trainer can do. */
export type TrainerCommand = 'sft' | 'reward' | 'dpo' | 'kto' | 'grpo' | 'ppo';

/** A value of a trainer's setting. */
export type TheirValue = string | number | boolean | null | readonly TheirValue[] | { [name: string]: TheirValue };

/** Settings of a job, with heed's defaults, by their paths, such as `lora.rank`. */
export interface JobSettings {
  /** heed's command. */
  command: TrainerCommand;
  /** The value of a setting; undefined if it has none. */
  get<Value>(path: string): Value | undefined;
  /** Where and with what the trainer runs. */
  options: TrainerOptions;
  /** Whether there are held-out rows. */
  evaluates: boolean;
}

/** How a trainer does what one of heed's settings says. */
export interface Equivalent {
  /** Its name there, for the table; several are separated by commas. `heed` where heed does it before the job. */
  theirs: string;
  /** What differs; absent if nothing does. */
  differs?: string;
  /** Their settings for a value. Default: `{ [theirs]: value }`. */
  to?(value: never, job: JobSettings): Readonly<Record<string, TheirValue>>;
  /** What is wrong with a value there, as `expected …`; undefined if nothing is. */
  fault?(value: never, job: JobSettings): string | undefined;
  /** The value where a recipe has none; heed's default otherwise. */
  preset?: unknown;
}

/** One of heed's metrics, computed from theirs of a step. */
export interface MetricSource {
  /** heed's name. */
  ours: string;
  /** Names there. */
  theirs: readonly string[];
  /** Default: the same number. `share of others`: 1 − it; `product`: of both. */
  change?: 'same' | 'share of others' | 'exp' | 'product';
  /** What differs; absent if nothing does. */
  differs?: string;
}

/** What a trainer does of one of heed's commands. */
export interface TrainerTask {
  /** heed's settings that it has; any other one is refused. */
  settings: Readonly<Record<string, Equivalent>>;
  /** heed's metrics that it logs; its others keep their names behind the trainer's. */
  metrics: readonly MetricSource[];
  /** Their settings that heed always passes. */
  always?(job: JobSettings): Readonly<Record<string, TheirValue>>;
  /** Their optimizer steps in one of heed's steps. Default: 1. */
  stepsPer?(job: JobSettings): number;
}

/** Paths in a job's folder, and names, of what it trains with. */
export interface JobInputs {
  /** Folder, or name on the Hub. */
  model: string;
  /** The reference model, if it is another one. */
  reference?: string;
  /** A reward model's folder or name, or an address. */
  reward?: string;
  /** The initial critic. */
  critic?: string;
  /** The file of the rows to learn. */
  train: string;
  /** Held-out rows. */
  heldOut?: string;
  /** The chat template: its file, and its text. */
  chatTemplate?: { path: string; text: string };
  /** Whether prompts are conversations. */
  conversational: boolean;
}

/** A trainer. */
export interface Trainer {
  /** Its name in "on". */
  name: TrainerName;
  /** Its name on PyPI. */
  package: string;
  /** Versions whose settings heed knows; an older one is refused, a newer one warned of. */
  versions: { from: string; below: string; tested: string };
  /** Where its metrics are: lines of JSON, or TensorBoard's files. */
  metricsFrom: 'lines' | 'tensorboard';
  /** The folder with the trained model below the job's output, as a pattern. */
  modelAt(job: JobSettings): string;
  /** What it does, by heed's command. */
  tasks: Readonly<Partial<Record<TrainerCommand, TrainerTask>>>;
  /** What is wrong with where it is to run. */
  faults(job: JobSettings): string[];
  /** The launch script, with `$HEED_OUT` and `$HEED_PYTHON`, and further files of the job by their names. */
  write(
    theirs: Readonly<Record<string, TheirValue>>,
    job: JobSettings,
    inputs: JobInputs,
  ): Readonly<Record<'launch.sh', string> & Record<string, string>>;
}

/** A setting of the same meaning and values. */
export const same = (theirs: string, differs?: string): Equivalent => ({ theirs, ...(differs && { differs }) });

/** A setting that heed applies itself when it writes the job's data. */
export const here = (differs: string): Equivalent => ({ theirs: 'heed', differs, to: () => ({}) });

/** A setting that the trainer lacks, but that may be off. */
export const off = (value: unknown, differs = 'it cannot be on there'): Equivalent => ({
  theirs: '–',
  differs: `${JSON.stringify(value)} only: ${differs}`,
  preset: value,
  to: () => ({}),
  fault: (got: unknown) => (got === value ? undefined : `expected ${JSON.stringify(value)}: ${differs}`),
});

/** A setting of which the trainer has only some values. */
export const only = (theirs: string, values: readonly unknown[], more: Partial<Equivalent> = {}): Equivalent => ({
  theirs,
  ...more,
  differs: `${values.map((value) => JSON.stringify(value)).join(', ')} only${more.differs ? `; ${more.differs}` : ''}`,
  fault: (got: unknown) =>
    values.includes(got)
      ? undefined
      : `expected ${values.length > 1 ? 'one of ' : ''}${values.map((value) => JSON.stringify(value)).join(', ')}`,
});

/** The factor of the learning rate, which takes part in what becomes the trainer's. */
export const learningRateFactor = (theirs: string): Equivalent => ({
  theirs,
  to: () => ({}),
  fault: (factor: number, job) =>
    factor === 1 || job.get('learningRate') !== undefined ? undefined : 'expected --learning-rate with it',
});

/** A word of a shell script. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** A whole number, or a fault: the trainer computes in parts of equal size. */
export const wholeParts = (whole: number, part: number, what: string): string | undefined =>
  Number.isInteger(whole / part) && part > 0 ? undefined : `expected ${what}, but ${part} does not divide ${whole}`;
