/**
 * Trains by a trainer of others: heed writes its data, configuration and launch script, runs it as a job of the cluster or
 * on this machine, receives its metrics under heed's names, and brings its model home.
 *
 *     const { model } = await trainOn(openRay(), 'runs/sft', {
 *       on: 'trl',
 *       command: 'sft',
 *       settings: { model: 'Qwen/Qwen3-0.6B', data: 'demonstrations.jsonl' },
 *     });
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { HeedError } from '../../error.ts';
import { fileError, isSystemError, writeFileAtomic } from '../../files.ts';
import { lock } from '../../run/lock.ts';
import { createRun, isRun, version } from '../../run/run.ts';
import type { JobEnd } from '../frames.ts';
import { type Order, TRAINER, TRAINER_PROGRAM, type TrainerOrder } from '../job.ts';
import type { Ray } from '../ray.ts';
import {
  createLogReader,
  endRun,
  followRun,
  isOnCluster,
  planRun,
  type RemoteParts,
  remoteOf,
  trainerFiles,
} from '../remote.ts';
import { type TrainerFileParts, writeTrainerFiles } from './files.ts';
import { checkModelFolder, type Manifest } from './model-folder.ts';
import type { TrainerName } from './trainer.ts';
import { flat, type TrainerStage, translate } from './translate.ts';

/** What a training by a trainer of others ends with. */
export interface TrainerResult {
  /** The run's folder, with metrics under heed's names. */
  run: string;
  /** The trained model: a folder in Hugging Face's format, or an adapter in PEFT's. */
  model: string;
  /** What trained it. */
  trainer: { name: TrainerName; version: string };
  /** Wall time of the job in seconds. */
  seconds: number;
  /** The last loss, in training and on held-out rows, where the trainer logs them. */
  loss?: { train?: number; eval?: number };
  /** The last held-out accuracy, where the trainer logs it. */
  accuracy?: number;
  /** The trainer's last metrics, under heed's names. */
  last: Readonly<Record<string, number>>;
}

/** Called while a trainer runs. */
export interface TrainOnParts extends RemoteParts, TrainerFileParts {
  /** Ends it. A job of the cluster goes on; another call with the same folder follows it. */
  signal?: AbortSignal | undefined;
}

/**
 * Trains as the stage says, into `folder`, which becomes a run. If a job of the cluster already computes it, that job is
 * followed; if one has finished it, its result is returned.
 *
 * @param ray The cluster; undefined for this machine, where only trl runs, by `trainer.python`.
 * @throws HeedError before anything is submitted for settings that the trainer lacks; then if the trainer is missing, too
 *   old or fails, and if its model did not come home whole. An earlier model in the folder stays.
 */
export async function trainOn(
  ray: Ray | undefined,
  folder: string,
  stage: TrainerStage,
  parts: TrainOnParts = {},
): Promise<TrainerResult> {
  const finished = join(folder, TRAINER, RESULT);
  if (existsSync(finished)) return { ...JSON.parse(readFileSync(finished, 'utf8')), ...placesIn(folder) };
  if (!isOnCluster(folder)) await prepare(ray, folder, stage, parts);
  const release = lock(folder);
  try {
    const end = ray
      ? await followRun({ ...ray, signal: parts.signal ?? ray.signal }, folder, parts)
      : await runHere(folder, parts);
    return finishTraining(folder, end);
  } finally {
    release();
  }
}

