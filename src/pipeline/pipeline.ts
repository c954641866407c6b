/**
 * A pipeline: trainings and evaluations one after another, of which each takes what earlier ones made, in one run. Its folder has
 * one for each stage, which is a run like any other; what a stage made stays, whatever becomes of later ones. Killed
 * anywhere it goes on inside the stage, by that stage's checkpoint.
 *
 * Run it: heed pipeline recipe.json
 */
import { basename, join } from 'node:path';
import { HeedError } from '../error.ts';
import { createRun, isRun, openRun, type Run, type TrainParts, writeReport } from '../run/index.ts';
import { attachLoggers, type Ending, type LoggerChoice } from '../run/loggers/index.ts';
import { type AnswersRow, answersOf } from './answers.ts';
import { type Recipe, resolved, type Stage } from './recipe.ts';
import { newFolder, type PipelineRow, progressOf, type StageResult } from './state.ts';
import { type LearnerParts, trainings } from './trainings.ts';

/** A stage that is about to train. */
export interface StageBegun {
  /** The stage's name in the recipe. */
  name: string;
  /** The heed command that it runs. */
  command: string;
  /** Which of how many, from 1. */
  index: number;
  /** Number of stages in the recipe. */
  count: number;
  /** The stage's run folder. */
  folder: string;
  /** Of the stage; 0 where nobody knows. */
  steps: number;
}

/** What `runPipeline` takes: the run, a signal and callbacks. */
export interface PipelineParts
  extends LearnerParts,
    Pick<TrainParts<never>, 'signal' | 'checkpointSeconds' | 'onWarning'> {
  /** The pipeline's run, from `createPipeline` or `openRun`. */
  run: Run;
  /** Where each stage is told of too; a folder given for TensorBoard gets one for each. */
  log?: readonly LoggerChoice[];
  /** Called before each stage. */
  onStage?: (stage: StageBegun) => void;
  /** After each step of the stage, with what it told. */
  onStep?: (step: number, live: Record<string, number>) => void;
  /** Called after each stage that finished. */
  onFinished?: (stage: StageBegun, result: StageResult) => void;
}

/** What a pipeline ends with. */
export interface PipelineResult {
  /** The pipeline's run folder. */
  run: string;
  /** In order, each with what its command gives. */
  stages: ({ name: string; command: string } & StageResult)[];
  /** The same prompts answered by every language model, where there is one. */
  answers?: Omit<AnswersRow, 'kind'>;
  /** Wall time of the stages, that of earlier processes of the run included. */
  seconds: number;
}

/** A run for a recipe that was checked; throws a HeedError where the folder is in use. */
export const createPipeline = (recipe: Recipe, folder?: string): Run =>
  createRun(folder, { name: recipe.name, command: 'pipeline', config: recipe, seed: recipe.seed ?? 0 });

/**
 * Runs the stages that are not finished. Undefined where the signal stopped it: then the stage under way has a checkpoint.
 *
 * @throws HeedError that names the stage, where one fails.
 */
export async function runPipeline(parts: PipelineParts): Promise<PipelineResult | undefined> {
  const { run, signal } = parts;
  const { recipe, stages, answers } = progressOf(run.folder);
  const note = (row: PipelineRow) => run.sample({ ...row });
  const folderOf = (name: string) => stages.get(name)!.folder;
  for (const [i, stage] of recipe.stages.entries()) {
    if (stages.get(stage.name)?.result) continue;
    if (signal?.aborted) return undefined;
    const begun = stages.get(stage.name);
    const name = newFolder(run.folder, stage.name);
    const folder = begun?.folder ?? join(run.folder, name);
    const place = { index: i + 1, count: recipe.stages.length, folder };
    const settings = resolved(stage.settings, folderOf, recipe.stages);
    // what fails before it has a run can be put right in the recipe
    const begin = () => void (begun ?? note({ kind: 'begun', stage: stage.name, folder: name }));
    const result = await runStage(stage, settings, place, begin, parts);
    if (!result) return undefined;
    note({ kind: 'finished', stage: stage.name, result });
    stages.set(stage.name, { folder, result });
  }
  const row = answers ?? (await askAll(recipe, folderOf, parts));
  if (!row && signal?.aborted) return undefined;
  if (row && !answers) note(row);
  const results = recipe.stages.map(({ name, command }) => ({ name, command, ...stages.get(name)!.result! }));
  return {
    run: run.folder,
    stages: results,
    ...(row && { answers: { prompts: row.prompts, models: row.models } }),
    seconds: results.reduce((sum, { seconds = 0 }) => sum + seconds, 0),
  };
}

/** What cannot be asked leaves the stages as they are. */
async function askAll(recipe: Recipe, folderOf: (stage: string) => string, parts: PipelineParts) {
  try {
    return await answersOf(recipe, folderOf, parts);
  } catch (error) {
    if (parts.signal?.aborted) return undefined;
    if (!(error instanceof HeedError)) throw error;
    parts.onWarning?.(`The models have not been asked the same prompts: ${error.message}`);
    return undefined;
  }
}

async function runStage(
  { name, command }: Stage,
  settings: Record<string, unknown>,
  place: Pick<StageBegun, 'index' | 'count' | 'folder'>,
  begin: () => void,
  { signal, checkpointSeconds, onWarning, log = [], onStage, onStep, onFinished, ...parts }: PipelineParts,
): Promise<StageResult | undefined> {
  const training = trainings[command];
  const { folder } = place;
  let learner: Awaited<ReturnType<typeof training.create>> | undefined;
  let run: Run | undefined;
  let loggers: ReturnType<typeof attachLoggers> | undefined;
  let ending: Ending = 'failed';
  try {
    learner = await training.create(settings, parts);
    const { options } = learner;
    const about = training.about(learner);
    begin();
    run = isRun(folder)
      ? openRun(folder)
      : createRun(folder, { name: about.name, command, config: options, seed: options.seed });
    loggers = attachLoggers(run, log.map(within(basename(folder))), onWarning ?? process.emitWarning);
    const begun = { name, command, ...place, steps: about.steps };
    onStage?.(begun);
    const result = await training.train(learner, {
      run,
      signal,
      checkpointSeconds,
      onWarning,
      onStep: (step) => onStep?.(step.step, training.live(step)),
    });
    ending = result ? 'finished' : 'stopped';
    writeReport(run, training.report(folder));
    if (result) onFinished?.(begun, { ...result });
    return result && { ...result };
  } catch (cause) {
    if (!(cause instanceof HeedError)) throw cause;
    throw new HeedError(`Stage "${name}", ${place.index} of ${place.count}: ${cause.message}`, {
      hint: `${cause.hint ? `${cause.hint}\n` : ''}What earlier stages made is kept. Go on with: heed pipeline --resume ${parts.run.folder}`,
      cause,
    });
  } finally {
    await loggers?.close(ending);
    run?.close();
    learner?.[Symbol.dispose]();
  }
}

const within =
  (stage: string) =>
  ({ kind, to }: LoggerChoice): LoggerChoice =>
    kind === 'tensorboard' && to !== undefined ? { kind, to: join(to, stage) } : { kind, to };
