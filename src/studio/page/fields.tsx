/** Fields of forms, with their labels, and the buttons that turn pages. */
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';

interface InputAttributes {
  type?: 'text' | 'number' | 'date' | 'search';
  class?: string;
  min?: number;
  max?: number;
  step?: number | 'any';
  required?: boolean;
  maxLength?: number;
  placeholder?: string;
}

/** A field of one line. */
export function Field({
  label,
  value,
  set,
  type = 'text',
  ...attributes
}: InputAttributes & { label: ComponentChildren; value: string; set(value: string): void }) {
  // Preact's types have other attributes for each type of input
  const input = { ...attributes, type: type as 'text' };
  return (
    <label>
      {label} <input {...input} value={value} onInput={({ currentTarget }) => set(currentTarget.value)} />
    </label>
  );
}

/** A field of a number: `undefined` where it is empty. */
export function NumberField({
  label,
  value,
  set,
  ...attributes
}: InputAttributes & { label: ComponentChildren; value: number | undefined; set(value: number | undefined): void }) {
  const take = (text: string) => set(text === '' ? undefined : Number(text));
  return (
    <Field {...attributes} type="number" label={label} value={value === undefined ? '' : String(value)} set={take} />
  );
}

/** The field of a project's or a person's name. */
export const NameField = ({
  label = 'Name',
  ...field
}: {
  label?: string;
  value: string;
  set(value: string): void;
}) => <Field {...field} label={label} required maxLength={100} />;

/** A field to search by: it is set once somebody stops typing, with one request for several key presses. */
export function SearchField({ value, set, ...field }: Parameters<typeof Field>[0]) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    const timer = setTimeout(() => typed !== value && set(typed), 200);
    return () => clearTimeout(timer);
  }, [typed]);
  return <Field {...field} type="search" value={typed} set={setTyped} />;
}

interface SelectProps<T extends string> {
  label: ComponentChildren;
  value: T | undefined;
  /** The values, or what to call each. */
  options: readonly T[] | Readonly<Record<T, string>>;
  set(value: NoInfer<T>): void;
}

/** A choice of one value. */
export function Select<T extends string>({ label, value, options, set }: SelectProps<T>) {
  const named = Array.isArray(options) ? options.map((one) => [one, one]) : Object.entries(options);
  return (
    <label>
      {label}{' '}
      <select value={value} onChange={({ currentTarget }) => set(currentTarget.value as T)}>
        {named.map(([one, text]) => (
          <option key={one} value={one}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A box to tick. */
export function Tick({ label, checked, set }: { label: ComponentChildren; checked: boolean; set(on: boolean): void }) {
  return (
    <label class="tick">
      <input type="checkbox" checked={checked} onChange={({ currentTarget }) => set(currentTarget.checked)} />
      {label}
    </label>
  );
}

interface TicksProps<T extends string> {
  names: readonly T[];
  /** Those of the names that are ticked. */
  chosen: readonly T[];
  set(chosen: T[]): void;
  /** What stands beside the boxes: the names, if nothing else. */
  labels?: Readonly<Record<T, string>>;
}

/** A box to tick for each name. */
export function Ticks<T extends string>({ names, chosen, set, labels }: TicksProps<T>) {
  const put = (name: T) => (on: boolean) => set(on ? [...chosen, name] : chosen.filter((other) => other !== name));
  return (
    <>
      {names.map((name) => (
        <Tick key={name} label={labels?.[name] ?? name} checked={chosen.includes(name)} set={put(name)} />
      ))}
    </>
  );
}

interface PagesProps {
  /** The page, from 0. */
  page: number;
  /** How many there are; unknown where only the next one says whether it has anything. */
  pages: number;
  set(page: number): void;
  /** What the buttons say. */
  words?: readonly [back: string, on: string];
  /** What stands between them, instead of the page. */
  children?: ComponentChildren;
}

/** Buttons that turn pages; none where all is on one. */
export function Pages({ page, pages, set, words = ['Previous', 'Next'], children }: PagesProps) {
  if (pages <= 1) return null;
  return (
    <nav class="row pages" aria-label="Pages">
      <button type="button" disabled={page === 0} onClick={() => set(page - 1)}>
        {words[0]}
      </button>
      <span role="status">{children ?? `Page ${page + 1} of ${pages}`}</span>
      <button type="button" disabled={page + 1 >= pages} onClick={() => set(page + 1)}>
        {words[1]}
      </button>
    </nav>
  );
}
