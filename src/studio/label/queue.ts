/**
 * One person's queue: items are fetched ahead, so that the next one is there at once, and judgments are sent in order.
 * They are kept in the browser until they have arrived, whatever the network does.
 */
import {
  type AssignedItem,
  inProject,
  type JudgmentOrSkip,
  type JudgmentReceipt,
  json,
  type Person,
  projectApi,
  type RefusedCall,
} from '../page/api.ts';
import { hasSeenCritiques } from './critiques.tsx';
import { draftOf } from './drafts.ts';
import { forgetDraft, keepWaiting, mayPassLater, type Outgoing, sendOutgoing, waitingIn } from './outbox.ts';

/** Items reserved at once: the one on the page and those that come next. */
const AHEAD = 4;

/** Milliseconds between checks for more items when there are none. */
const EMPTY_MILLISECONDS = 1500;

interface QueueState {
  current: AssignedItem | undefined;
  /** Judgments that have not arrived yet. */
  waiting: number;
  /** Whether there are no more items. */
  empty: boolean;
  /** The project's version of the guidelines, as far as this page knows; undefined before the first reply. */
  guidelines: number | undefined;
  error: RefusedCall | undefined;
}

export interface Queue {
  state(): QueueState;
  /**
   * Shows the next item at once. Resolves to the judgment's receipt, or undefined if the server refused it. `guidelines` is
   * the version that is on the screen.
   */
  judge(judgment: JudgmentOrSkip, guidelines: number): Promise<JudgmentReceipt | undefined>;
  /** Undoes the latest judgment and shows its item again, with what was written. Returns it. */
  undo(): JudgmentOrSkip | undefined;
  canUndo(): boolean;
  /** Tries again after an error. */
  retry(): void;
}

interface Faults {
  /** The studio cannot be reached, or cannot store anything now; gone with the next success. */
  trouble?: RefusedCall;
  /** The server refused a judgment; gone with the next judgment. */
  refused?: RefusedCall;
}

/** Sends a person's judgments in order, each until it has arrived. Those that an earlier page left behind come first. */
function createSender(person: Pick<Person, 'id'>, project: string, faults: Faults, onChange: () => void) {
  const outbox = waitingIn(person, project);
  const receivers = new Map<string, (receipt: JudgmentReceipt | undefined) => void>();
  let busy = false;

  async function send(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      for (let next = outbox[0]; next; next = outbox[0]) {
        const receipt = await sendOutgoing(project, next).catch((failure: RefusedCall) => {
          // requests that did not reach the server, or may pass later, stay; the others would be refused again
          if (mayPassLater(failure)) throw failure;
          faults.refused = failure;
          return undefined;
        });
        faults.trouble = undefined;
        outbox.shift();
        keepWaiting(person, project, outbox);
        // the words of a judgment that was refused stay: the item may come again
        if (receipt) forgetDraft(person, project, next, outbox);
        receivers.get(next.body.id)?.(receipt);
        receivers.delete(next.body.id);
        onChange();
      }
    } catch (failure) {
      faults.trouble = failure as RefusedCall;
      setTimeout(() => void send(), 3000);
    } finally {
      busy = false;
      onChange();
    }
  }

  return {
    outbox: outbox as readonly Outgoing[],
    send,
    /** Keeps what is to be sent; resolves to its receipt, once `send` has sent it. */
    push(next: Outgoing): Promise<JudgmentReceipt | undefined> {
      outbox.push(next);
      keepWaiting(person, project, outbox);
      return new Promise((resolve) => receivers.set(next.body.id, resolve));
    },
  };
}

/**
 * Creates the queue of a person in a project. `onChange` is called whenever its state has changed. What waits to be sent
 * is kept for this person alone: somebody else may sign in to the same browser meanwhile.
 */
export function createQueue(person: Pick<Person, 'id'>, project: string, onChange: () => void): Queue {
  const place = inProject(project);
  let items: AssignedItem[] = [];
  const done: { assigned: AssignedItem; judgment: JudgmentOrSkip }[] = [];
  const faults: Faults = {};
  const { outbox, send, push } = createSender(person, project, faults, onChange);
  /** Items that a reply may still hold though they are judged. */
  const judged = new Set<string>();
  for (const { what, body } of outbox) {
    if (what === 'judgments') judged.add(body.item);
    else judged.delete(body.item);
  }
  let [empty, fetching] = [false, false];
  let since = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let guidelines: number | undefined;
  const page = location.hash;

  async function fetchMore(): Promise<void> {
    if (fetching || items.length >= AHEAD) return;
    fetching = true;
    // what is judged from here on may still be in the reply, even if the judgment arrives before it
    if (outbox.length === 0) judged.clear();
    try {
      const reply = await json(projectApi.next.$post({ ...place, json: { count: AHEAD + judged.size } }));
      guidelines = reply.guidelines;
      const fresh = reply.assignments.filter(
        ({ item }) => !judged.has(item.id) && !items.some((one) => one.item.id === item.id),
      );
      if (items.length === 0) since = performance.now();
      items = [...items, ...fresh].slice(0, AHEAD);
      empty = items.length === 0 && outbox.length === 0;
      faults.trouble = undefined;
    } catch (failure) {
      faults.trouble = failure as RefusedCall;
    } finally {
      fetching = false;
      onChange();
      clearTimeout(timer);
      // a run that learns sends new items; a page that was left does not look for them
      if (items.length === 0 || faults.trouble)
        timer = setTimeout(() => location.hash === page && fetchMore(), EMPTY_MILLISECONDS);
    }
  }

  const update = () => void send().then(fetchMore);
  update();
  return {
    state: () => ({
      current: items[0],
      waiting: outbox.length,
      empty,
      guidelines,
      error: faults.refused ?? faults.trouble,
    }),
    judge(judgment, guidelines) {
      const current = items.shift()!;
      faults.refused = undefined;
      done.push({ assigned: current, judgment });
      judged.add(current.item.id);
      const duration = Math.round(performance.now() - since);
      since = performance.now();
      const { item, shown } = current;
      // once it was seen, an undone judgment is no longer made without it
      const suggested = current.suggestion !== undefined;
      const critiquesSeen = current.critiques && hasSeenCritiques(person, item.id);
      const seen = { suggested, ...(critiquesSeen !== undefined && { critiquesSeen }) };
      const body = { id: crypto.randomUUID(), item: item.id, judgment, shown, duration, guidelines, ...seen };
      const arrived = push({ what: 'judgments', body }).then((receipt) => {
        if (receipt?.suggestion) current.suggestion = receipt.suggestion;
        return receipt;
      });
      update();
      onChange();
      return arrived;
    },
    undo() {
      const last = done.pop();
      if (!last) return undefined;
      const { assigned, judgment } = last;
      items.unshift(assigned);
      draftOf(person, project, assigned.item.id).restore(judgment);
      empty = false;
      since = performance.now();
      void push({ what: 'undo', body: { id: crypto.randomUUID(), item: assigned.item.id } }).then(() =>
        judged.delete(assigned.item.id),
      );
      update();
      onChange();
      return judgment;
    },
    canUndo: () => done.length > 0,
    retry() {
      faults.refused = undefined;
      faults.trouble = undefined;
      update();
      onChange();
    },
  };
}
