/**
 * The report of a run as one self-contained HTML page: no network, no fonts, no libraries. Charts are SVG made here; a
 * small script shows values under the pointer and plays clips. All text is escaped, data travels as JSON that cannot
 * end its element, and the Content-Security-Policy allows exactly this style sheet and this script.
 */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { writeFileAtomic } from '../files.ts';
import { type ClipsSection, drawComparison, type PackedComparison, packComparison } from './report/clips.ts';
import { type Diagram, drawDiagram } from './report/diagram.ts';
import { escaped, flowing, jsonBlock, readable } from './report/html.ts';
import { drawLines, type LineChart, lineClass, type Series, thinned } from './report/line-chart.ts';
import { drawScatter, type Scatter } from './report/scatter.ts';
import { script } from './report/script.ts';
import { style } from './report/style.ts';

/** Paragraphs of text. */
export interface Text {
  /** Tells this section from the others. */
  kind: 'text';
  /** Heading; none by default. */
  title?: string;
  /** Plain text; an empty line begins a new paragraph. */
  text: string;
}

/** A table of texts, numbers and links. */
export interface Table {
  /** Tells this section from the others. */
  kind: 'table';
  /** Heading. */
  title: string;
  /** Plain text below the table. */
  caption?: string;
  /** Heads of the columns. */
  columns: readonly string[];
  /** Cells by row, as many as there are columns. */
  rows: readonly (readonly (string | number | Link)[])[];
}

/** A link to a file in the report's folder or below. */
export interface Link {
  /** The text that is clicked. */
  text: string;
  /** Path from the report's folder, such as "sft/report.html". */
  path: string;
}

/** A section of a report. */
export type Section = Text | LineChart | Scatter | Table | ClipsSection | Diagram;

/** A report on one page: what `writeReport` makes HTML of. */
export interface Report {
  /** Title of the page. */
  title: string;
  /** What happened, in a sentence or two below the title. */
  lead?: string;
  /** A line below that: when and how it was made. */
  subtitle?: string;
  /** The few numbers that matter, shown large. */
  summary: readonly { label: string; value: string | number; note?: string }[];
  /** Sections in order; two charts share a row if there is room. */
  sections: readonly Section[];
  /** The run's options, shown folded at the end. */
  config?: Readonly<Record<string, unknown>>;
}

const PHONE = { width: 360, height: 250 };
const HALF = { width: 540, height: 310 };
const WIDE = { width: 1080, height: 380 };

/** The page as HTML text. */
export function renderReport(report: Report): string {
  const data: PageData = { charts: [], comparisons: [] };
  const sections = report.sections.map((section) => draw(section, data));
  const css = style() + shownPlots(report.sections);
  const policy = `default-src 'none'; style-src '${hash(css)}'; script-src '${hash(script)}'; img-src data:; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escaped(report.title)}</title>
<style>${css}</style>
</head>
<body>
<header>
<p class="mark"><svg viewBox="0 0 26 16" aria-hidden="true"><rect x="1" y="1" width="10" height="14" rx="2.5" fill="none" stroke="currentColor" stroke-width="1.5"/><rect x="15" y="1" width="10" height="14" rx="2.5" fill="currentColor"/></svg>heed</p>
<h1>${escaped(report.title)}</h1>
${report.lead ? `<p class="lead">${flowing(report.lead)}</p>` : ''}
${report.subtitle ? `<p class="subtitle">${escaped(report.subtitle)}</p>` : ''}
${summary(report.summary)}
</header>
<main>
${sections.join('\n')}
${report.config ? config(report.config) : ''}
</main>
<footer>Made by heed. This page is complete: it loads nothing.</footer>
<script type="application/json" id="data">${jsonBlock(data)}</script>
<script>${script}</script>
</body>
</html>
`;
}

/** The data that the page's script reads. */
interface PageData {
  charts: { xLabels: readonly string[]; series: Series[] }[];
  comparisons: PackedComparison[];
}

function draw(section: Section, data: PageData): string {
  switch (section.kind) {
    case 'text':
      return text(section);
    case 'table':
      return table(section);
    case 'clips':
      return clips(section, data);
    case 'lines':
      return lines(section, data);
    case 'scatter': {
      const plots = [PHONE, HALF].map(({ width, height }) => drawScatter(section, width, height));
      return figure(section, { class: 'scatter' }, '<div class="bar"></div>', plots);
    }
    case 'diagram': {
      const plots = [PHONE, HALF, WIDE].map(({ width }) => drawDiagram(section, width));
      return figure(section, { class: 'one-x wide' }, '', plots);
    }
  }
}

/** Writes the run's report.html atomically. Returns its path. */
export function writeReport(run: { folder: string }, report: Report): string {
  const path = join(run.folder, 'report.html');
  writeFileAtomic(path, renderReport(report));
  return path;
}

const hash = (content: string) => `sha256-${createHash('sha256').update(content).digest('base64')}`;

const caption = (tag: string, content?: string) =>
  content ? `<${tag}>${flowing(content)}</${tag.split(' ')[0]}>` : '';

function summary(figures: Report['summary']): string {
  if (figures.length === 0) return '';
  const items = figures.map(
    ({ label, value, note }) =>
      `<div><dt>${escaped(label)}</dt><dd class="value">${escaped(readable(value))}</dd>${caption('dd class="note"', note)}</div>`,
  );
  return `<dl class="summary">${items.join('')}</dl>`;
}

