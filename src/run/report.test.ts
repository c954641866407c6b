import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { Frame } from '../env/environment.ts';
import { HeedError } from '../error.ts';
import { domainOf, tickLabels, ticksOf, valueDomain } from './report/axes.ts';
import { packComparison } from './report/clips.ts';
import { type LineChart, thinned } from './report/line-chart.ts';
import { type Report, renderReport, writeReport } from './report.ts';

const frame = (x: number, color = '#123'): Frame => ({
  width: 600,
  height: 400,
  shapes: [
    { kind: 'line', points: [0, 300, 600, 300], stroke: '#000', width: 2 },
    { kind: 'polygon', points: [x, 0, x + 10, 0, x, 10.123456789], fill: color },
    { kind: 'circle', x: 5, y: 5, radius: 3, fill: color },
  ],
});

/** A report with `text` wherever a text can stand. */
const withText = (text: string): Report => ({
  title: text,
  lead: text,
  subtitle: text,
  summary: [{ label: text, value: text, note: text }],
  sections: [
    { kind: 'text', title: text, text },
    {
      kind: 'diagram',
      title: text,
      caption: text,
      lanes: [
        {
          name: text,
          boxes: [
            { label: text, note: text.slice(0, 8), isMain: true }, // one line of any text
            { label: text, icon: 'pair' },
            { label: text, arrow: text, icon: 'choice' },
          ],
          back: { to: 0, label: text },
        },
        { name: text, boxes: [{ label: text }] },
      ],
    },
    {
      kind: 'lines',
      wide: true,
      title: text,
      caption: text,
      xLabels: [text, text],
      yLabel: text,
      series: [
        {
          name: text,
          x: [
            [1, 2, 3],
            [10, 20, 30],
          ],
          y: [1, Number.NaN, 3],
          band: { low: [0, 1, 2], high: [2, 3, 4] },
        },
        { name: text, x: [[1], [10]], y: [2] },
      ],
      levels: [{ y: 2.5, label: text }],
    },
    {
      kind: 'scatter',
      title: text,
      caption: text,
      xLabel: text,
      yLabel: text,
      points: { x: [1, 2], y: [3, 5] },
      fit: true,
    },
    { kind: 'table', title: text, caption: text, columns: [text, 'n'], rows: [[{ text, path: text }, -1.5]] },
    {
      kind: 'clips',
      title: text,
      caption: text,
      comparisons: [
        { first: [frame(1), frame(2)], second: [frame(3, text)], choice: [1, 0], framesPerSecond: 30, caption: text },
        { first: [], second: [], choice: 'incomparable', framesPerSecond: 30 },
      ],
    },
  ],
  config: { [text]: text, deep: { list: [text] } },
});

const between = (html: string, begin: string, end: string) => html.split(begin)[1].split(end)[0];

