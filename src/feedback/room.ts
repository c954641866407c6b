/**
 * The teaching room: what people see of a training while they teach it. The training tells the room how it is doing;
 * the studio's server shows that to everybody in the room, and passes on what the owner asks for.
 */
import { z } from 'zod';

const count = z.number().int().min(0);

/** What the training does at the moment. */
export const roomPhases = ['exploring', 'practicing', 'waiting', 'paused', 'done', 'stopped', 'failed'] as const;
/** What the training does at the moment. */
export type RoomPhase = (typeof roomPhases)[number];

/** Checks a `RoomState`. */
export const roomStateSchema = z.object({
  phase: z
    .enum(roomPhases)
    .describe('waiting: nothing happens until somebody judges; exploring: at random, before the first items'),
  subject: z.enum(['agent', 'model']).describe('who is taught'),
  name: z.string().describe('the environment or the model'),
  step: count.describe('steps so far'),
  steps: count.describe('steps of the whole training'),
  wanted: count.describe('judgments of the whole training'),
  learned: count.describe('judgments that the training has received'),
  next: z
    .object({ labels: count, seconds: z.number().min(0) })
    .optional()
    .describe('the next round of items: how many, and in how many seconds at the measured pace'),
  secondsLeft: z.number().min(0).optional().describe('until the training ends, at the measured pace'),
  measure: z.string().describe('what the curve shows'),
  curve: z.array(z.object({ step: count, value: z.number() })).describe('measurements so far, by step'),
  numbers: z.record(z.string(), z.string()).describe('more measurements in words, by name'),
  lesson: z
    .object({
      step: count,
      pairs: z
        .array(z.object({ id: z.string(), choice: z.number(), before: z.number(), after: z.number().optional() }))
        .describe(
          'share of preference for the first option: the judgment’s, and the prediction before and after the fit',
        ),
    })
    .optional()
    .describe('what the latest fit changed about the latest judgments'),
  play: z
    .object({ id: count, step: count })
    .optional()
    .describe('the latest clip or texts, to be fetched on their own'),
  result: z
    .object({
      text: z.string().describe('the result in a sentence'),
      saved: z.string().describe('the folder of the run'),
      commands: z.array(z.object({ title: z.string(), command: z.string() })).describe('what to do with it'),
      more: count.describe('judgments that “keep teaching” adds; 0 if it cannot'),
    })
    .optional()
    .describe('once the training is over'),
  error: z.object({ message: z.string(), hint: z.string().optional() }).optional().describe('why the training failed'),
});
/** How a training is doing. */
export type RoomState = z.output<typeof roomStateSchema>;

/** Checks a `RoomPlay`. */
export const roomPlaySchema = z.object({
  id: count.describe('grows with every play'),
  step: count.describe('step of the training at which it was made'),
  frames: z.array(z.unknown()).describe('pictures of an agent'),
  framesPerSecond: z.number().describe('how many pictures are one second'),
  rewards: z.array(z.number()).describe('learned reward of the steps that led to the pictures'),
  caption: z.string().describe('the result in words'),
  texts: z
    .array(z.object({ prompt: z.string(), before: z.string(), now: z.string() }))
    .describe('completions of a model before training and now'),
});
/** The agent's or the model's latest work. */
export type RoomPlay = z.output<typeof roomPlaySchema>;

/** Checks a `RoomRequest`. */
export const roomRequestSchema = z.object({
  kind: z
    .enum(['pause', 'continue', 'more', 'close'])
    .describe('more: continue a finished training with more judgments; close: end the command after the training'),
});
/** What the owner asks of the training. */
export type RoomRequest = z.output<typeof roomRequestSchema>;

/** A room as the server holds it. */
export interface Room {
  /** Name of the project that the queries go to. */
  readonly project: string;
  /** Tells the items of this training from others in the project, as `createHumanTeacher` does. */
  readonly asker: string;
  /** How the training is doing. */
  readonly state: RoomState;
  /** The latest play, if there is one. */
  readonly play: RoomPlay | undefined;
  /** Changes the state. */
  update(changes: Partial<RoomState>): void;
  /** Replaces the play. */
  show(play: RoomPlay): void;
  /** Resolves at the next change, or after some milliseconds. */
  changed(milliseconds: number): Promise<void>;
  /** Passes a request on to the training. */
  request(request: RoomRequest): void;
  /** Counts a reader of the stream; the result ends it. */
  enter(): () => void;
}

/** Options of `createRoom`. */
export interface RoomOptions {
  /** Name of the project. */
  project: string;
  /** The `asker` of the teacher. */
  asker: string;
  /** The first state. */
  state: RoomState;
  /** Called with what the owner asks for. */
  onRequest(request: RoomRequest): void;
  /** Called with the number of open pages, whenever it changes. */
  onReaders?(readers: number): void;
}

/** Creates a room, for `startStudio`. */
export function createRoom({ project, asker, state: first, onRequest, onReaders = () => {} }: RoomOptions): Room {
  let state = first;
  let play: RoomPlay | undefined;
  let readers = 0;
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  return {
    project,
    asker,
    get state() {
      return state;
    },
    get play() {
      return play;
    },
    update(changes) {
      state = { ...state, ...changes };
      wake();
    },
    show(next) {
      play = next;
      state = { ...state, play: { id: next.id, step: next.step } };
      wake();
    },
    changed(milliseconds) {
      return new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          waiting.delete(done);
          resolve();
        };
        const timer = setTimeout(done, milliseconds);
        waiting.add(done);
      });
    },
    request: onRequest,
    enter() {
      readers += 1;
      onReaders(readers);
      let inside = true;
      return () => {
        if (!inside) return;
        inside = false;
        readers -= 1;
        onReaders(readers);
      };
    },
  };
}
