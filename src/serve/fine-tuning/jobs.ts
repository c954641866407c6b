/**
 * Fine-tuning jobs: a queue in the server's database. A job is a heed run in the folder of runs, trained in a process
 * of its own; when the server or that process dies, the run is resumed from its last checkpoint.
 */
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { HeedError, messageOf } from '../../error.ts';
import { lock } from '../../run/lock.ts';
import type { ServeContext } from '../context.ts';
import { ApiError, apiErrorOf } from '../errors.ts';
import { findFile } from '../files/files.ts';
import { pathOf, prefixedId } from '../files/storage.ts';
import { templatesIn } from '../graders/definition.ts';
import { graderReward } from '../graders/grade.ts';
import { checkedGrader } from '../graders/routes.ts';
import { servedModels } from '../graders/served-models.ts';
import { pathsIn } from '../graders/template.ts';
import type { ServeSettings } from '../options.ts';
import { memoryOfJobs, planJob } from './memory.ts';
import { type JobMethod, resolved, type TrainingPlan, trainingPlan } from './methods.ts';
import { publicMetrics, stepInWords } from './metrics.ts';
import { type JobRecords, openRecords } from './records.ts';
import { keepCheckpoint, keepResults } from './results.ts';
import { adoptFile } from './rows.ts';
import type { JobRow, JobStatus } from './table.ts';
import { type FromChild, type JobEnding, type JobTrainer, startTrainer } from './train.ts';

/** How jobs run: see serveSchema. */
export type JobOptions = Pick<ServeSettings, 'runs' | 'jobs' | 'memory' | 'checkpointSeconds'>;

/** A checked request for a job. */
export interface NewJob {
  model: string;
  method: JobMethod;
  trainingFile: string;
  validationFile?: string;
  suffix?: string;
  seed?: number;
  metadata?: Record<string, string>;
  key?: string;
}

/** The jobs of a server. */
export interface Jobs
  extends Pick<JobRecords, 'find' | 'list' | 'eventsAfter' | 'latestEvents' | 'checkpoints' | 'changed'> {
  /** Adds a job to the queue. @throws ApiError if its model, files, grader or memory do not fit. */
  create(job: NewJob): Promise<JobRow>;
  /** Ends a job for good. @throws ApiError 400 if it has ended. */
  cancel(id: string): Promise<JobRow>;
  /** Stops a job after its step. @throws ApiError 400 if it has ended. */
  pause(id: string): Promise<JobRow>;
  /** Puts a paused job back into the queue. @throws ApiError 400 if it is not paused. */
  resume(id: string): Promise<JobRow>;
  /** Unix time in milliseconds at which a running job should finish; undefined if that is not known. */
  estimate(id: string): number | undefined;
}

interface Running {
  trainer?: JobTrainer;
  memory: number;
  /** What to do once the process has ended. */
  after?: 'paused' | 'cancelled';
  /** For the estimate: when the first step of this process ended, and which one it was. */
  began?: { time: number; step: number };
  steps?: number;
  step?: number;
  /** What a grader could not read since the last step. */
  faults: string[];
  ended: Promise<void>;
}

/** Processes of a job that may crash in a row without a step. */
const MOST_CRASHES = 3;
/** Statuses of jobs that have ended. */
const over = new Set<JobStatus>(['succeeded', 'failed', 'cancelled']);

