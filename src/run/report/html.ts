import { withCommas } from '../../commas.ts';
/** Text escaped for HTML: between tags and in quoted attributes. */
export const escaped = (text: unknown): string =>
  String(text).replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** Text for a paragraph, a caption or a cell, escaped: no line ends between a number and what belongs to it. */
export const flowing = (text: unknown): string =>
  escaped(text)
    .replaceAll(' → ', '\u00a0→\u00a0')
    .replaceAll(/(\d) (?=%|s\b|min\b|h\b)/g, '$1\u00a0');

/** Data for a `<script type="application/json">`: no text in it can end the element. NaN and ±Infinity become null. */
export const jsonBlock = (data: unknown): string =>
  JSON.stringify(data).replaceAll(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** A number with four significant digits and a true minus sign; other values as text. */
export function readable(value: unknown): string {
  if (typeof value !== 'number') return String(value);
  if (Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  return digitsOf(value).replace('-', '−');
}

function digitsOf(value: number): string {
  if (Number.isInteger(value)) return withCommas(value);
  if (Math.abs(value) < 1e-4) return value.toExponential(2);
  return Number(value.toPrecision(4)).toLocaleString('en-US', { maximumFractionDigits: 8 });
}
