/** Trains a job in a process of its own. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type CarriedError, carried, messageOf } from '../../error.ts';
import { isWritten } from '../../run/lock.ts';
import type { MetricsRow } from '../../run/run.ts';

/** What the process is to train. */
export interface ChildJob {
  command: 'sft' | 'dpo' | 'grpo';
  /** Options of the command. */
  settings: Record<string, unknown>;
  /** The run's folder; a run that is there is resumed. */
  folder: string;
  /** Passes over the data: the model is saved after each. */
  epochs: number;
  /** Seconds between checkpoints of the run. */
  checkpointSeconds: number;
}

/** A completion to grade, and the row of its prompt. */
export interface GradedCompletion {
  text: string;
  item: unknown;
}

/** What the process is sent. */
export type ToChild =
  | { kind: 'train'; job: ChildJob }
  | { kind: 'stop' }
  | { kind: 'scores'; id: number; scores: number[] }
  | { kind: 'ungraded'; id: number; error: CarriedError };

/** What it sends. */
export type FromChild =
  | { kind: 'started'; steps: number }
  | { kind: 'metrics'; row: MetricsRow }
  | { kind: 'checkpoint'; step: number; folder: string }
  | { kind: 'notice'; text: string }
  | { kind: 'grade'; id: number; completions: GradedCompletion[] }
  | { kind: 'finished'; model: string }
  | { kind: 'stopped' }
  | { kind: 'failed'; error: CarriedError };

/** How a training ended. `crashed`: the process was killed, or ran out of memory. */
export type JobEnding =
  | Extract<FromChild, { kind: 'finished' | 'stopped' | 'failed' }>
  | { kind: 'crashed'; text: string };

/** A process that trains. */
export interface JobTrainer {
  /** How it ends. Never rejects. */
  ending: Promise<JobEnding>;
  /** Stops it after the current step, with a checkpoint. */
  stop(): void;
  /** Ends it at once. */
  kill(): void;
}

/** Milliseconds between looks at a run that another process still writes. */
const PAUSE = 200;

/** Starts the process once no other one writes the run: that of a killed server stops after its step. */
export function startTrainer(
  job: ChildJob,
  {
    onMessage,
    grade,
  }: { onMessage(message: FromChild): void; grade(completions: GradedCompletion[]): Promise<number[]> },
): JobTrainer {
  let child: ReturnType<typeof fork> | undefined;
  let stopping = false;
  const tell = (message: ToChild) => void (child?.connected && child.send(message));

  async function run(): Promise<JobEnding> {
    while (isWritten(job.folder) && !stopping) await wait(PAUSE);
    if (stopping) return { kind: 'stopped' };
    child = fork(fileURLToPath(new URL(`./train-child${extname(import.meta.url)}`, import.meta.url)), {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let printed = '';
    let ending: JobEnding | undefined;
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      printed = (printed + text).slice(-2000);
    });
    child.on('message', (message: FromChild) => {
      if (message.kind === 'grade') {
        const { id } = message;
        grade(message.completions).then(
          (scores) => tell({ kind: 'scores', id, scores }),
          (error: unknown) => tell({ kind: 'ungraded', id, error: carried(error) }),
        );
      } else if (message.kind === 'finished' || message.kind === 'stopped' || message.kind === 'failed')
        ending = message;
      else onMessage(message);
    });
    tell({ kind: 'train', job });
    try {
      const [code, signal] = await once(child, 'close');
      return ending ?? { kind: 'crashed', text: `it ended with ${signal ?? code}${printed && `: ${printed.trim()}`}` };
    } catch (error) {
      return { kind: 'crashed', text: messageOf(error) };
    }
  }

  return {
    ending: run(),
    stop() {
      stopping = true;
      tell({ kind: 'stop' });
    },
    kill() {
      stopping = true;
      child?.kill('SIGKILL');
    },
  };
}
