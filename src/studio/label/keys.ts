/** Keys of the labeling page: one hand is enough, and each can be changed. */
import { useLayoutEffect, useRef } from 'preact/hooks';

export const actions = {
  first: 'the left one is better, or good',
  second: 'the right one is better, or bad',
  tie: 'equally good',
  'both-bad': 'both bad',
  unknown: 'cannot tell',
  send: 'send',
  skip: 'skip',
  undo: 'take back',
  guidelines: 'guidelines',
  reason: 'say why',
  write: 'write a better one, or rate aspects',
  raw: 'text as it is, or formatted',
  keys: 'change these keys',
} as const;
export type Action = keyof typeof actions;
type Bindings = Record<Action, string>;

const usual: Bindings = {
  first: '1',
  second: '2',
  tie: '3',
  'both-bad': '4',
  unknown: '5',
  send: 'enter',
  skip: 's',
  undo: 'z',
  guidelines: 'g',
  reason: 'w',
  write: 'e',
  raw: 'r',
  keys: '?',
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
export const bindUsual = (): void => localStorage.removeItem(KEPT);

/**
 * Tells which key was pressed, and what it stands for, unless somebody is writing or a dialog is open. `handle` says whether
 * it did something; otherwise the browser does what it does.
 */
export function useKeys(handle: (action: Action | undefined, key: string) => boolean): void {
  // who types fast presses the next key before the page has settled: it meets what is shown by then
  const newest = useRef(handle);
  newest.current = handle;
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const { target, key, ctrlKey, metaKey, altKey, repeat, defaultPrevented } = event;
      if (defaultPrevented || ctrlKey || metaKey || altKey || repeat || isBusy(target, key)) return;
      const now = bindings();
      const pressed = key.toLowerCase();
      const action = (Object.keys(now) as Action[]).find((one) => now[one] === pressed) ?? also[key];
      if (newest.current(action, pressed)) event.preventDefault();
    };
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, []);
}

/** Whether the key belongs to what has the focus. */
function isBusy(target: EventTarget | null, key: string): boolean {
  if (document.querySelector('dialog[open]')) return true;
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement && target.type === 'radio') return key.startsWith('Arrow') || key === ' ';
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return true;
  return /^(BUTTON|A|SUMMARY)$/.test(target.tagName) && (key === 'Enter' || key === ' ');
}
