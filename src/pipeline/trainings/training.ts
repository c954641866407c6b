/** What a command has to tell so that a stage of a pipeline can run it. */
import type { z } from 'zod';
import type { PullOptions } from '../../lm/hub.ts';
import type { Diagnosis } from '../../run/diagnosis.ts';
import type { TrainParts } from '../../run/drive.ts';
import type { Report } from '../../run/report.ts';

/** A run of one command, ready to train. */
export interface StageLearner {
  /** The command's options; all have a seed, and those of language models a precision. */
  options: { seed: number; precision?: string };
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** What a pipeline passes to each learner, besides its settings. */
export interface LearnerParts {
  /** Folder of a run that is resumed. */
  folder?: string;
  /** How models and data are downloaded from the Hub. */
  pull?: PullOptions;
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
 * A command. Its methods take what `create` returns and the steps that `train` yields, which differ between commands.
 */
export interface StageTraining {
  /** The command's settings. */
  schema: z.ZodType;
  /** Throws if settings are wrong; loads nothing. */
  check(settings: Record<string, unknown>): void;
  /** Creates the learner. If settings are wrong, it throws at once, before it awaits anything. */
  create(settings: Record<string, unknown>, parts: LearnerParts): StageLearner | Promise<StageLearner>;
  /** The run's name, and its total number of steps. */
  about(learner: StageLearner): { name: string; steps: number };
  /** Trains to the end. Undefined if the signal stopped it. */
  train(
    learner: StageLearner,
    parts: TrainParts<{ step: number }>,
  ): Promise<{ run: string; diagnosis?: Diagnosis } | undefined>;
  /** The report of the run in `folder`. */
  report(folder: string): Report;
  /** What went wrong in the run in `folder`; absent for commands that train nothing. */
  diagnose?(folder: string): Diagnosis;
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
}

/** What learners of language models share. */
export const named = {
  about: ({ name, steps }: StageLearner & { name: string; steps: number }) => ({ name, steps }),
  product: 'a language model',
  path: 'model',
} as const;

export const checkedBy = (schema: z.ZodType) => ({
  schema,
  check: (settings: Record<string, unknown>) => void schema.parse(settings),
});

/** A command whose settings are passed to the function that opens its learner. */
export const opened = <L extends StageLearner>(schema: z.ZodType, open: (input: never) => Promise<L>) => ({
  ...checkedBy(schema),
  create: (settings: Record<string, unknown>, { pull, onNotice, onProgress, teacher }: LearnerParts) =>
    open({ ...settings, pull, onNotice, onProgress, ...(teacher !== undefined && { teacher }) } as never),
});

/** A family of commands, each by its name in the command line. */
export const byCommand = <N extends string>(trainings: Record<N, StageTraining>): Readonly<Record<N, StageTraining>> =>
  trainings;
