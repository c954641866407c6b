/** Keys of the labeling page. One hand is enough, and each key can be changed. */
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Words } from '../words/words.ts';

/** One of the things a key can do. */
export type KeyAction = keyof Words['actions'];
type Bindings = Record<KeyAction, string>;

const defaults: Bindings = {
  first: '1',
  second: '2',
  tie: '3',
  'both-bad': '4',
  unknown: '5',
  slightly: '6',
  clearly: '7',
  much: '8',
  send: 'enter',
  accept: 'a',
  skip: 's',
  undo: 'z',
  guidelines: 'g',
  reason: 'w',
  write: 'e',
  difference: 'd',
  critiques: 'c',
  raw: 'r',
  keys: '?',
};
/** Keys that always work, besides those that can be changed. */
const fixed: Record<string, KeyAction> = { ArrowLeft: 'first', ArrowRight: 'second', ArrowDown: 'tie' };

const STORAGE_KEY = 'heed keys';

/** The key of each action. */
export const bindings = (): Bindings => ({ ...defaults, ...JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '{}') });
/** Gives an action a key. If another action has the key, the two swap keys. */
export function bind(action: KeyAction, key: string): void {
  const keys = bindings();
  const other = (Object.keys(keys) as KeyAction[]).find((one) => keys[one] === key);
  if (other) keys[other] = keys[action];
  localStorage.setItem(STORAGE_KEY, JSON.stringify({ ...keys, [action]: key }));
}
/** Gives every action its default key. */
export const resetBindings = (): void => localStorage.removeItem(STORAGE_KEY);

/**
 * Calls `handle` with the action and name of each pressed key, unless somebody is writing or a dialog is open. If it
 * returns false, the browser handles the key.
 */
export function useKeys(handle: (action: KeyAction | undefined, key: string) => boolean): void {
  // a fast typist presses the next key before the effects have run: it must meet the newest handler
  const newest = useRef(handle);
  newest.current = handle;
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const { target, key, ctrlKey, metaKey, altKey, repeat, defaultPrevented } = event;
      if (defaultPrevented || ctrlKey || metaKey || altKey || repeat || isBusy(target, key)) return;
      const keys = bindings();
      const pressed = nameOf(event);
      const action = (Object.keys(keys) as KeyAction[]).find((one) => keys[one] === pressed) ?? fixed[key];
      if (newest.current(action, pressed)) event.preventDefault();
    };
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, []);
}

/**
 * The name of a pressed key: the sign it writes. Where that is no Latin letter or digit, as on Cyrillic keyboards and the
 * digits of French ones, the name that the key has on an English keyboard.
 */
export function nameOf({ key, code, shiftKey }: Pick<KeyboardEvent, 'key' | 'code' | 'shiftKey'>): string {
  const sign = key.toLowerCase();
  const [, place] = /^(?:Key|Digit|Numpad)([A-Z\d])$/.exec(code) ?? [];
  const isLatin = /^[a-z\d]$/.test(sign);
  return isLatin || shiftKey || place === undefined || key.length > 1 ? sign : place.toLowerCase();
}

/** Whether the key belongs to what has the focus. */
function isBusy(target: EventTarget | null, key: string): boolean {
  if (document.querySelector('dialog[open]')) return true;
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement && target.type === 'radio') return key.startsWith('Arrow') || key === ' ';
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return true;
  return /^(BUTTON|A|SUMMARY)$/.test(target.tagName) && (key === 'Enter' || key === ' ');
}
