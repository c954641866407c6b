/** Settings that OpenRLHF and verl have alike: both write completions by vLLM, and learn on nodes of GPUs. */
import { type Equivalent, here, type JobSettings, off, wholeParts } from './trainer.ts';

/** GPUs of a node. */
export const gpusOf = ({ options }: JobSettings): number => options.gpus ?? 8;

const processes = (job: JobSettings) => gpusOf(job) * job.options.nodes;

/** The reward, and how it is called. */
export const rewardSetting = (theirs: string): Record<string, Equivalent> => ({
  reward: {
    theirs,
    differs: 'a reward model’s folder or name on the Hub, or an address, which heed’s requests reach from the nodes',
    to: () => ({}),
  },
  'rewardCall.timeout': here('for an address'),
  'rewardCall.retries': here('for an address'),
  'rewardCall.pause': here('for an address'),
  onBadRow: here('heed reads the data'),
});

/** Rows computed at once: so many of each GPU, as settings of these names. */
export const rows = (theirs: string, names: (job: JobSettings) => readonly string[]): Equivalent => ({
  theirs,
  differs: 'divided by the number of GPUs',
  to: (rows: number, job) => Object.fromEntries(names(job).map((name) => [name, rows / processes(job)])),
  fault: (rows: number, job) => wholeParts(rows, processes(job), `a multiple of the ${processes(job)} GPUs`),
});

/** A setting to which one value is passed under several names. */
export const each = (...names: readonly string[]): Equivalent => ({
  theirs: names.join(', '),
  to: (value: number) => Object.fromEntries(names.map((name) => [name, value])),
});

/** Scale and targets of adapters. */
export const adapters = (alpha: string, targets: string): Record<string, Equivalent> => ({
  'lora.alpha': {
    theirs: alpha,
    differs: 'a whole number',
    fault: (value: number) => (Number.isInteger(value) ? undefined : 'expected a whole number'),
  },
  'lora.targets': { theirs: targets, to: (value: string) => ({ [targets]: value.split(',') }) },
});

/** What neither does: no prompts are held out, and the last model is the result. */
export const unwatched: Readonly<Record<string, Equivalent>> = {
  'evaluation.share': {
    theirs: '–',
    differs: 'no prompts are held out',
    preset: 0,
    to: () => ({}),
    fault: (share: number) => (share === 0 ? undefined : 'leave it out: no prompts are held out'),
  },
  keepBest: off(false, 'the last model is the result'),
  patience: off(0, 'the training continues to its end'),
};

/** The critic's learning rate, as a factor of the policy's. */
export const criticRate = (theirs: string, differs: string): Equivalent => ({
  theirs,
  differs,
  to: (rate: number, job) => ({ [theirs]: rate * (job.get<number>('learningRate') ?? 0) }),
  fault: (_: number, job) => (job.get('learningRate') === undefined ? 'expected --learning-rate with it' : undefined),
});

/** Completions of each prompt. */
export const severalCompletions = (theirs: string): Equivalent => ({
  theirs,
  fault: (count: number) => (count > 1 ? undefined : 'expected at least 2'),
});

/** What is wrong with where the trainer is to run. */
export const placeFaults = (trainer: string, { options, get }: JobSettings): string[] => [
  ...(options.cluster ? [] : [`trainer.cluster: expected true: ${trainer} runs on a Ray cluster only`]),
  ...(options.storage === undefined
    ? [`trainer.storage: required: several nodes write the results of ${trainer}`]
    : []),
  ...(options.gpus === 0 ? [`trainer.gpus: expected at least 1: ${trainer} needs GPUs`] : []),
  ...(get('reference') !== undefined ? [`settings.reference: ${trainer} takes the model itself`] : []),
];
