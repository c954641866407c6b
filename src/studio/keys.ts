/** Keys of the labelling page: one hand is enough, and each can be changed. */
import { useEffect } from 'preact/hooks';

export const actions = {
  first: 'the left one is better',
  second: 'the right one is better',
  tie: 'equally good',
  'both-bad': 'both bad',
  unknown: 'cannot tell',
  skip: 'skip',
  undo: 'take back',
  guidelines: 'guidelines',
  reason: 'say why',
} as const;
export type Action = keyof typeof actions;
export type Bindings = Record<Action, string>;

const usual: Bindings = {
  first: '1',
  second: '2',
  tie: '3',
  'both-bad': '4',
  unknown: '5',
  skip: 's',
  undo: 'z',
  guidelines: 'g',
  reason: 'w',
};
/** Beside those that can be changed. */
const also: Record<string, Action> = { ArrowLeft: 'first', ArrowRight: 'second', ArrowDown: 'tie' };

const KEPT = 'heed keys';

export const bindings = (): Bindings => ({ ...usual, ...JSON.parse(localStorage.getItem(KEPT) ?? '{}') });
/** A key that another action has is taken from it: the two change places. */
export function bind(action: Action, key: string): void {
  const now = bindings();
  const other = (Object.keys(now) as Action[]).find((one) => now[one] === key);
  if (other) now[other] = now[action];
  localStorage.setItem(KEPT, JSON.stringify({ ...now, [action]: key }));
}

/** Calls what a key stands for, unless somebody is writing. */
export function useKeys(handle: (action: Action) => void): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const { target, key, ctrlKey, metaKey, altKey, repeat } = event;
      const writing = target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
      if (writing || ctrlKey || metaKey || altKey || repeat) return;
      const now = bindings();
      const action = (Object.keys(now) as Action[]).find((one) => now[one] === key.toLowerCase()) ?? also[key];
      if (!action) return;
      event.preventDefault();
      handle(action);
    };
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  });
}
