/**
 * The record of an algorithm: how it is checked, opened, trained, reported and diagnosed. The room of an algorithm has
 * its record; the command line, pipelines, `heed report` and `heed diagnose`, and jobs of `heed serve` are made of them.
 */
import type { z } from 'zod';
import type { Diagnosis } from './diagnosis.ts';
import type { TrainParts } from './drive.ts';
import type { Report } from './report.ts';

/** A run of one command, ready to train. */
export interface StageLearner {
  /** The command's options; all have a seed, and those of language models a precision. */
  options: { seed: number; precision?: string };
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** What a command or a pipeline passes to each learner, besides its settings. */
export interface LearnerParts {
  /** Folder of a run that is resumed. */
  folder?: string;
  /** How models and data are downloaded from the Hub: the PullOptions of heed/lm. */
  pull?: object;
  /** Called with notices about the data. */
  onNotice?: (text: string) => void;
  /** Called with how far long work within a step is. */
  onProgress?: (what: string, done: number, total: number) => void;
  /** The teacher that compares a policy's completions, if its settings ask people. */
  teacher?: unknown;
}

/** Who learns in a training, and how. */
type Teaches =
  /** An agent, from comparisons of clips of its play. */
  | 'taught agent'
  /** An agent, from its environment's reward. */
  | 'rewarded agent'
  /** A language model, from texts. */
  | 'demonstrated model'
  /** A reward model, from judgments. */
  | 'reward model'
  /** A language model, from rewards of its completions. */
  | 'rewarded model'
  /** A language model, from judgments without a reward model. */
  | 'preferred model';

/** What later stages can take from a run, by the stage's name. */
type Product = 'a language model' | 'a reward model' | 'a dataset';

/**
 * The record of an algorithm. Its methods take what `open` returns, the steps that `train` yields and the result that
 * it ends with, which differ between algorithms.
 */
export interface TrainingRecord {
  /** The name of its command, such as "eval policy". */
  name: string;
  /** The command's settings. */
  schema: z.ZodType;
  /** Throws if settings are wrong; loads nothing. */
  check(settings: Record<string, unknown>): void;
  /** Opens the learner. If settings are wrong, it throws at once, before it awaits anything. */
  open(settings: Record<string, unknown>, parts: LearnerParts): StageLearner | Promise<StageLearner>;
  /** The run's name, and its total number of steps. */
  about(learner: StageLearner): { name: string; steps: number };
  /** Trains to the end. Undefined if the signal stopped it. */
  train(learner: StageLearner, parts: TrainParts<{ step: number; done?: boolean }>): Promise<RunResult | undefined>;
  /** Writes the learner's current model into a folder; absent where there is not one model. */
  save?(learner: StageLearner, folder: string): void | Promise<void>;
  /** The report of the run in `folder`. */
  report(folder: string): Report;
  /** What went wrong in the run in `folder`; absent for commands that train nothing. */
  diagnose?(folder: string): Diagnosis;
  /** The result for a person, as rows of name and value; absent if the command has its own words. */
  summarize?(result: RunResult): [name: string, value: string][];
  /** Figures for the progress line, under names that say what they are; values that a step lacks stay unchanged. */
  live(step: { step: number }): Record<string, number>;
  /** Names of `live` that are shares, which are shown in percent. */
  shares?: readonly string[];
  /** Who learns, and how, for the picture of a pipeline; absent for measurements and for many trainings in one. */
  teaches?: Teaches;
  /** What later stages can take from the run; absent if nothing. */
  product?: Product;
  /** Path of the product in the run's folder. */
  path?: string;
  /** Whether settings can only be checked after the environment is opened. */
  checkedLate?: boolean;
  /** Whether it trains many runs, each of which a cluster can train by itself. */
  manyRuns?: boolean;
}

/** What every training ends with, among figures of its own. */
export interface RunResult {
  /** The run's folder. */
  run: string;
  /** Folder of the last model, if it trained one. */
  model?: string;
  diagnosis?: Diagnosis;
  /** Wall time in seconds, including earlier processes of the run. */
  seconds?: number;
}

/** What learners of language models share. */
export const named = {
  about: ({ name, steps }: StageLearner & { name: string; steps: number }) => ({ name, steps }),
  product: 'a language model',
  path: 'model',
} as const;

/** The settings of an algorithm that only its schema checks. */
export const checkedBy = (schema: z.ZodType) => ({
  schema,
  check: (settings: Record<string, unknown>) => void schema.parse(settings),
});

/** An algorithm whose settings are passed to the function that opens its learner. */
export const opened = <L extends StageLearner>(schema: z.ZodType, open: (input: never) => Promise<L>) => ({
  ...checkedBy(schema),
  open: (settings: Record<string, unknown>, { pull, onNotice, onProgress, teacher }: LearnerParts) =>
    open({ ...settings, pull, onNotice, onProgress, ...(teacher !== undefined && { teacher }) } as never),
});

/** Makes the records of algorithms that train a language model in one way: they differ in name, settings and opening. */
export const modelRecords =
  (shared: Omit<TrainingRecord, 'name' | 'schema' | 'check' | 'open' | keyof typeof named>) =>
  <L extends StageLearner>(name: string, schema: z.ZodType, open: (input: never) => Promise<L>): TrainingRecord => ({
    name,
    ...opened(schema, open),
    ...named,
    ...shared,
  });

/** Records by their names. */
export const byName = (records: readonly TrainingRecord[]): Readonly<Record<string, TrainingRecord>> =>
  Object.fromEntries(records.map((record) => [record.name, record]));
