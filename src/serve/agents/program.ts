/** Runs an agent's program once for a task, with limits, and ends it and what it started. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Row } from '../../data/row.ts';
import { HeedError, messageOf } from '../../error.ts';

/** What an agent is run with. */
export interface AgentRun {
  /** The task's row. */
  task: Row;
  /** Base URL of OpenAI's API, for this episode only. */
  baseUrl: string;
  /** The episode's id, for the header `heed-session`. */
  episode: string;
  /** Aborts when the episode takes too long, or training stops. */
  signal: AbortSignal;
}

/** How a program ended. */
export interface ProgramEnd {
  /** What it printed to stdout, the last 64 KiB. */
  output: string;
  /** Why it failed: its exit code or signal, and the end of what it printed to stderr. */
  failure?: string;
}

const LONGEST_OUTPUT = 2 ** 16;
/** Milliseconds between asking a program to end and killing it. */
const GRACE = 1000;

/**
 * The words of a command, as a shell splits them: at white space outside of quotes.
 *
 * @throws HeedError if a quote does not end, or there is no word.
 */
export function wordsOf(command: string): string[] {
  const words = [...command.matchAll(/(?:"([^"]*)"|'([^']*)'|[^\s"'])+/g)].map(([word]) =>
    word.replace(/"([^"]*)"|'([^']*)'/g, (_, double, single) => double ?? single),
  );
  const isOpen = /["']/.test(command.replace(/"[^"]*"|'[^']*'/g, ''));
  if (words.length > 0 && !isOpen) return words;
  throw new HeedError(`--agent: "${command}" is not a command${isOpen ? ': a quote does not end' : ''}.`, {
    hint: "For example: ./agent.js, or: 'python agent.py --question {question}'",
  });
}

/**
 * The program of a command for a task: `{column}` in a word stands for that column. A file of JavaScript or TypeScript
 * is run by Node.
 *
 * @throws HeedError if the task lacks a column.
 */
export function commandFor(words: readonly string[], task: Row): string[] {
  const filled = words.map((word) =>
    word.replace(/\{([A-Za-z_]\w*)\}/g, (_, column: string) => {
      if (!Object.hasOwn(task, column)) {
        throw new HeedError(`--agent: the task ${JSON.stringify(task).slice(0, 120)} has no column "${column}".`, {
          hint: `Its columns are ${Object.keys(task).join(', ')}.`,
        });
      }
      const value = task[column];
      return typeof value === 'string' ? value : JSON.stringify(value);
    }),
  );
  return /\.[cm]?[jt]s$/.test(filled[0]) && existsSync(filled[0]) ? [process.execPath, ...filled] : filled;
}

/** The environment variables of an agent: this process's, with the episode's endpoint as that of every OpenAI client. */
const variablesOf = ({ task, baseUrl, episode }: AgentRun): NodeJS.ProcessEnv => ({
  ...process.env,
  OPENAI_BASE_URL: baseUrl,
  OPENAI_API_BASE: baseUrl,
  OPENAI_API_KEY: episode,
  HEED_BASE_URL: baseUrl,
  HEED_EPISODE: episode,
  HEED_TASK: JSON.stringify(task),
  NO_PROXY: [process.env.NO_PROXY, '127.0.0.1'].filter(Boolean).join(','),
});

/**
 * Runs a program: its task is in its words, on stdin as a line of JSON, and in `HEED_TASK`. Rejects with the signal's
 * reason when it aborts, after the program and what it started have ended.
 *
 * @throws HeedError if it cannot be started.
 */
export async function runProgram(words: readonly string[], run: AgentRun): Promise<ProgramEnd> {
  const [file, ...args] = commandFor(words, run.task);
  run.signal.throwIfAborted();
  // a group of its own, which can be ended as a whole
  const child = spawn(file, args, { env: variablesOf(run), stdio: 'pipe', detached: process.platform !== 'win32' });
  let [output, complaint] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-LONGEST_OUTPUT);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  child.stdin.on('error', () => {}); // it need not read its task
  child.stdin.end(`${JSON.stringify(run.task)}\n`);
  let killing: NodeJS.Timeout | undefined;
  const stop = () => {
    end(child, 'SIGTERM');
    killing = setTimeout(() => end(child, 'SIGKILL'), GRACE);
  };
  run.signal.addEventListener('abort', stop, { once: true });
  try {
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once('error', (cause) =>
        reject(
          new HeedError(`The agent "${file}" cannot be started: ${messageOf(cause)}`, {
            hint: 'Is the path right, and is the file executable?',
            cause,
          }),
        ),
      );
      child.once('exit', (...ended) => {
        // what it printed last is on its way; what it left running may keep the pipes open
        const late = setTimeout(() => resolve(ended), 200);
        child.once('close', () => {
          clearTimeout(late);
          resolve(ended);
        });
      });
    });
    run.signal.throwIfAborted();
    if (code === 0) return { output };
    const how = signal === null ? `exited with ${code}` : `was ended by ${signal}`;
    return {
      output,
      failure: `the agent ${how}: ${complaint.trim().replace(/\s+/g, ' ').slice(-300) || 'it printed no error'}`,
    };
  } finally {
    run.signal.removeEventListener('abort', stop);
    clearTimeout(killing);
    end(child, 'SIGKILL'); // what it left running
    for (const pipe of [child.stdout, child.stderr]) pipe.destroy();
  }
}

/** Sends a signal to a program and to what it started. */
function end(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {
    // it has ended
  }
}
