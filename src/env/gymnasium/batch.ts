/** Copies of an environment in Python processes, which step their shares in parallel. */

import { withCommas } from '../../commas.ts';
import { batchArrays, checkCount, type EnvironmentBatch } from '../batch/batch.ts';
import { EnvironmentFault } from '../batch/fault.ts';
import { type Box, type Space, sizeOf } from '../environment.ts';
import { PythonFault, type PythonProcess } from './process.ts';

/** A Python process, and which of its slots for environments are taken. */
export interface Worker {
  process: PythonProcess;
  taken: Set<number>;
}

/** What worker.py reports about the environment. */
export interface Described {
  id: string;
  observationSpace: Box;
  actionSpace: Space;
  maxEpisodeSteps: number;
  /** Bytes of an element of an observation: 1 for whole numbers of 0 … 255, 4 for float32. */
  bytes: number;
  /**
   * How many numbers at an observation's end are new in a step: all, or the newest of a stack of pictures. Earlier
   * pictures move up, and an episode begins with its first picture in every place.
   */
  news: number;
  /** Whether the environment has no time limit. */
  unlimited: boolean;
}

/** A batch whose copies live in Python. */
export interface GymnasiumBatch extends EnvironmentBatch {
  /** The current picture of a copy: height u32, width u32, RGB u8[height, width, 3]; valid until the next request. */
  picture(copy: number): DataView;
}

/** Steps of an episode after which a warning about the missing time limit is due. */
const LONG = 10_000;
/** Environments with that warning. */
const noticed = new Set<string>();

/** A copy's current episode so far: all that a new process needs to continue. */
interface Life {
  seed: number;
  actions: Float32Array;
  length: number;
}

/** What the copies of a batch share: their memory, their episodes and their warnings. */
function createCopies(described: Described, count: number) {
  const { id, observationSpace, actionSpace, maxEpisodeSteps, news } = described;
  const size = sizeOf(observationSpace);
  const actionSize = sizeOf(actionSpace);
  const memory = batchArrays(count, size);
  const { observations, finalObservations } = memory;
  const lives = new Array<Life | undefined>(count);
  let warned = false;
  /** The memory of answers, as an array of the observations' type. */
  let reply: Float32Array | Uint8Array | undefined;

  /** Copies the last `length` numbers of an observation from an answer. Returns where the next one begins. */
  function read(answer: DataView, at: number, into: Float32Array, copy: number, length = size): number {
    if (reply?.buffer !== answer.buffer) {
      reply = described.bytes === 1 ? new Uint8Array(answer.buffer) : new Float32Array(answer.buffer);
    }
    const from = (answer.byteOffset + at) / described.bytes;
    const to = (copy + 1) * size - length;
    if (length < 64) for (let i = 0; i < length; i++) into[to + i] = reply[from + i];
    else into.set(reply.subarray(from, from + length), to);
    return at + length * described.bytes;
  }

  return {
    id,
    news,
    size,
    actionSize,
    memory,
    lives,
    /** Whether the last step ended the copy and it has not restarted. */
    ended: new Uint8Array(count),
    read,
    /**
     * The same for the new numbers of a step. If an episode restarts, the ended one's earlier numbers go to its final
     * observation.
     */
    readNews(answer: DataView, at: number, copy: number, anew: boolean): number {
      const [start, end] = [copy * size, (copy + 1) * size];
      if (anew) finalObservations.set(observations.subarray(start + news, end), start);
      else observations.copyWithin(start, start + news, end);
      const after = read(answer, at, observations, copy, news);
      if (anew) for (let to = start; to < end - news; to += news) observations.copyWithin(to, end - news, end);
      return after;
    },
    begin(copy: number, seed: number): void {
      lives[copy] = { seed, actions: new Float32Array(Math.min(64, maxEpisodeSteps) * actionSize), length: 0 };
    },
    keep(life: Life, actions: Float32Array, at: number): void {
      const end = life.length * actionSize;
      if (end === life.actions.length) {
        const larger = new Float32Array(2 * end);
        larger.set(life.actions);
        life.actions = larger;
      }
      for (let i = 0; i < actionSize; i++) life.actions[end + i] = actions[at + i];
      life.length++;
      if (described.unlimited && life.length === LONG) warnOfLength(id, maxEpisodeSteps);
    },
    warnOfChance(): void {
      if (warned) return;
      warned = true;
      process.emitWarning(
        `${id} is not deterministic: after a restart of Python, the same seed and actions led to another state. Clips and resumed runs will differ`,
      );
    },
  };
}

