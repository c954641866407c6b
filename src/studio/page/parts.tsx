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
  columns,
  rows,
  headAt = 0,
}: {
  label: string;
  people?: boolean;
  /** What stands above each column, if anything does. */
  columns?: readonly ComponentChildren[];
  rows: readonly (readonly ComponentChildren[])[];
  /** The column whose cells name their rows. */
  headAt?: number;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <section class={people ? 'wide people' : 'wide'} aria-label={label} tabIndex={0}>
      <table>
        {columns && (
          <thead>
            <tr>{columns.map((title) => (title ? <th scope="col">{title}</th> : <td />))}</tr>
          </thead>
        )}
        <tbody>
          {rows.map((cells) => (
            <tr>{cells.map((cell, at) => (at === headAt ? <th scope="row">{cell}</th> : <td>{cell}</td>))}</tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