/** Opens the jobs of a server, and goes on with those that an earlier process of it left. */
export async function openJobs(context: ServeContext, options: JobOptions): Promise<Jobs> {
  const { database, shelf, folder, now, signal } = context;
  const { runs, jobs: most, memory, checkpointSeconds } = options;
  const running = new Map<string, Running>();
  const crashes = new Map<string, number>();
  const limit = memoryOfJobs(memory);
  const records = openRecords(context);
  const { say, update, find, notify } = records;
  /** Changes of the queue happen one after another. */
  let turn: Promise<unknown> = Promise.resolve();

  async function create(job: NewJob): Promise<JobRow> {
    const base = shelf.get(job.model);
    if (!base)
      throw new ApiError(404, `The model "${job.model}" does not exist.`, { param: 'model', code: 'model_not_found' });
    if (base.folder === '') {
      throw new ApiError(400, `"${job.model}" is only in memory: jobs need a model with a folder.`, { param: 'model' });
    }
    const training = await findFile(context, job.trainingFile, 'training_file');
    const validation =
      job.validationFile === undefined ? undefined : await findFile(context, job.validationFile, 'validation_file');
    for (const [param, file] of Object.entries({ training_file: training, validation_file: validation })) {
      if (!file || file.purpose === 'fine-tune') continue;
      throw new ApiError(400, `The file "${file.id}" is for ${file.purpose}, not for fine-tune.`, { param });
    }
    if (job.method.type === 'reinforcement') checkedGrader(job.method.reinforcement.grader, context);
    const planned = await planJob(context, job, training.longest, memory);
    const id = prefixedId('ftjob-');
    const row: JobRow = {
      id,
      status: 'validating_files',
      model: job.model,
      ...planned,
      created: now(),
      finished: null,
      methodJson: JSON.stringify(job.method),
      trainingJson: null,
      errorJson: null,
      trainingFile: training.id,
      validationFile: validation?.id ?? null,
      suffix: job.suffix ?? null,
      seed: job.seed ?? randomInt(2 ** 31),
      metadataJson: job.metadata ? JSON.stringify(job.metadata) : null,
      key: job.key ?? null,
      run: resolve(runs, id),
      fineTunedModel: null,
      resultFile: null,
      trainedTokens: null,
    };
    await records.add(row);
    await say(id, `Created fine-tuning job: ${id}`);
    advance();
    return row;
  }

  /** Checks and converts the files of a job. */
  async function validate(job: JobRow): Promise<void> {
    await say(
      job.id,
      `Validating training file: ${job.trainingFile}${job.validationFile ? ` and validation file: ${job.validationFile}` : ''}`,
    );
    const method = JSON.parse(job.methodJson) as JobMethod;
    const paths =
      method.type === 'reinforcement'
        ? templatesIn(checkedGrader(method.reinforcement.grader, context))
            .flatMap(pathsIn)
            .filter(([namespace]) => namespace === 'item')
            .map(([, ...path]) => path)
        : [];
    const adopt = async (id: string, param: 'training_file' | 'validation_file') => {
      await findFile(context, id, param);
      const to = dataOf(job.id, param);
      mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
      return adoptFile(pathOf(folder, id), to, { method: method.type, param, paths });
    };
    const rows = await adopt(job.trainingFile, 'training_file');
    if (job.validationFile) await adopt(job.validationFile, 'validation_file');
    const training = trainingPlan(method, rows, { heldOut: job.validationFile !== null });
    await update(job.id, {
      status: 'queued',
      trainingJson: JSON.stringify(training),
      methodJson: JSON.stringify(resolved(method, training)),
    });
    await say(job.id, 'Files validated, moving job to queued state');
  }

  const dataOf = (id: string, name: 'training_file' | 'validation_file') =>
    resolve(folder, 'jobs', id, `${name}.jsonl`);

  /** Starts the jobs whose turn it is. */
  function advance(): void {
    turn = turn
      .then(async () => {
        if (context.isDraining()) return;
        for (const job of await records.withStatus('validating_files')) {
          await validate(job).catch((error) => fail(job.id, error));
        }
        for (const job of await records.withStatus('queued')) {
          if (running.has(job.id)) continue; // its process still stops
          const used = [...running.values()].reduce((sum, { memory }) => sum + memory, 0);
          if (context.isDraining() || running.size >= most || (used > 0 && used + job.memory > limit)) return;
          await start(job);
        }
      })
      .catch((error) => context.onNotice(`fine-tuning: ${messageOf(error)}`));
  }

  async function start(job: JobRow): Promise<void> {
    const own: Running = { memory: job.memory, faults: [], ended: Promise.resolve() };
    running.set(job.id, own);
    await update(job.id, { status: 'running' });
    await say(job.id, existsSync(join(job.run, 'config.json')) ? 'Fine-tuning job resumed' : 'Fine-tuning job started');
    own.ended = train(job, own)
      .catch((error) => fail(job.id, error))
      .finally(() => {
        running.delete(job.id);
        notify();
        advance();
      });
  }

  async function train(job: JobRow, own: Running): Promise<void> {
    const method = JSON.parse(job.methodJson) as JobMethod;
    const { command, options, epochs } = JSON.parse(job.trainingJson!) as TrainingPlan;
    const base = shelf.get(job.model);
    if (!base)
      throw new ApiError(404, `The model "${job.model}" is gone.`, { param: 'model', code: 'model_not_found' });
    const data = dataOf(job.id, 'training_file');
    const validation = job.validationFile === null ? undefined : dataOf(job.id, 'validation_file');
    const evaluation = {
      ...(options.evaluation as object),
      data: validation ?? (command === 'grpo' ? data : undefined),
    };
    const settings = {
      ...options,
      model: base.folder,
      data,
      evaluation,
      seed: job.seed,
      keepBest: false,
      lora: { rank: job.rank },
    };
    using reward =
      method.type === 'reinforcement'
        ? graderReward(checkedGrader(method.reinforcement.grader, context), {
            models: servedModels(context),
            onFault: ({ message }) => own.faults.push(message),
          })
        : undefined;
    let writing: Promise<void> = Promise.resolve();
    own.trainer = startTrainer(
      { command, settings, folder: job.run, epochs, checkpointSeconds },
      {
        onMessage(message) {
          writing = writing.then(() => record(job, own, message)).catch((error) => context.onNotice(messageOf(error)));
        },
        async grade(completions) {
          const graded = completions.map(({ text, item }) => ({
            text,
            row: item as Record<string, unknown>,
            prompt: [],
            response: [],
            ended: true,
            promptText: '',
          }));
          return Array.from(await reward!.score(graded, signal));
        },
      },
    );
    if (own.after === 'cancelled') own.trainer.kill();
    else if (own.after || signal.aborted) own.trainer.stop();
    const ending = await own.trainer.ending;
    await writing;
    await end(job, own, ending);
  }

  /** What a training says while it goes on. */
  async function record(job: JobRow, own: Running, message: FromChild): Promise<void> {
    if (message.kind === 'started') own.steps = message.steps;
    if (message.kind === 'notice') await say(job.id, message.text, { level: 'warn' });
    if (message.kind === 'checkpoint') await keepCheckpoint(context, records, job, message);
    if (message.kind !== 'metrics' || message.row.step === 0) return;
    const { step } = message.row;
    own.step = step;
    own.began ??= { time: now(), step };
    crashes.delete(job.id);
    const [fault] = own.faults;
    const unread = own.faults.splice(0).length;
    if (unread > 0)
      await say(job.id, `Step ${step}: ${unread} completions have the reward 0. ${fault}`, { level: 'warn' });
    const data = { step, total_steps: own.steps, ...publicMetrics(message.row) };
    await say(job.id, stepInWords(message.row, own.steps), {
      id: `ftevent-${job.id.slice(6)}-${step}`,
      type: 'metrics',
      dataJson: JSON.stringify(data),
    });
  }

  async function end(job: JobRow, own: Running, ending: JobEnding): Promise<void> {
    if (own.after === 'cancelled' || (own.after === 'paused' && ending.kind !== 'finished')) return; // said already
    if (context.isDraining() && ending.kind !== 'finished') return update(job.id, { status: 'queued' });
    switch (ending.kind) {
      case 'finished':
        await keepResults(context, records, job, ending.model);
        return dropData(job.id);
      case 'failed':
        return fail(job.id, new HeedError(ending.error.message, { hint: ending.error.hint }));
      case 'stopped':
        return update(job.id, { status: 'queued' });
      case 'crashed': {
        const count = (crashes.get(job.id) ?? 0) + 1;
        crashes.set(job.id, count);
        if (count >= MOST_CRASHES) {
          return fail(job.id, new HeedError(`The training process died ${count} times: ${ending.text}`));
        }
        await update(job.id, { status: 'queued' });
        return say(job.id, `The training process died (${ending.text}). The job goes on from its last checkpoint.`, {
          level: 'warn',
        });
      }
    }
  }

  /** Deletes the converted rows of a job that has ended: the client's file is the client's to delete. */
  const dropData = (id: string) => rmSync(resolve(folder, 'jobs', id), { recursive: true, force: true });

  async function fail(id: string, thrown: unknown): Promise<void> {
    if (!(thrown instanceof HeedError)) context.onNotice(`${id}: ${messageOf(thrown)}`);
    const { message, code, param } = apiErrorOf(thrown);
    const error = { message, code: code ?? 'training_failed', param };
    await say(id, `The job failed: ${message}`, { level: 'error' });
    await update(id, { status: 'failed', errorJson: JSON.stringify(error), finished: now() });
    dropData(id);
  }

  const ended = (job: JobRow, verb: string) =>
    new ApiError(400, `The job "${job.id}" is ${job.status}: it cannot be ${verb}.`, { code: 'invalid_job_status' });

  /** Changes a job that has not ended, in turn with the queue. */
  const changing = (id: string, change: (job: JobRow) => Promise<void>): Promise<JobRow> => {
    const done = turn.then(async () => {
      await change(await find(id));
      return find(id);
    });
    turn = done.catch(() => {});
    done.then(advance, () => {});
    return done;
  };

  mkdirSync(join(folder, 'jobs'), { recursive: true, mode: 0o700 });
  const inUse = (by: string, path: string) =>
    new HeedError(`The folder "${folder}" is in use by another heed serve, ${by}.`, {
      hint: `Stop that server, or choose another --folder. If you are sure that there is none, delete "${path}".`,
    });
  const release = lock(join(folder, 'jobs'), inUse); // one server at a time goes on with them
  context.defer(async () => {
    notify();
    for (const { trainer } of running.values()) trainer?.stop();
    await turn;
    await Promise.all([...running.values()].map(({ ended }) => ended));
    release();
  });
  await database.updateTable('jobs').set({ status: 'queued' }).where('status', '=', 'running').execute();
  advance();

  return {
    ...records,
    create,
    cancel: (id) =>
      changing(id, async (job) => {
        if (over.has(job.status)) throw ended(job, 'cancelled');
        const own = running.get(id);
        if (own) own.after = 'cancelled';
        await say(id, 'Fine-tuning job cancelled');
        await update(id, { status: 'cancelled', finished: now() });
        own?.trainer?.kill();
        dropData(id);
      }),
    pause: (id) =>
      changing(id, async (job) => {
        if (over.has(job.status) || job.status === 'paused') throw ended(job, 'paused');
        const own = running.get(id);
        if (own) own.after = 'paused';
        await say(id, 'Fine-tuning job paused');
        await update(id, { status: 'paused' });
        own?.trainer?.stop();
      }),
    resume: (id) =>
      changing(id, async (job) => {
        if (job.status !== 'paused') throw ended(job, 'resumed');
        await update(id, { status: job.trainingJson === null ? 'validating_files' : 'queued' });
        await say(id, 'Fine-tuning job back in the queue');
      }),
    estimate(id) {
      const { began, steps, step } = running.get(id) ?? {};
      if (!began || steps === undefined || step === undefined || step === began.step) return undefined;
      return now() + ((now() - began.time) / (step - began.step)) * (steps - step);
    },
  };
}