function text({ title, text: content }: Text): string {
  const paragraphs = content.split(/\n\s*\n/).map((paragraph) => `<p>${flowing(paragraph)}</p>`);
  return `<section class="wide">${caption('h2', title)}${paragraphs.join('')}</section>`;
}

function table({ title, caption: below, columns, rows }: Table): string {
  const kind = columns.map((_, i) => (rows.some((row) => typeof row[i] === 'number') ? ' class="number"' : ''));
  const head = columns.map((column, i) => `<th scope="col"${kind[i]}>${escaped(column)}</th>`).join('');
  const body = rows
    .map((row) => `<tr>${row.map((cell, i) => `<td${kind[i]}>${inCell(cell)}</td>`).join('')}</tr>`)
    .join('');
  const region = `role="region" tabindex="0" aria-label="${escaped(title)}"`;
  return `<section class="wide"><h2>${escaped(title)}</h2><div class="scroll" ${region}><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>${caption('p class="caption"', below)}</section>`;
}

function inCell(cell: string | number | Link): string {
  if (typeof cell !== 'object') return flowing(readable(cell));
  const href = cell.path.split(/[\\/]/).map(encodeURIComponent).join('/');
  return `<a href="./${escaped(href)}">${escaped(cell.text)}</a>`; // with ./ in front, no path looks like a URL scheme
}

function clips({ title, caption: below, comparisons, large }: ClipsSection, data: PageData): string {
  const pairs = comparisons.map((pair) => drawComparison(pair, data.comparisons.push(packComparison(pair)) - 1));
  return `<section class="wide"><h2>${escaped(title)}</h2>${caption('p class="caption"', below)}<div class="comparisons${large ? ' large' : ''}">${pairs.join('')}</div></section>`;
}

function figure(
  { title, caption: below }: { title: string; caption?: string },
  attributes: Record<string, string>,
  bar: string,
  plots: string[],
): string {
  const drawn = plots.join('') || '<p class="caption">There is nothing to show yet.</p>';
  const named = Object.entries(attributes).map(([name, value]) => ` ${name}="${value}"`);
  return `<figure${named.join('')}><h2>${escaped(title)}</h2>${bar}<div class="plots">${drawn}</div>${caption('figcaption', below)}</figure>`;
}

function lines(chart: LineChart, data: PageData): string {
  const { title, xLabels, wide } = chart;
  const series = thinned(chart);
  const index = data.charts.push({ xLabels, series }) - 1;
  const sizes = wide ? [PHONE, HALF, WIDE] : [PHONE, HALF];
  const plots = xLabels.flatMap((_, x) => sizes.map(({ width, height }) => drawLines(chart, series, x, width, height)));
  const swatch = (one: Series, i: number) =>
    `<svg viewBox="0 0 18 8" aria-hidden="true"><path class="${lineClass(one, i)}" d="M1 4H17"/></svg>`;
  const names = series.map((one, i) => `<li>${swatch(one, i)}${escaped(one.name)}</li>`).join('');
  const id = (x: number) => `chart${index}-x${x}`;
  // the inputs come before what they switch, so the style sheet needs no script
  const inputs = xLabels.map(
    (label, x) =>
      `<input type="radio" name="chart${index}" id="${id(x)}" class="pick${x}"${x ? '' : ' checked'} aria-label="${escaped(`${title}: by ${label}`)}">`,
  );
  const labels = xLabels.map((label, x) => `<label for="${id(x)}">${escaped(label)}</label>`).join('');
  const several = xLabels.length > 1;
  const legend = series.length > 1 ? `<ul class="legend">${names}</ul>` : '';
  const bar = `${several ? inputs.join('') : ''}<div class="bar">${legend}${several ? `<span class="choices">${labels}</span>` : ''}</div>`;
  const kind = `lines${wide ? ' wide' : ''}${several ? '' : ' one-x'}`;
  return figure(chart, { class: kind, 'data-chart': String(index) }, bar, plots);
}

/** Rules that show one drawing of each chart: by its width, and by the chosen x. */
function shownPlots(sections: readonly Section[]): string {
  const most = Math.max(1, ...sections.map((section) => (section.kind === 'lines' ? section.xLabels.length : 1)));
  const picked = Array.from({ length: most }, (_, i) => i);
  const seen = ({ width }: { width: number }) =>
    `:is(.scatter, .one-x) > .plots > .w${width}${picked.map((i) => `, .pick${i}:checked ~ .plots > .x${i}.w${width}`).join('')} { display: block; }`;
  const label = picked.map(
    (i) =>
      `.pick${i}:checked ~ .bar label:nth-child(${i + 1}) { background: var(--rule); color: var(--ink); } .pick${i}:focus-visible ~ .bar label:nth-child(${i + 1}) { outline: 2px solid var(--s0); }`,
  );
  return `${label.join('\n')}
@container (max-width: 430px) { ${seen(PHONE)} }
@container (min-width: 430.02px) and (max-width: 799.98px) { ${seen(HALF)} }
@container (min-width: 800px) { ${seen(WIDE)} }
`;
}

function config(options: Readonly<Record<string, unknown>>): string {
  const rows = flat(options).map(([name, value]) => `<tr><td>${escaped(name)}</td><td>${escaped(value)}</td></tr>`);
  return `<details><summary>Configuration</summary><div class="scroll"><table><tbody>${rows.join('')}</tbody></table></div></details>`;
}

function flat(value: unknown, name = ''): [name: string, value: string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return [[name, ['string', 'number'].includes(typeof value) ? String(value) : (JSON.stringify(value) ?? '')]];
  }
  return Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .flatMap(([key, inner]) => flat(inner, name ? `${name}.${key}` : key));
}