async function prepare(ray: Ray | undefined, folder: string, stage: TrainerStage, parts: TrainOnParts): Promise<void> {
  const { job } = translate(stage);
  const { options, command } = job;
  // the run's folder is not begun before the data have been read
  const aside = mkdtempSync(join(tmpdir(), 'heed-trainer-'));
  let trainer: TrainerOrder;
  try {
    trainer = await writeTrainerFiles(aside, stage, parts);
    if (!isRun(folder)) {
      const name = `${basename(trainer.base)}-${command}`;
      const config = { ...nested(stage.settings ?? {}), on: stage.on, trainer: { ...options } };
      createRun(folder, { name, command, config, seed: job.get<number>('seed') ?? 0 }).close();
    }
    rmSync(join(folder, TRAINER), { recursive: true, force: true });
    cpSync(join(aside, TRAINER), join(folder, TRAINER), { recursive: true });
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
  const { cpus, memory, storage, runtimeEnv } = options;
  // the processes of OpenRLHF and verl ask Ray for GPUs themselves
  const gpus = stage.on === 'trl' ? options.gpus : undefined;
  planRun(
    ray ?? { address: HERE },
    folder,
    { version: version(), trainer },
    { cpus, gpus, memory, storage, runtimeEnv },
  );
}

/** In place of the address of a cluster. */
const HERE = 'this machine';

const nested = (settings: Readonly<Record<string, unknown>>) => JSON.parse(JSON.stringify(settings));

/** Runs the job's package on this machine, in a folder of its own. */
async function runHere(folder: string, parts: TrainOnParts): Promise<JobEnd> {
  const { order } = remoteOf(folder) as { order: Extract<Order, { trainer: unknown }> };
  const place = mkdtempSync(join(tmpdir(), 'heed-trainer-'));
  const reader = createLogReader(folder, 0, parts);
  try {
    for (const [name, file] of trainerFiles(folder, order)) {
      mkdirSync(dirname(join(place, name)), { recursive: true });
      if ('text' in file) writeFileSync(join(place, name), file.text);
      else cpSync(file.path, join(place, name));
    }
    const { python } = order.trainer;
    const child = spawn(python, [TRAINER_PROGRAM], { cwd: place, stdio: ['ignore', 'pipe', 'inherit'] });
    const stop = () => child.kill('SIGTERM');
    parts.signal?.addEventListener('abort', stop);
    const ended = new Promise<number>((resolve, reject) => {
      child.once('error', (cause) =>
        reject(
          new HeedError(`The trainer's Python "${python}" does not start.`, {
            hint: 'Name one that has the trainer in trainer.python.',
            cause,
          }),
        ),
      );
      child.once('close', (code) => resolve(code ?? 143));
    });
    child.stdout.on('data', (bytes) => reader.read(bytes));
    const code = await ended;
    parts.signal?.removeEventListener('abort', stop);
    return reader.end ?? { code, error: `it ended with code ${code}` };
  } finally {
    reader[Symbol.dispose]();
    rmSync(place, { recursive: true, force: true });
  }
}

const [MODEL, NEW, OLD, RESULT] = ['model', 'model.new', 'model.old', 'result.json'];

/** What the job's end says of a model. */
interface EndResult extends Pick<TrainerResult, 'trainer' | 'seconds' | 'last'> {
  files: Manifest;
  /** The model's folder in the storage. */
  stored?: string;
}

/**
 * Puts the model of a job that has ended in its place, once it is whole.
 *
 * @throws HeedError if the job failed or was stopped, or the model is not whole; then an earlier one stays.
 */
export function finishTraining(folder: string, { code, result, error, damaged = [] }: JobEnd): TrainerResult {
  const { job, order } = remoteOf(folder) as { job: string; order: Extract<Order, { trainer: unknown }> };
  if (code !== 0) {
    endRun(folder);
    const how = code === 143 ? 'was stopped' : `failed with exit code ${code}: ${error ?? 'it printed nothing'}`;
    throw new HeedError(`The trainer's job ${job} ${how}`, {
      hint: `What was copied from it is in ${folder}; the trainer's files, which can be run by hand, are in ${join(folder, TRAINER)}.`,
    });
  }
  const { files, stored, last, ...about } = result as EndResult;
  if (damaged.length > 0) {
    throw new HeedError(
      `${damaged.length} files of the job ${job} arrived damaged: ${damaged.slice(0, 3).join(', ')}.`,
      {
        hint: `The files on this machine are unchanged. Copy the others again with: heed cluster fetch ${folder}`,
      },
    );
  }
  const [arrived, model] = [join(folder, NEW), join(folder, MODEL)];
  try {
    if (stored !== undefined) copyStored(stored, arrived);
    checkModelFolder(arrived, files);
    nameBase(arrived, order.trainer.base);
    rmSync(join(folder, OLD), { recursive: true, force: true });
    if (existsSync(model)) renameSync(model, join(folder, OLD));
    renameSync(arrived, model);
    rmSync(join(folder, OLD), { recursive: true, force: true });
  } catch (error) {
    throw isSystemError(error) ? fileError(error, 'write', model) : error;
  }
  const loss = { train: last['loss/train'], eval: last['loss/eval'] };
  const whole: TrainerResult = {
    ...placesIn(folder),
    trainer: about.trainer,
    seconds: about.seconds,
    ...(flat(loss).length > 0 && { loss }),
    ...(last['accuracy/eval'] !== undefined && { accuracy: last['accuracy/eval'] }),
    last,
  };
  mkdirSync(join(folder, TRAINER), { recursive: true });
  writeFileAtomic(join(folder, TRAINER, RESULT), `${JSON.stringify(whole, null, 2)}\n`);
  endRun(folder);
  return whole;
}

const placesIn = (folder: string) => ({ run: folder, model: join(folder, MODEL) });

function copyStored(stored: string, to: string): void {
  if (!existsSync(stored)) {
    throw new HeedError(`The model is in "${stored}", which this machine does not see.`, {
      hint: 'Mount the folder of trainer.storage here under the same path, and continue; the job is not repeated.',
    });
  }
  rmSync(to, { recursive: true, force: true });
  cpSync(stored, to, { recursive: true });
}

/** An adapter names its base model as the node did: here it gets the name that it has here. */
function nameBase(folder: string, base: string): void {
  const path = join(folder, 'adapter_config.json');
  if (!existsSync(path)) return;
  const config = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, `${JSON.stringify({ ...config, base_model_name_or_path: base }, null, 2)}\n`);
}