type Copies = ReturnType<typeof createCopies>;

function warnOfLength(id: string, maxEpisodeSteps: number): void {
  if (noticed.has(id)) return;
  noticed.add(id);
  const join = id.includes('?') ? '&' : '?';
  process.emitWarning(
    `an episode of ${id} has ${withCommas(LONG)} steps and continues: it has no time limit but heed's, ${withCommas(maxEpisodeSteps)} steps. Set one: ${id}${join}max_episode_steps=500`,
    { code: 'HEED_LONG_EPISODE' },
  );
}

/** The places of copies in a process. */
interface Slots {
  taken: Set<number>;
  slots: number[];
  slotOf(copy: number): number;
}

/** Takes a free place in a process for each of its copies. */
function takeSlots({ taken }: Worker, copies: readonly number[]): Slots {
  const slots = copies.map(() => {
    let slot = 0;
    while (taken.has(slot)) slot++;
    taken.add(slot);
    return slot;
  });
  return { taken, slots, slotOf: (copy) => slots[copy - copies[0]] };
}

/** The request for a step of the copies that have not ended, whose memory is kept from step to step. */
function createStepRequest(copies: readonly number[], { slotOf }: Slots, { ended, actionSize }: Copies) {
  /** The copies that the last step acted in, and the memory of a request for this many. */
  let live: number[] = [];
  let request = requestOf([]);

  function requestOf(called: readonly number[]) {
    const n = called.length;
    const body = new ArrayBuffer(n * (12 + 4 * actionSize));
    new Uint32Array(body, 8 * n, n).set(called.map(slotOf));
    const [seeds, chosen] = [new Float64Array(body, 0, n), new Float32Array(body, 12 * n)];
    return { seeds, chosen, body: new Uint8Array(body) };
  }

  /** How many copies have not ended. Recomputes which ones if they differ from the last step's. */
  function countLive(): number {
    let n = 0;
    let same = true;
    for (const copy of copies) {
      if (ended[copy]) continue;
      if (live[n] !== copy) same = false;
      n++;
    }
    if (!same || n !== live.length) {
      live = copies.filter((copy) => !ended[copy]);
      request = requestOf(live);
    }
    return n;
  }

  return {
    /** The copies that the last request was for. */
    live: () => live,
    /** The request; undefined if all copies have ended. */
    write(actions: Float32Array, next: ArrayLike<number>): Uint8Array<ArrayBuffer> | undefined {
      const n = countLive();
      if (n === 0) return undefined;
      const { seeds, chosen, body } = request;
      for (let i = 0; i < n; i++) {
        const copy = live[i];
        seeds[i] = next[copy];
        for (let j = 0; j < actionSize; j++) chosen[i * actionSize + j] = actions[copy * actionSize + j];
      }
      return body;
    },
  };
}

