/** Parts that several views have alike. */
import type { ComponentChildren } from 'preact';

/** A secret that is shown once, with a button that copies it. */
export function ShownOnce({ label, text, children }: { label: string; text: string; children: ComponentChildren }) {
  return (
    <section class="prompt" aria-label={label}>
      <p>{children}</p>
      <p class="text">
        <code>{text}</code>
      </p>
      <button type="button" onClick={() => void navigator.clipboard.writeText(text)}>
        Copy
      </button>
    </section>
  );
}

/** A table that scrolls sideways where the page is narrow. */
export function WideTable({
  label,
  people,
  children,
}: {
  label: string;
  people?: boolean;
  children: ComponentChildren;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <section class={people ? 'wide people' : 'wide'} aria-label={label} tabIndex={0}>
      <table>{children}</table>
    </section>
  );
}

/** The field of a new name. */
export function NameField({ value, set }: { value: string; set(value: string): void }) {
  return (
    <label>
      Name
      <input value={value} required maxLength={100} onInput={(event) => set(event.currentTarget.value)} />
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

/** A check box for each name. */
export function Ticks<T extends string>({ names, chosen, set, labels }: TicksProps<T>) {
  return (
    <>
      {names.map((name) => (
        <label key={name} class="tick">
          <input
            type="checkbox"
            checked={chosen.includes(name)}
            onChange={({ currentTarget: { checked } }) =>
              set(checked ? [...chosen, name] : chosen.filter((other) => other !== name))
            }
          />
          {labels?.[name] ?? name}
        </label>
      ))}
    </>
  );
}