describe('renderReport', () => {
  const evil = `</script><img src=x onerror=alert(1)>"'&<!--<script></style></title>\u2028`;
  const html = renderReport(withText(evil));
  const harmless = renderReport(withText('harmless'));

  it('lets no text become markup', () => {
    // the same elements with the same attributes, whatever the text
    const tags = (page: string) =>
      Array.from(
        page.replaceAll(/(<script[^>]*>).*?(<\/script>)/gs, '$1$2').matchAll(/<(?:"[^"]*"|[^">])*>/g),
        ([tag]) => tag.replaceAll(/"[^"]*"/g, '""'),
      );
    expect(tags(html)).toEqual(tags(harmless));
    expect(html).not.toContain('<img');
    const data = between(html, 'id="data">', '</script>');
    const { charts, comparisons } = JSON.parse(data);
    expect(charts[0].series[0].name).toBe(evil);
    expect(comparisons[0].clips[1].shapes[1].fill).toBe(evil);
    expect(data).not.toMatch(/[<>&\u2028]/);
  });

  it('loads nothing from outside and has no inline styles or handlers, which its policy forbids', () => {
    expect(harmless.replaceAll('<a href="./', '')).not.toMatch(
      /(src|href|action|srcset)=|@import|url\(|https?:\/\/(?!www\.w3\.org\/2000\/svg)/,
    );
    expect(harmless).not.toMatch(/<[^>]*\sstyle=/);
  });

  it('leads nowhere but to files beside it or below', () => {
    const table = (path: string) =>
      renderReport({
        title: '',
        summary: [],
        sections: [{ kind: 'table', title: '', columns: [''], rows: [[{ text: 'there', path }]] }],
      });
    expect(table('stage/report.html')).toContain('<td><a href="./stage/report.html">there</a></td>');
    expect(table('javascript:alert(1)')).toContain('href="./javascript%3Aalert(1)"');
  });

  it('has a policy that allows exactly its own style and script', () => {
    const policy = between(harmless, 'Content-Security-Policy" content="', '">');
    const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
    expect(policy).toBe(
      `default-src 'none'; style-src ${hash(between(harmless, '<style>', '</style>'))}; script-src ${hash(between(harmless, '<script>', '</script>'))}; img-src data:; base-uri 'none'; form-action 'none'`,
    );
    expect(policy).not.toContain('unsafe');
    new Script(between(harmless, '<script>', '</script>')); // parses
  });

  it('closes every element it opens', () => {
    const open: string[] = [];
    const body = harmless.replaceAll(/<script[^>]*>.*?<\/script>|<style>.*?<\/style>|<!doctype html>/gs, '');
    for (const [, end, name, self] of body.matchAll(/<(\/?)([a-z0-9]+)(?:"[^"]*"|[^">])*?(\/?)>/g)) {
      if (end) expect(open.pop()).toBe(name);
      else if (!self && !['meta', 'input', 'br'].includes(name)) open.push(name);
    }
    expect(open).toEqual([]);
  });

  it('names every picture and every control', () => {
    for (const [tag] of harmless.matchAll(/<(svg|canvas|button|input)\b[^>]*>/g)) {
      expect(tag).toMatch(/aria-label="[^"]+"|aria-hidden="true"/);
    }
    expect(harmless).toContain('prefers-reduced-motion');
    expect(harmless).toContain('harmless: first 1, last 3, from 1 to 3.');
    const ids = Array.from(harmless.matchAll(/\sid="([^"]+)"/g), ([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('draws one plot for each size and each x, and gaps where a value is missing', () => {
    const plots = Array.from(harmless.matchAll(/<svg class="plot w(\d+) x(\d)"/g), ([, w, x]) => `${w}/${x}`);
    expect(plots).toEqual(['360/0', '540/0', '1080/0', '360/1', '540/1', '1080/1', '360/0', '540/0']);
    expect(harmless).not.toMatch(/NaN|Infinity|undefined/);
    expect(harmless).toMatch(/class="line s0" d="M[\d. ]+h0M[\d. ]+h0"/);
  });

  it('draws a diagram across and downward, inside of its picture, and says it in words', () => {
    const boxes = ['Policy', 'Clips', 'Judgments'].map((label, i) => ({
      label,
      note: 'a note of some words',
      arrow: `step-${i}`,
    }));
    const page = renderReport({
      title: '',
      summary: [],
      sections: [{ kind: 'diagram', title: 'How', lanes: [{ name: 'Agent', boxes, back: { to: 1, label: 'train' } }] }],
    });
    const drawings = Array.from(
      page.matchAll(/<svg class="plot diagram w(\d+)" viewBox="0 0 (\d+) ([\d.]+)".*?<\/svg>/gs),
    );
    expect(drawings.map(([, width]) => width)).toEqual(['360', '540', '1080']);
    for (const [drawing, , width, height] of drawings) {
      const rects = Array.from(
        drawing.matchAll(/<rect class="box" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/g),
        (found) => found.slice(1).map(Number),
      );
      expect(rects).toHaveLength(3);
      for (const [x, y, w, h] of rects) {
        expect(x + w).toBeLessThanOrEqual(Number(width));
        expect(y + h).toBeLessThanOrEqual(Number(height));
      }
      expect(drawing).toContain('then by step-2 Judgments (a note of some words), then by train back to Clips.');
      expect(drawing).not.toMatch(/NaN|undefined/);
    }
  });

  it('keeps the text of a box inside of it, and that of an arrow between two', () => {
    const boxes = [
      { label: 'Judgments', note: `in ${'x'.repeat(200)}` },
      { label: 'Policy', arrow: 'stage'.repeat(9) },
    ];
    const page = renderReport({
      title: '',
      summary: [],
      sections: [{ kind: 'diagram', title: 'How', lanes: [{ name: 'Agent', boxes }] }],
    });
    const [across] = page.match(/<svg class="plot diagram w1080".*?<\/svg>/s)!;
    const texts = Array.from(across.matchAll(/<text[^>]*>([^<]*)/g), ([, text]) => text);
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThan(40);
    expect(texts.join('').match(/x/g)).toHaveLength(200);
    expect(texts).toContainEqual(expect.stringMatching(/^stagestages.*…$/));
  });

  it('breaks no line between a number and what belongs to it', () => {
    const page = renderReport({
      title: '',
      lead: 'It rose to 99.9 % in 9 min 27 s.',
      summary: [{ label: 'Time', value: '9 min 27 s' }],
      sections: [{ kind: 'table', title: '', columns: [''], rows: [['0.5 → 1.5']] }],
    });
    expect(page).toContain('rose to 99.9\u00a0% in 9\u00a0min 27\u00a0s.');
    expect(page).toContain('<td>0.5\u00a0→\u00a01.5</td>');
    expect(between(page, '\n.value {', '}')).toContain('white-space: nowrap');
  });

  it('draws lines of one color, whole and dashed, and says so in the legend', () => {
    const line = { x: [[0, 1]], y: [0, 1], color: 2 };
    const series = [
      { name: 'a', ...line },
      { name: 'b', ...line, dashed: true },
    ];
    const page = renderReport({
      title: '',
      summary: [],
      sections: [{ kind: 'lines', title: 't', xLabels: ['step'], yLabel: 'y', series }],
    });
    expect(page.match(/class="line s2" d="[^"]*"/g)).toHaveLength(3);
    expect(page.match(/class="line s2 dashed" d="[^"]*"/g)).toHaveLength(3);
  });

  it('stands empty input, constant values and values that are no numbers', () => {
    const lines = (y: number[]): LineChart => ({
      kind: 'lines',
      title: 't',
      xLabels: ['step'],
      yLabel: 'y',
      series: [{ name: 'a', x: [y.map((_, i) => i)], y }],
    });
    const scatter = { kind: 'scatter' as const, title: 't', xLabel: 'x', yLabel: 'y', points: { x: [], y: [] } };
    for (const y of [[], [Number.NaN], [3], [5, 5], [0, 0], [Infinity, 1, 2], [1e-9, 2e-9], [1e300, -1e300]]) {
      const page = renderReport({ title: '', summary: [], sections: [lines(y), scatter] });
      expect(between(page, '<main>', '</main>')).not.toMatch(/NaN|Infinity|undefined/);
    }
    expect(renderReport({ title: '', summary: [], sections: [lines([])] })).toContain('nothing to show yet');
    const wrong = { ...lines([1, 2]), series: [{ name: 'a', x: [[1]], y: [1, 2] }] };
    expect(() => renderReport({ title: '', summary: [], sections: [wrong] })).toThrow(HeedError);
  });
});

