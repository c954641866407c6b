/**
 * How far a pipeline has got, from rows of its samples.jsonl; a killed process leaves whole rows. Nothing of a stage is
 * ever undone.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { HeedError } from '../error.ts';
import { type Run, readInfo, readSamples } from '../run/run.ts';
import type { CompletionsRow } from './completions.ts';
import { checkRecipe, type Recipe } from './recipe.ts';

/** The result of a stage: what its command prints with --json. */
export type StageResult = { run: string; seconds?: number } & Record<string, unknown>;

export type PipelineRow =
  /** A stage begins, in this folder inside the pipeline's. */
  | { kind: 'begun'; stage: string; folder: string }
  | { kind: 'finished'; stage: string; result: StageResult }
  /** From here on the recipe is this one, and these stages run again, in new folders. */
  | { kind: 'course'; recipe: Recipe; again: string[] }
  | CompletionsRow;

/** How far a pipeline has got. */
export interface PipelineProgress {
  /** The recipe in force, which `changeCourse` may have replaced. */
  recipe: Recipe;
  /** Stages that have begun, by their names. */
  stages: Map<string, { folder: string; result?: StageResult }>;
  /** The models' completions of the same prompts, once they are made. */
  completions?: CompletionsRow;
}

/**
 * How far the pipeline in the folder `run` has got.
 * @throws HeedError if the folder is not a pipeline's.
 */
export function progressOf(run: string): PipelineProgress {
  const { command, config } = readInfo(run);
  if (command !== 'pipeline') {
    throw new HeedError(`"${run}" is a run of "heed ${command}", not of "heed pipeline".`, {
      hint: `Continue it with: heed ${command} --resume ${run}`,
    });
  }
  const progress: PipelineProgress = { recipe: config as Recipe, stages: new Map() };
  for (const row of readSamples(run) as unknown as PipelineRow[]) {
    switch (row.kind) {
      case 'begun':
        progress.stages.set(row.stage, { folder: join(run, row.folder) });
        break;
      case 'finished': {
        const { folder } = progress.stages.get(row.stage)!;
        progress.stages.set(row.stage, { folder, result: moved(row.result, folder) });
        break;
      }
      case 'course':
        progress.recipe = row.recipe;
        for (const name of row.again) progress.stages.delete(name);
        progress.completions = undefined;
        break;
      case 'completions':
        progress.completions = row;
    }
  }
  return progress;
}

/** A result with its paths moved to the run's current folder. */
function moved(result: StageResult, folder: string): StageResult {
  const path = (value: unknown) =>
    typeof value === 'string' && value.startsWith(result.run) ? folder + value.slice(result.run.length) : value;
  return Object.fromEntries(Object.entries(result).map(([name, value]) => [name, path(value)])) as StageResult;
}

/** A folder that no earlier attempt at the stage used. Names of stages have no dots. */
export function newStageFolder(run: string, stage: string): string {
  for (let n = 1; ; n++) {
    const folder = n === 1 ? stage : `${stage}.${n}`;
    if (!existsSync(join(run, folder))) return folder;
  }
}

/**
 * Makes a run repeat a stage and all later ones, or use another recipe for what has not been done yet.
 *
 * @throws HeedError if there is no such stage, or the recipe differs in what was done.
 */
export function changeCourse(run: Run, { from, recipe: input }: { from?: string; recipe?: unknown }): void {
  const { recipe: old, stages } = progressOf(run.folder);
  const recipe = input === undefined ? old : checkRecipe(input);
  const names = recipe.stages.map(({ name }) => name);
  const first = from === undefined ? names.length : names.indexOf(from);
  if (first < 0) throw new HeedError(`There is no stage "${from}": expected one of ${names.join(', ')}.`);
  const begun = [...old.stages.entries()].filter(([, { name }]) => stages.has(name));
  const changed = begun.find(([i, stage]) => i < first && !isDeepStrictEqual(stage, recipe.stages[i]));
  if (changed) {
    const [i, { name }] = changed;
    throw new HeedError(`The recipe differs from stage "${names[i] ?? name}" on, which the run has begun.`, {
      hint: names[i]
        ? `Repeat it and all later stages with --from ${names[i]}, or start a new run.`
        : 'Start a new run.',
    });
  }
  const again = begun.filter(([i]) => i >= first).map(([, { name }]) => name);
  run.sample({ kind: 'course', recipe, again } satisfies PipelineRow);
}
