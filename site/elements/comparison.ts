/**
 * The table of a page as a picture to play with: what is on each axis, whose rows are shown, and what a nat of KL costs. The
 * numbers are read from the table before it, so that the picture cannot say anything else.
 */
import { choice, colors, html, row, sentence, slider, svg } from '../../course/figures/elements.ts';
import { short } from '../../course/figures/numbers.ts';

interface Algorithm {
  name: string;
  href: string;
  /** What it learns from; empty for the model that all begin with, which is not drawn. */
  from: string;
  /** The numbers of its row, by the heading of their column. */
  numbers: Map<string, number>;
}

/** The first number of a cell: "5.41 ± 0.10" is 5.41. */
function numberIn(text: string): number | undefined {
  const [found] =
    text
      .replaceAll(',', '')
      .replace('−', '-')
      .match(/^-?\d+(\.\d+)?/) ?? [];
  return found === undefined ? undefined : Number(found);
}

function readTable(table: HTMLTableElement): { columns: string[]; algorithms: Algorithm[] } {
  const [head, ...rows] = Array.from(table.rows, ({ cells }) => Array.from(cells));
  const titles = head.map(({ textContent }) => textContent!.trim());
  const algorithms = rows.map(([name, from, ...others]) => ({
    name: name.textContent!.trim(),
    href: name.querySelector('a')?.getAttribute('href') ?? '',
    from: from.textContent!.trim(),
    numbers: new Map(
      others.flatMap((cell, i) => {
        const value = numberIn(cell.textContent!.trim());
        return value === undefined ? [] : [[titles[i + 2], value] as const];
      }),
    ),
  }));
  return { columns: titles.slice(2), algorithms };
}

const [WIDTH, HEIGHT] = [680, 380];
const PLOT = { left: 52, right: 590, top: 16, bottom: 330 };
const TICKS = 5;

/** Draws the comparison of the table before `root` into it. */
export function drawComparison(root: HTMLElement): void {
  const tables = Array.from(document.querySelectorAll<HTMLTableElement>('main table'));
  const table = tables.findLast((one) => one.compareDocumentPosition(root) & Node.DOCUMENT_POSITION_FOLLOWING);
  if (!table) return;
  const { columns, algorithms } = readTable(table);
  const sources = [...new Set(algorithms.map(({ from }) => from).filter(Boolean))];
  const axis = (legend: string, first: string) => {
    const own = choice(legend, columns, draw, columns.indexOf(first));
    return { element: own.element, column: () => columns[own.value()] };
  };
  const across = axis('To the right', 'KL');
  const up = axis('Upward', 'True reward');
  const shown = choice('Algorithms that learn from', ['anything', ...sources], draw);
  const price = slider('What a nat of KL costs you, in reward', { min: 0, max: 0.5, step: 0.01, value: 0 }, draw);
  row(root, across.element, up.element);
  row(root, shown.element, price.element);
  const place = html('div', { style: 'overflow-x: auto' });
  root.append(place);
  const say = sentence(root);
  draw();

  function draw(): void {
    const source = ['', ...sources][shown.value()];
    const some = algorithms.filter(({ from }) => from !== '' && (source === '' || from === source));
    const [x, y] = [across.column(), up.column()];
    const points = some.flatMap((one) => {
      const [right, top] = [one.numbers.get(x), one.numbers.get(y)];
      return right === undefined || top === undefined ? [] : [{ ...one, x: right, y: top }];
    });
    place.replaceChildren(pictureOf(points, { x, y }));
    const valued = some.flatMap(({ name, numbers }) => {
      const [reward, kl] = [numbers.get('True reward'), numbers.get('KL')];
      return reward !== undefined && kl !== undefined ? [{ name, value: reward - price.value() * kl }] : [];
    });
    const [best, second] = valued.sort((a, b) => b.value - a.value);
    const cost = price.value() === 0 ? 'If KL costs nothing' : `If a nat of KL costs ${short(price.value())}`;
    say(`${cost}, ${best.name} is best with ${short(best.value)}, before ${second.name} with ${short(second.value)}.`);
  }
}

/** The sides of something drawn. */
interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}
const overlap = (a: Box, b: Box) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** Where a name may stand beside its point, the best place first. */
const PLACES = [9, 20, -8, 32, -20].flatMap((y) => [
  [9, y - 5],
  [-9, y - 5],
]);

/** Points with their names, each where no other is in its way. */
function pictureOf(
  points: readonly (Algorithm & { x: number; y: number })[],
  titles: { x: string; y: string },
): SVGElement {
  const scale = (values: readonly number[], from: number, to: number) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = 0.06 * (high - low || 1);
    const at = (value: number) => from + ((value - low + room) / (high - low + 2 * room)) * (to - from);
    const digits = Math.max(0, Math.min(2, 2 - Math.floor(Math.log10(high - low || 1)) - 1));
    const ticks = Array.from({ length: TICKS }, (_, i) => low + (i * (high - low)) / (TICKS - 1));
    return { at, ticks: ticks.map((value) => ({ at: at(value), text: short(value, digits) })) };
  };
  const right = scale(
    points.map(({ x }) => x),
    PLOT.left,
    PLOT.right,
  );
  const top = scale(
    points.map(({ y }) => y),
    PLOT.bottom,
    PLOT.top,
  );
  const label = (text: string, attributes: Record<string, string | number>) =>
    svg('text', { fill: colors.quiet, 'font-size': 13, ...attributes }, text);
  const line = (d: string) => svg('path', { d, stroke: colors.line, fill: 'none' });
  const placed = points.map((point) => ({ ...point, at: { x: right.at(point.x), y: top.at(point.y) } }));
  const taken = placed.map(({ at }): Box => ({ left: at.x - 5, right: at.x + 5, top: at.y - 5, bottom: at.y + 5 }));
  const dots = placed.flatMap(({ name, href, at }) => {
    const width = 7 * name.length;
    const boxes = PLACES.map(([dx, dy]): Box => {
      const left = dx > 0 ? at.x + dx : at.x + dx - width;
      return { left, right: left + width, top: at.y + dy - 11, bottom: at.y + dy + 2 };
    });
    const free = boxes.find((box) => box.right < WIDTH && !taken.some((other) => overlap(box, other))) ?? boxes[0];
    taken.push(free);
    const text = svg('text', { x: free.left, y: free.bottom - 2, fill: 'currentColor', 'font-size': 13 }, name);
    const link = href === '' ? text : svg('a', { href, style: 'text-decoration: none' }, text);
    return [svg('circle', { cx: at.x, cy: at.y, r: 5, fill: colors.a }), link];
  });
  const said = points.map(({ name, x, y }) => `${name}: ${short(x)}, ${short(y)}`).join('; ');
  return svg(
    'svg',
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      style: 'width: 100%; min-width: 34rem; height: auto',
      role: 'group',
      'aria-label': `${titles.x} and ${titles.y} of each algorithm. ${said}`,
    },
    ...top.ticks.flatMap(({ at, text }) => [
      line(`M${PLOT.left} ${at}H${PLOT.right}`),
      label(text, { x: PLOT.left - 8, y: at + 4, 'text-anchor': 'end' }),
    ]),
    ...right.ticks.map(({ at, text }) => label(text, { x: at, y: PLOT.bottom + 18, 'text-anchor': 'middle' })),
    label(titles.x, { x: (PLOT.left + PLOT.right) / 2, y: PLOT.bottom + 40, 'text-anchor': 'middle' }),
    label(titles.y, { x: 4, y: 12 }),
    ...dots,
  );
}