describe('the parts of a report', () => {
  it('thins long series and keeps their extremes, ends and gaps', () => {
    const y = Float32Array.from({ length: 100_000 }, (_, i) => Math.sin(i / 5000));
    y[54_321] = 9;
    y[12_345] = -9;
    y.fill(Number.NaN, 70_000, 72_000);
    const x = Float32Array.from(y, (_, i) => i);
    const [thin] = thinned({ kind: 'lines', title: '', xLabels: [''], yLabel: '', series: [{ name: '', x: [x], y }] });
    const values = Array.from(thin.y);
    expect(values.length).toBeLessThanOrEqual(800);
    expect(Math.max(...values.filter(Number.isFinite))).toBe(9);
    expect(Math.min(...values.filter(Number.isFinite))).toBe(-9);
    expect(values.some(Number.isNaN)).toBe(true);
    expect([thin.x[0][0], thin.x[0][values.length - 1]]).toEqual([0, 99_999]);
  });

  it('ticks at round values, labeled in one unit with the decimals they need', () => {
    const labels = (low: number, high: number) => tickLabels(ticksOf({ low, high }, 5));
    expect(labels(0, 500)).toEqual(['0', '100', '200', '300', '400', '500']);
    expect(labels(-1, 1)).toEqual(['−1.0', '−0.5', '0', '0.5', '1.0']);
    expect(labels(0, 100_000)).toEqual(['0', '20k', '40k', '60k', '80k', '100k']);
    expect(labels(1_000_000, 1_000_500)).toHaveLength(new Set(labels(1_000_000, 1_000_500)).size);
    expect(domainOf([0, 100])).toEqual({ low: 0, high: 106 });
    expect(domainOf([4])).toEqual({ low: 3.6, high: 4.4 });
    expect(domainOf([Number.NaN])).toBeUndefined();
    const noise = valueDomain([499.9, 500], 'return')!;
    expect([noise.low, noise.high].map(Math.round), 'noise is no mountain').toEqual([450, 550]);
    expect(valueDomain([0.4, 0.6], 'share in the right order')).toEqual({ low: 0, high: 1 });
    expect(valueDomain([-3, 0.9], 'share')).toEqual({ low: -3.234, high: 1 });
  });

  it('packs clips so that scenery is kept once and nothing else is lost', () => {
    const first = Array.from({ length: 50 }, (_, i) => frame(i));
    const { clips } = packComparison({ first, second: [], framesPerSecond: 30 });
    expect(clips[0].shapes).toHaveLength(52);
    expect(clips[0].frames.map((numbers) => numbers.map((n) => clips[0].shapes[n]))).toEqual(
      first.map(({ shapes }) => JSON.parse(JSON.stringify(shapes).replaceAll('10.123456789', '10.1'))),
    );
    expect(JSON.stringify(clips).length).toBeLessThan(JSON.stringify(first).length / 2);
  });

  it('is written into the folder of its run', () => {
    const folder = mkdtempSync(join(tmpdir(), 'heed-report-'));
    const report = withText('here');
    expect(readFileSync(writeReport({ folder }, report), 'utf8')).toBe(renderReport(report));
    rmSync(folder, { recursive: true });
  });
});
