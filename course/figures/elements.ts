/**
 * What the figures share: native inputs with labels. A figure is a function of the element it draws into. Its colors
 * are the CSS variables --a, --b, --ink and --line.
 */

/** Attributes by name. */
export type Attributes = Readonly<Record<string, string | number>>;

/** The colors of a figure, as CSS. */
export const colors = {
  a: 'var(--a, light-dark(#1f5f8b, #7cc0ee))',
  b: 'var(--b, light-dark(#b0480f, #f3a46b))',
  ink: 'var(--ink, currentColor)',
  quiet: 'color-mix(in srgb, var(--ink, currentColor) 60%, transparent)',
  line: 'var(--line, light-dark(#c9c5bd, #4a5057))',
} as const;

/** An element with attributes and children. */
export function html<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** An element of SVG with attributes and children. */
export function svg(name: string, attributes: Attributes = {}, ...children: (Node | string)[]): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** A row for inputs, which wraps on a narrow page. */
export function row(root: HTMLElement, ...children: Node[]): HTMLElement {
  const element = html(
    'div',
    { style: 'display: flex; flex-wrap: wrap; gap: 0.5rem 1.5rem; margin: 0.5rem 0' },
    ...children,
  );
  root.append(element);
  return element;
}

let ids = 0;

/** A range with its label and value. `value()` is its number. */
export function slider(
  label: string,
  { min, max, step, value }: { min: number; max: number; step: number; value: number },
  onInput: () => void,
): { element: HTMLElement; value(): number } {
  const id = `heed-figure-${++ids}`;
  const input = html('input', { type: 'range', id, min, max, step, value, style: 'width: 11rem; max-width: 100%' });
  const shown = html('output', { for: id, style: 'font-variant-numeric: tabular-nums' }, String(value));
  input.addEventListener('input', () => {
    shown.textContent = input.value;
    onInput();
  });
  const text = html('span', { style: 'display: block' }, `${label}: `, shown);
  return { element: html('label', { for: id }, text, input), value: () => Number(input.value) };
}

/** A choice of one of several, `first` at the start. `value()` is the index of what is chosen. */
export function choice(
  legend: string,
  names: readonly string[],
  onInput: () => void,
  first = 0,
): { element: HTMLElement; value(): number } {
  const group = `heed-figure-${++ids}`;
  const inputs = names.map((_, i) =>
    html('input', { type: 'radio', name: group, value: i, ...(i === first && { checked: '' }) }),
  );
  const labels = names.map((name, i) =>
    html('label', { style: 'display: inline-block; margin-right: 1rem' }, inputs[i], ` ${name}`),
  );
  for (const input of inputs) input.addEventListener('input', onInput);
  const element = html(
    'fieldset',
    { style: 'border: 0; padding: 0; margin: 0; min-width: 0' },
    html('legend', { style: 'padding: 0' }, legend),
    ...labels,
  );
  return { element, value: () => inputs.findIndex((input) => input.checked) };
}

/** A button. */
export function button(label: string, onClick: () => void): HTMLButtonElement {
  const border = `border: 1px solid ${colors.line}; border-radius: 0.4rem`;
  const style = `${border}; font: inherit; color: inherit; background: none; padding: 0.3rem 0.8rem; cursor: pointer`;
  const element = html('button', { type: 'button', style }, label);
  element.addEventListener('click', onClick);
  return element;
}

/** A place for sentences that a screen reader reads when they change. */
export function sentence(root: HTMLElement): (...parts: string[]) => void {
  const element = html('p', { 'aria-live': 'polite', style: 'min-height: 3em; margin: 0.5rem 0' });
  root.append(element);
  return (...parts) => {
    element.textContent = parts.join(' ');
  };
}
