/** Curves of results as SVG for the docs, light and dark: drawn from the results, so that they cannot be wrong. */

const [WIDTH, HEIGHT] = [640, 330];
const PLOT = { left: 58, right: 500, top: 32, bottom: 268 };
const COLORS = ['--a', '--b', '--muted', '--c'];

/**
 * Lines with their intervals over a logarithmic axis, or over an even one with `marks`, where it has numbers.
 * @param lines { name, points: [{ x, y, low, high }] }, at most four, with y from `range[0]` to `range[1]`.
 */
export function curves({ title, description, xLabel, yLabel, range, lines, marks }) {
  const found = lines.flatMap(({ points }) => points.map(({ x }) => x));
  const xs = marks ?? [...new Set(found)].sort((a, b) => a - b);
  const scale = marks ? (x) => x : Math.log;
  const [first, last] = [scale(Math.min(...xs)), scale(Math.max(...xs))];
  const across = (x) => (PLOT.left + ((scale(x) - first) / (last - first)) * (PLOT.right - PLOT.left)).toFixed(1);
  const down = (y) => (PLOT.bottom - ((y - range[0]) / (range[1] - range[0])) * (PLOT.bottom - PLOT.top)).toFixed(1);
  const ticks = Array.from({ length: 5 }, (_, i) => range[0] + (i * (range[1] - range[0])) / 4);
  const axes = [
    ...ticks.map(
      (y) =>
        `<path class="grid" d="M${PLOT.left} ${down(y)}H${PLOT.right}"/>` +
        `<text class="end" x="${PLOT.left - 8}" y="${Number(down(y)) + 5}">${y}</text>`,
    ),
    ...xs.map(
      (x) => `<text class="middle" x="${across(x)}" y="${PLOT.bottom + 22}">${x.toLocaleString('en-US')}</text>`,
    ),
    `<text class="middle" x="${(PLOT.left + PLOT.right) / 2}" y="${PLOT.bottom + 46}">${xLabel}</text>`,
    `<text x="8" y="14">${yLabel}</text>`,
  ];
  // names stand at the ends of their lines, one below the other where the lines meet
  const places = new Map();
  let above = Number.NEGATIVE_INFINITY;
  for (const line of lines.toSorted((a, b) => b.points.at(-1).y - a.points.at(-1).y)) {
    above = Math.max(Number(down(line.points.at(-1).y)) + 5, above + 16);
    places.set(line, above);
  }
  const drawn = lines.map((each, i) => {
    const { name, points } = each;
    const color = `var(${COLORS[i]})`;
    const band = [
      ...points.map(({ x, high }) => `${across(x)} ${down(high)}`),
      ...points.toReversed().map(({ x, low }) => `${across(x)} ${down(low)}`),
    ];
    const line = points.map(({ x, y }) => `${across(x)} ${down(y)}`);
    return (
      `<path d="M${band.join('L')}Z" fill="${color}" opacity="0.14"/>` +
      `<path d="M${line.join('L')}" fill="none" stroke="${color}" stroke-width="2.5"/>` +
      points.map(({ x, y }) => `<circle cx="${across(x)}" cy="${down(y)}" r="3.5" fill="${color}"/>`).join('') +
      `<text x="${PLOT.right + 10}" y="${places.get(each).toFixed(1)}" style="fill: ${color}; font-weight: 600">${name}</text>`
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-labelledby="t d">
<title id="t">${title}</title>
<desc id="d">${description}</desc>
<style>
:root { color-scheme: light dark; --ink: #1d1c1a; --muted: #66625a; --grid: #dad6cc; --a: #3156c9; --b: #a65205; --c: #1f7a4d }
@media (prefers-color-scheme: dark) { :root { --ink: #eceae4; --muted: #a4a199; --grid: #3a3d44; --a: #93adff; --b: #f2a65e; --c: #6fd3a0 } }
text { font: 14px "Inter Variable", system-ui, sans-serif; fill: var(--muted) }
.middle { text-anchor: middle }
.end { text-anchor: end }
.grid { stroke: var(--grid) }
</style>
${[...axes, ...drawn].join('\n')}
</svg>
`;
}
