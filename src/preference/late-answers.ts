/**
 * Questions to a teacher who answers when they come to it, as people do: training goes on meanwhile with the reward there
 * is, and learns of answers as they come (Christiano et al. 2017, §2.2). It waits only for the first answers, and where
 * it would run far ahead of a teacher who is there.
 */
import { z } from 'zod';
import { HeedError } from '../error.ts';
import type { Choice } from './comparison.ts';
import { ask, type Question, type Standing, type Teacher } from './teacher.ts';

/** How a training gets on with people who answer it. */
export const peopleSchema = z.object({
  patience: z
    .number()
    .min(0)
    .default(300)
    .describe('seconds without any answer after which training waits no longer for those that are due'),
  ahead: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe('share of the steps that training goes on while a question waits, before it waits for the answer'),
  store: z
    .string()
    .optional()
    .describe("file of the store, or a postgres:// address (default: feedback.db in the run's folder)"),
  project: z.string().optional().describe("name of the questions' project (default: what is trained)"),
  guidelines: z.string().describe('what people are told to go by'),
});

/** A question that was put. */
interface LateQuestion {
  readonly id: string;
  /** The training's, when it was put. */
  readonly step: number;
}

/** How far a training is. */
interface LateProgress {
  step: number;
  /** Answers learned so far. */
  labels: number;
  /** Whether there is a reward to go on with. */
  fitted: boolean;
}

interface Heard<Q> {
  /** What was said since the last call, in the order of the questions. */
  answered: readonly (Q & { choice: Choice })[];
  /** What of what was learned earlier is said otherwise now, by the questions' ids. */
  changed: ReadonlyMap<string, Standing>;
}

interface LateAnswers<Q extends LateQuestion> {
  /** How many questions have no answer. */
  readonly waiting: number;
  /** Questions of which nothing was learned yet, answered or not: what is asked again after a resumption. */
  readonly open: readonly Q[];
  /** Puts questions to the teacher. */
  ask(questions: readonly Q[]): void;
  /**
   * What was said since the last call; for what was skipped others are asked. `learned` is what was learned of earlier answers.
   * Rejects with the signal's reason, and then keeps what was said for the next call.
   *
   * @throws HeedError where all labels are given and none says which option is better, or what the teacher threw.
   */
  hear(progress: LateProgress, learned: ReadonlyMap<string, Standing>, signal?: AbortSignal): Promise<Heard<Q>>;
  /** Listens no more. */
  stop(): void;
}

interface LateOptions<Q, Option> {
  /** Answers in all. */
  labels: number;
  /** Of the training. */
  steps: number;
  people: Pick<z.output<typeof peopleSchema>, 'patience' | 'ahead'>;
  optionsOf(question: Q): Question<Option>['options'];
  /** Questions in place of so many that were skipped. */
  others(count: number): readonly Q[];
}

/** Answers that are waited for before the first fit, where the first round asks for so many. */
const FIRST_ANSWERS = 10;
/** The longest that a timer waits, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

export function createLateAnswers<Q extends LateQuestion, Option>(
  teacher: Teacher<Option>,
  { labels, steps, people, optionsOf, others }: LateOptions<Q, Option>,
): LateAnswers<Q> {
  const stopping = new AbortController();
  const open = new Map<string, { question: Q; choice?: Choice | 'skip' }>();
  let failed: { error: unknown } | undefined;
  /** Whether answers that are due are waited for: not once the teacher has gone, until they say something again. */
  let present = true;
  let told = () => {};
  let news = false;

  function tell(): void {
    news = true;
    told();
  }

  function say(id: string, choice: Choice | 'skip'): void {
    const asked = open.get(id);
    if (!asked || asked.choice) return;
    asked.choice = choice;
    tell();
  }

  /** Tells of what is skipped, too, which `ask` passes over. */
  const heard: Teacher<Option> = {
    name: teacher.name,
    async *answer(questions, signal) {
      for await (const answer of teacher.answer(questions, signal)) {
        if (answer.choice === 'skip') say(answer.id, 'skip');
        yield answer;
      }
    },
  };

  async function listen(questions: readonly Q[]): Promise<void> {
    const put = questions.map((question) => ({ id: question.id, options: optionsOf(question) }));
    try {
      for await (const { id, choice } of ask(heard, put, stopping.signal)) say(id, choice);
      // of the others the teacher has no more to say
      if (!stopping.signal.aborted) for (const { id } of questions) say(id, 'skip');
    } catch (error) {
      failed = { error };
      tell();
    }
  }

  function put(questions: readonly Q[]): void {
    for (const question of questions) open.set(question.id, { question });
    if (questions.length > 0) void listen(questions);
  }

  const answers = (): (Q & { choice: Choice })[] =>
    [...open.values()].flatMap(({ question, choice }) =>
      choice === undefined || choice === 'skip' ? [] : [{ ...question, choice }],
    );
  const waiting = () => [...open.values()].filter(({ choice }) => choice === undefined);

  function takeSkipped(): number {
    const skipped = [...open].filter(([, { choice }]) => choice === 'skip');
    for (const [id] of skipped) open.delete(id);
    return skipped.length;
  }

  /** Until the teacher says something, or so many seconds have passed. */
  async function wait(seconds: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      told = resolve;
      if (news) return resolve();
      timer = setTimeout(told, Math.min(1000 * seconds, LONGEST));
      signal?.addEventListener('abort', told);
    });
    clearTimeout(timer);
    signal?.removeEventListener('abort', told);
    news = false;
    signal?.throwIfAborted();
  }

  /** All that was said, once there is enough of it to go on with. */
  async function enough(progress: LateProgress, signal: AbortSignal | undefined) {
    let since = performance.now();
    for (let known = 0; ; ) {
      if (failed) throw failed.error;
      const skipped = takeSkipped();
      if (skipped > 0) put(others(skipped));
      const said = answers();
      if (said.length + skipped > known) {
        since = performance.now();
        present = true;
      }
      known = said.length;
      const oldest = waiting()[0]?.question;
      const decided = progress.fitted || said.some(({ choice }) => choice !== 'incomparable');
      const left = people.patience - (performance.now() - since) / 1000;
      if (left <= 0) present = false;
      const due =
        oldest && (progress.fitted ? progress.step - oldest.step > people.ahead * steps : known < FIRST_ANSWERS);
      if (!oldest && !decided && labels > 0 && progress.labels + known >= labels) throw nothingToLearnFrom(labels);
      // without a first answer there is nothing to go on with
      if (!oldest || (decided && !(due && present))) return said;
      await wait(decided ? left : Number.POSITIVE_INFINITY, signal);
    }
  }

  return {
    get waiting() {
      return waiting().length;
    },
    get open() {
      return [...open.values()].map(({ question }) => question);
    },
    ask: put,
    async hear(progress, learned, signal) {
      const answered = await enough(progress, signal);
      const known = new Map([...learned, ...answered.map(({ id, choice }) => [id, choice] as const)]);
      const changed = (known.size > 0 && (await teacher.changed?.(known))) || new Map<string, Standing>();
      for (const { id } of answered) open.delete(id);
      return { answered, changed };
    },
    stop: () => stopping.abort(),
  };
}

const nothingToLearnFrom = (labels: number) =>
  new HeedError(`none of the ${labels} answers says which option is better, so there is nothing to learn from`, {
    hint: 'start again, and choose the one that is more like what is to be learned',
  });