/** The copies that one process steps. */
function createShare(worker: Worker, copies: readonly number[], all: Copies) {
  const { process } = worker;
  const { id, news, size, actionSize, lives, ended, read } = all;
  const { observations, finalObservations, rewards, terminated, truncated } = all.memory;
  const places = takeSlots(worker, copies);
  const { slots, slotOf, taken } = places;
  const request = createStepRequest(copies, places, all);

  const replay = (copy: number, { seed, actions, length }: Life): DataView => {
    const used = length * actionSize;
    const body = new ArrayBuffer(12 + 4 * used);
    new Float64Array(body, 0, 1)[0] = seed;
    new Uint32Array(body, 8, 1)[0] = slotOf(copy);
    new Float32Array(body, 12).set(actions.subarray(0, used));
    process.send('replay', new Uint8Array(body));
    return process.receive();
  };
  /** The answer about the copies; what an environment did wrong says which copy it was. */
  function receiveOf(called: readonly number[]): DataView {
    try {
      return process.receive();
    } catch (error) {
      if (!(error instanceof PythonFault)) throw error;
      const { did, thrown, copy, episodeStep } = error.fault;
      const fault = { environment: id, did, ...(thrown !== null && { thrown }), copy: called[copy], episodeStep };
      throw new EnvironmentFault(fault, error);
    }
  }
  const forget = process.onRestart(() => {
    for (const copy of copies) {
      const life = lives[copy];
      if (!life || ended[copy]) continue;
      const held = observations.slice(copy * size, (copy + 1) * size);
      read(replay(copy, life), 0, observations, copy);
      if (held.every((x, i) => x === observations[copy * size + i])) continue;
      all.warnOfChance();
    }
  });

  return {
    copies,
    process,
    slotOf,
    replay,
    sendReset(seeds: ArrayLike<number>) {
      const n = copies.length;
      const body = new ArrayBuffer(12 * n);
      new Float64Array(body, 0, n).set(copies.map((copy) => seeds[copy]));
      new Uint32Array(body, 8 * n, n).set(slots);
      process.send('reset', new Uint8Array(body));
    },
    receiveReset() {
      const answer = receiveOf(copies);
      let at = 0;
      for (const copy of copies) at = read(answer, at, observations, copy);
    },
    sendStep(actions: Float32Array, next: ArrayLike<number>) {
      const body = request.write(actions, next);
      if (body) process.send('step', body);
    },
    receiveStep(actions: Float32Array, next: ArrayLike<number>) {
      const live = request.live();
      const n = live.length;
      if (n === 0) return;
      const answer = receiveOf(live);
      let at = Math.ceil((10 * n) / 4) * 4;
      for (let i = 0; i < n; i++) {
        const copy = live[i];
        rewards[copy] = answer.getFloat64(8 * i, true);
        terminated[copy] = answer.getUint8(8 * n + i);
        truncated[copy] = answer.getUint8(9 * n + i);
        const anew = next[copy] >= 0 && (terminated[copy] === 1 || truncated[copy] === 1);
        at = news === size ? read(answer, at, observations, copy) : all.readNews(answer, at, copy, anew);
        all.keep(lives[copy]!, actions, copy * actionSize);
      }
      for (const copy of live) {
        if (!terminated[copy] && !truncated[copy]) continue;
        if (next[copy] >= 0) {
          at = read(answer, at, finalObservations, copy, news);
          all.begin(copy, next[copy]);
        } else {
          finalObservations.set(observations.subarray(copy * size, (copy + 1) * size), copy * size);
          ended[copy] = 1;
        }
      }
    },
    [Symbol.dispose]() {
      forget();
      if (process.released) return;
      process.send('close', new Uint8Array(Uint32Array.from(slots).buffer));
      process.receive();
      for (const slot of slots) taken.delete(slot);
    },
  };
}

/** Creates `count` copies, spread over the processes. */
export function createGymnasiumBatch(workers: readonly Worker[], described: Described, count: number): GymnasiumBatch {
  checkCount(count);
  const { id, observationSpace, actionSpace, maxEpisodeSteps } = described;
  const all = createCopies(described, count);
  const { actionSize, lives, ended, memory, read, begin } = all;
  const { observations, rewards, terminated, truncated } = memory;
  const end = (w: number) => Math.ceil((w * count) / workers.length);
  const shares = workers
    .map((worker, w) => createShare(worker, range(end(w), end(w + 1)), all))
    .filter(({ copies }) => copies.length > 0);
  const shareOf = (copy: number) => shares.find(({ copies }) => copies.includes(copy))!;

  return {
    id,
    count,
    observationSpace,
    actionSpace,
    maxEpisodeSteps,
    ...memory,
    reset(seeds) {
      lives.fill(undefined);
      for (const one of shares) one.sendReset(seeds);
      for (const one of shares) one.receiveReset();
      for (let copy = 0; copy < count; copy++) begin(copy, seeds[copy]);
      for (const flags of [rewards, terminated, truncated, ended]) flags.fill(0);
    },
    step(actions, next) {
      for (let copy = 0; copy < count; copy++) if (ended[copy]) rewards[copy] = 0;
      for (const one of shares) one.sendStep(actions, next);
      for (const one of shares) one.receiveStep(actions, next);
    },
    replay(copy, seed, actions) {
      lives[copy] = undefined;
      const life = { seed, actions: actions.slice(), length: actions.length / actionSize };
      read(shareOf(copy).replay(copy, life), 0, observations, copy);
      lives[copy] = life.length > 0 ? life : undefined;
      if (life.length === 0) begin(copy, seed);
      rewards[copy] = 0;
      terminated[copy] = 0;
      truncated[copy] = 0;
      ended[copy] = 0;
    },
    picture(copy) {
      const { process, slotOf } = shareOf(copy);
      process.send('frame', new Uint8Array(Uint32Array.of(slotOf(copy)).buffer));
      return process.receive();
    },
    [Symbol.dispose]() {
      for (const one of shares) one[Symbol.dispose]();
    },
  };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
