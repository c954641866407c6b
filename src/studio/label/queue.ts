/**
 * What one person answers: items fetched ahead, so that the next one is there at once, and votes that are sent in order and
 * kept until they have arrived, whatever the network does.
 */
import { type ApiError, type Assignment, api, pathOf, type Recorded, type Vote } from '../page/api.ts';

/** Items held at once: the one that is seen and those that come next. */
const AHEAD = 4;

/** Between looks for more where there is nothing to answer. */
const EMPTY_MILLISECONDS = 1500;

interface Sending {
  what: 'votes' | 'undo';
  body: { id: string; item: string; vote?: Vote; shown?: number[]; duration?: number };
}

interface QueueState {
  current: Assignment | undefined;
  /** Votes that have not arrived yet. */
  waiting: number;
  /** There is nothing more to ask. */
  empty: boolean;
  error: ApiError | undefined;
}

export interface Queue {
  state(): QueueState;
  /** Shows the next item at once; the promise is the vote's. */
  answer(vote: Vote): Promise<Recorded | undefined>;
  /** Takes the latest answer back and shows its item again. */
  undo(): void;
  canUndo(): boolean;
  /** Tries again after an error. */
  retry(): void;
}

/** `changed` is called whenever the state has. */
export function createQueue(project: string, changed: () => void): Queue {
  const path = pathOf(project);
  const kept = `heed votes ${project}`;
  let items: Assignment[] = [];
  const done: Assignment[] = [];
  const answered = new Set<string>();
  const sending: Sending[] = JSON.parse(localStorage.getItem(kept) ?? '[]');
  const told = new Map<string, (recorded: Recorded | undefined) => void>();
  let [empty, fetching, busy] = [false, false, false];
  let since = performance.now();
  let error: ApiError | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;
  const page = location.hash;

  const keep = () => localStorage.setItem(kept, JSON.stringify(sending));

  async function send(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      for (let next = sending[0]; next; next = sending[0]) {
        const recorded = await api<Recorded>(`${path}/${next.what}`, { body: next.body }).catch((failed: ApiError) => {
          // what the server will never take is not worth keeping; what it could not be asked is
          if (failed.status === 0 || failed.status >= 429 || failed.status === 401) throw failed;
          error = failed;
          return undefined;
        });
        sending.shift();
        keep();
        told.get(next.body.id)?.(recorded);
        told.delete(next.body.id);
        changed();
      }
    } catch (failed) {
      error = failed as ApiError;
      setTimeout(() => void send(), 3000);
    } finally {
      busy = false;
      changed();
    }
  }

  async function fetchMore(): Promise<void> {
    if (fetching || items.length >= AHEAD) return;
    fetching = true;
    try {
      const { assignments } = await api<{ assignments: Assignment[] }>(`${path}/next`, {
        body: { count: AHEAD + answered.size },
      });
      const fresh = assignments.filter(
        ({ item }) => !answered.has(item.id) && !items.some((one) => one.item.id === item.id),
      );
      if (items.length === 0) since = performance.now();
      items = [...items, ...fresh].slice(0, AHEAD);
      empty = items.length === 0 && sending.length === 0;
      error = undefined;
    } catch (failed) {
      error = failed as ApiError;
    } finally {
      fetching = false;
      changed();
      clearTimeout(again);
      // an agent that learns asks again; a page that was left does not
      if (items.length === 0) again = setTimeout(() => location.hash === page && fetchMore(), EMPTY_MILLISECONDS);
    }
  }

  function push(one: Sending): Promise<Recorded | undefined> {
    sending.push(one);
    keep();
    const arrived = new Promise<Recorded | undefined>((resolve) => told.set(one.body.id, resolve));
    void send().then(() => {
      if (sending.length === 0) answered.clear();
      return fetchMore();
    });
    return arrived;
  }

  void send().then(fetchMore);
  return {
    state: () => ({ current: items[0], waiting: sending.length, empty, error }),
    answer(vote) {
      const current = items.shift()!;
      done.push(current);
      answered.add(current.item.id);
      const duration = Math.round(performance.now() - since);
      since = performance.now();
      const { item, shown } = current;
      const arrived = push({ what: 'votes', body: { id: crypto.randomUUID(), item: item.id, vote, shown, duration } });
      changed();
      return arrived;
    },
    undo() {
      const last = done.pop();
      if (!last) return;
      items.unshift(last);
      empty = false;
      since = performance.now();
      void push({ what: 'undo', body: { id: crypto.randomUUID(), item: last.item.id } }).then(() =>
        answered.delete(last.item.id),
      );
      changed();
    },
    canUndo: () => done.length > 0,
    retry() {
      error = undefined;
      void send().then(fetchMore);
      changed();
    },
  };
}
